//! Cases over the wire: list, show, create, change.
//!
//! It knows permissions and shapes of answers; what a save does is told elsewhere.

use std::{collections::HashSet, sync::Arc};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    access::{Access, FIXED},
    accounts::FormAccess,
    body::{self, Kind},
    errors::{JSON, Refusal, ok},
    filter::{Raised, tests},
    merge::merge,
    referrals::Standing,
    routes::{Answer, Caller, key, paging, sent},
    search::{LooksFor, Search, run},
    store::Case,
    views::{CaseView, chosen, saved_json},
    world::{Saved, World},
};
use crate::sandbox::wire::{Asked, Reply};

impl World {
    pub(super) fn list_cases(&mut self, caller: &Caller, asked: &Asked) -> Result<Answer, Refusal> {
        caller.must("case", "read")?;
        let access = self.access(&caller.role);
        let (per, page) = paging(self, asked)?;
        let looks_for = asked.parameter("query").filter(|query| !query.is_empty());
        let usable = |name: &str| access.readable.contains(name) && name != "services_section";
        let tests = match tests(&asked.query, usable) {
            Ok(tests) => tests,
            Err(Raised::Database) if self.release.hides_filter_errors => return Ok(empty_page(per, page).into()),
            Err(Raised::Database) => return Err(Refusal::Raised("PG::SyntaxError")),
            Err(Raised::Application) => return Err(Refusal::Raised("invalid date")),
        };
        if self.tie_order.is_some() {
            self.tie_order = self.tie_order.map(|count| count.wrapping_add(1));
        }
        let flag = |name: &str| asked.parameter(name) == Some("true");
        let search = Search {
            tests,
            looks_for: looks_for.map(|query| match query {
                query if flag("phonetic") => LooksFor::Name(query),
                query if flag("phone_number") => LooksFor::Phone(query),
                query => LooksFor::Identifier(query),
            }),
            order_by: asked.parameter("order_by").filter(|field| !field.is_empty()).unwrap_or("created_at"),
            descending: asked.parameter("order").is_none_or(|order| order == "desc"),
            per,
            page,
            tie_order: self.tie_order,
        };
        let everywhere = flag("id_search") && looks_for.is_some() && caller.role.permits("case", "search_owned_by_others");
        let in_scope = |case: &Case| Self::in_scope(&caller.user, &caller.role, case);
        let (rows, total) = run(&self.store, &search, &|case| everywhere || in_scope(case));
        let marks: Vec<_> = if everywhere { rows.iter().map(|case| in_scope(case)).collect() } else { Vec::new() };
        let fields = if everywhere { Some("short".to_owned()) } else { asked.parameter("fields").map(str::to_owned) };
        Ok(Answer::Later(Box::new(move || page_of_cases(&rows, &marks, fields.as_deref(), &access, total, per, page))))
    }

    pub(super) fn show_case(&mut self, caller: &Caller, part: &str, asked: &Asked) -> Result<Answer, Refusal> {
        let case = self.case_at(part)?;
        caller.must("case", "read")?;
        self.must_be_in_scope(caller, &case)?;
        let (access, more) = self.access_to(caller, &case);
        let fields = asked.parameter("fields").map(str::to_owned);
        Ok(Answer::Later(Box::new(move || {
            let chosen = chosen(fields.as_deref());
            let shows = |name: &str| shows(name, &access.readable, chosen.as_ref());
            written(&Envelope { data: CaseView { case: &case, shows, more } })
        })))
    }

    pub(super) fn create_case(&mut self, caller: &Caller, asked: &Asked) -> Result<Reply, Refusal> {
        caller.must("case", "create")?;
        let access = self.access(&caller.role);
        let sent = sent(asked).unwrap_or_default();
        let schema = access.schema(sent.get("module_id").and_then(Value::as_str));
        let document = body::accept(&schema, &sent).map_err(Refusal::Schema)?;
        self.check_model(&document)?;
        let has_id = document.contains_key("id");
        let saved = self.create(&caller.user.user_name, document, None).map_err(|_| Refusal::Conflict)?;
        if has_id {
            return Ok(Reply::new(204, "", ""));
        }
        Ok(ok(&json!({ "data": saved_json(&saved, &access.readable) })))
    }

    pub(super) fn patch_case(&mut self, caller: &Caller, part: &str, asked: &Asked) -> Result<Reply, Refusal> {
        let case = self.case_at(part)?;
        let adds_service = record_action(asked).as_deref() == Some("services_section_from_case");
        if !(adds_service && caller.role.permits("case", "services_section_from_case") && caller.role.permits("case", "read")) {
            caller.must("case", "write")?;
        }
        self.must_be_in_scope(caller, &case)?;
        let (access, _) = self.access_to(caller, &case);
        let mut schema = access.schema(case.module());
        if adds_service {
            schema = Arc::new(self.with_services(&schema));
        }
        let mut sent = sent(asked).unwrap_or_default();
        sent.retain(|name, _| !FIXED.contains(&name.as_str()));
        let accepted = body::accept(&schema, &sent).map_err(Refusal::Schema)?;
        self.check_model(&accepted)?;
        let saved = self.save(case.key, &caller.user.user_name, |document| merge(document, accepted));
        let saved = saved.ok_or_else(|| Refusal::NoRecord("Child", part.to_owned()))?;
        Ok(ok(&json!({ "data": saved_json(&saved, &access.readable) })))
    }

    pub(super) fn disable_case(&mut self, caller: &Caller, part: &str) -> Result<Reply, Refusal> {
        let case = self.case_at(part)?;
        caller.must("case", "enable_disable_record")?;
        self.must_be_in_scope(caller, &case)?;
        let saved = self.save(case.key, &caller.user.user_name, |document| {
            document.insert("record_state".to_owned(), json!(false));
        });
        let access = self.access(&caller.role);
        Ok(ok(&json!({ "data": saved.map(|saved: Saved| saved_json(&saved, &access.readable)) })))
    }

    pub(super) fn case_at(&self, part: &str) -> Result<Arc<Case>, Refusal> {
        let unknown = || Refusal::NoRecord("Child", part.to_owned());
        self.store.get(key(part)?).cloned().ok_or_else(unknown)
    }

    pub(super) fn must_be_in_scope(&self, caller: &Caller, case: &Case) -> Result<(), Refusal> {
        if Self::in_scope(&caller.user, &caller.role, case) { Ok(()) } else { Err(Refusal::Forbidden) }
    }

    /// What the caller may see of one case: that of the role named by an active referral to them, if they do not own it.
    fn access_to(&mut self, caller: &Caller, case: &Case) -> (Arc<Access>, Vec<(&'static str, Value)>) {
        let user_name = &caller.user.user_name;
        let active = |standing| matches!(standing, Standing::InProgress | Standing::Accepted);
        let referral = self
            .referrals
            .of_case(case.key)
            .find(|referral| active(referral.standing) && referral.says.to.as_ref() == Some(user_name));
        let Some(referral) = referral.filter(|_| case.text("owned_by") != Some(user_name)) else {
            return (self.access(&caller.role), Vec::new());
        };
        let role =
            referral.says.authorized_role.as_deref().and_then(|role| self.accounts.role(role)).unwrap_or(&caller.role).clone();
        let word = |access: &FormAccess| match access {
            FormAccess::Read => "r",
            FormAccess::ReadWrite => "rw",
        };
        let forms: Map<_, _> = role.forms.iter().map(|(form, access)| (form.clone(), json!(word(access)))).collect();
        let more = vec![("permitted_forms", Value::Object(forms)), ("permitted_form_actions", json!([]))];
        (self.access(&role), more)
    }

    fn with_services(&self, schema: &body::Schema) -> body::Schema {
        let mut schema = schema.clone();
        let mut services = body::Schema::new();
        if let Some(form) = self.forms.form("services") {
            self.forms.extend_schema(&mut services, form, self.release.checks_options, &HashSet::new());
        }
        schema.extend(services.into_iter().filter(|(name, kind)| name == "services_section" && matches!(kind, Kind::Subform(_))));
        schema
    }

    fn check_model(&self, document: &Map<String, Value>) -> Result<(), Refusal> {
        use chrono::Datelike as _;
        let birth = document.get("date_of_birth").and_then(Value::as_str);
        let year: Option<i32> = birth.and_then(|birth| birth.get(..4)).and_then(|year| year.parse().ok());
        if year.is_some_and(|year| year > self.clock.now().year()) {
            return Err(Refusal::Model(vec![("date_of_birth", "errors.models.child.date_of_birth")]));
        }
        Ok(())
    }
}

fn record_action(asked: &Asked) -> Option<String> {
    asked.json()?.get("record_action")?.as_str().map(str::to_owned)
}

fn shows(name: &str, readable: &HashSet<String>, chosen: Option<&HashSet<&str>>) -> bool {
    readable.contains(name) && chosen.is_none_or(|chosen| chosen.contains(name))
}

#[derive(Serialize)]
struct Envelope<D> {
    data: D,
}

#[derive(Serialize)]
struct Listing<D> {
    data: D,
    metadata: Value,
}

fn empty_page(per: usize, page: usize) -> Reply {
    ok(&json!({"data": [], "metadata": {"total": 0, "per": per, "page": page}}))
}

fn page_of_cases(
    rows: &[Arc<Case>],
    marks: &[bool],
    fields: Option<&str>,
    access: &Access,
    total: usize,
    per: usize,
    page: usize,
) -> Reply {
    let chosen = chosen(fields);
    let shows = |name: &str| shows(name, &access.readable, chosen.as_ref());
    let more = |place: usize| marks.get(place).map(|mark| ("record_in_scope", json!(mark))).into_iter().collect();
    let views = rows.iter().enumerate().map(|(place, case)| CaseView { case, shows, more: more(place) });
    written(&Listing { data: views.collect::<Vec<_>>(), metadata: json!({"total": total, "per": per, "page": page}) })
}

fn written(body: &impl Serialize) -> Reply {
    // Documents are JSON already and their keys are text, so writing them cannot fail.
    Reply::new(200, JSON, serde_json::to_vec(body).unwrap_or_default())
}
