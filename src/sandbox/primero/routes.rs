//! Which request is about what, who asks, and which room answers.
//!
//! It knows paths and permissions; what a search, a save or a referral means is told elsewhere.

use std::sync::Arc;

use axum::http::Method;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    accounts::{Role, User},
    errors::{Refusal, ok},
    world::World,
};
use crate::sandbox::{
    Endpoint,
    wire::{Asked, Reply},
};

/// Who asks, and in which role.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) user: Arc<User>,
    pub(super) role: Arc<Role>,
}

impl Caller {
    pub(super) fn must(&self, resource: &str, action: &str) -> Result<(), Refusal> {
        if self.role.permits(resource, action) { Ok(()) } else { Err(Refusal::Forbidden) }
    }
}

/// A part of an answer that is worked out after the world has been let go.
pub(super) type Later = Box<dyn FnOnce() -> Reply + Send>;

pub(super) enum Answer {
    Now(Reply),
    Later(Later),
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::Now(reply)
    }
}

/// What a request is about. A path we do not know is `Other`.
pub(super) fn endpoint(method: &Method, path: &str, query: &[(String, String)]) -> Endpoint {
    let parts: Vec<&str> = segments(path);
    let has = |name: &str| query.iter().any(|(key, _)| key == name);
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["health"]) => Endpoint::Health,
        ("GET", ["api", "v2", "primero"]) => Endpoint::Primero,
        ("POST" | "DELETE", ["api", "v2", "tokens"]) => Endpoint::Tokens,
        ("GET", ["api", "v2", "cases"]) if has("last_updated_at") => Endpoint::ChangedCases,
        ("GET", ["api", "v2", "cases"]) if has("query") => Endpoint::CaseQuery,
        ("GET", ["api", "v2", "cases"]) => Endpoint::CaseSearch,
        ("POST", ["api", "v2", "cases"]) => Endpoint::CreateCase,
        ("GET", ["api", "v2", "cases", _]) => Endpoint::GetCase,
        ("PATCH" | "PUT", ["api", "v2", "cases", _]) => Endpoint::PatchCase,
        ("DELETE", ["api", "v2", "cases", _]) => Endpoint::DisableCase,
        ("GET", ["api", "v2", "cases", _, "referrals"]) => Endpoint::ListReferrals,
        ("POST", ["api", "v2", "cases", _, "referrals"]) => Endpoint::CreateReferral,
        ("PATCH" | "PUT", ["api", "v2", "cases", _, "referrals", _]) => Endpoint::PatchReferral,
        ("DELETE", ["api", "v2", "cases", _, "referrals", _]) => Endpoint::RevokeReferral,
        ("GET", ["api", "v2", "users"]) => Endpoint::Users,
        ("GET", ["api", "v2", "users", _]) => Endpoint::GetUser,
        ("GET", ["api", "v2", "forms"]) => Endpoint::Forms,
        ("GET", ["api", "v2", "lookups"]) => Endpoint::Lookups,
        _ => Endpoint::Other,
    }
}

/// Answers a request.
pub(super) fn answer(world: &mut World, asked: &Asked) -> Answer {
    respond(world, asked).unwrap_or_else(|refusal| refusal.reply(&asked.path).into())
}

fn respond(world: &mut World, asked: &Asked) -> Result<Answer, Refusal> {
    let parts = segments(&asked.path);
    match asked.endpoint {
        Endpoint::Health => return Ok(Reply::new(204, "", "").into()),
        Endpoint::Primero => return Ok(public_page(world, asked).into()),
        Endpoint::Tokens => return tokens(world, asked).map(Into::into),
        Endpoint::Other | Endpoint::DtpReferral | Endpoint::DtpDecision => return Err(Refusal::Framework(404)),
        Endpoint::ChangedCases
        | Endpoint::CaseQuery
        | Endpoint::CaseSearch
        | Endpoint::GetCase
        | Endpoint::CreateCase
        | Endpoint::PatchCase
        | Endpoint::DisableCase
        | Endpoint::ListReferrals
        | Endpoint::CreateReferral
        | Endpoint::PatchReferral
        | Endpoint::RevokeReferral
        | Endpoint::Users
        | Endpoint::GetUser
        | Endpoint::Forms
        | Endpoint::Lookups => {}
    }
    if !asked.well_encoded {
        return Err(Refusal::Framework(400));
    }
    if !asked.body.is_empty() && is_json(asked) && serde_json::from_slice::<serde::de::IgnoredAny>(&asked.body).is_err() {
        return Err(Refusal::Framework(400));
    }
    if world.updating {
        return Err(Refusal::Updating);
    }
    let caller = authenticate(world, asked)?;
    let part = |place: usize| parts.get(place).copied().unwrap_or_default();
    match asked.endpoint {
        Endpoint::ChangedCases | Endpoint::CaseQuery | Endpoint::CaseSearch => world.list_cases(&caller, asked),
        Endpoint::GetCase => world.show_case(&caller, part(3), asked),
        Endpoint::CreateCase => world.create_case(&caller, asked).map(Into::into),
        Endpoint::PatchCase => world.patch_case(&caller, part(3), asked).map(Into::into),
        Endpoint::DisableCase => world.disable_case(&caller, part(3)).map(Into::into),
        Endpoint::ListReferrals => world.list_referrals(&caller, part(3)).map(Into::into),
        Endpoint::CreateReferral => world.create_referral(&caller, part(3), asked).map(Into::into),
        Endpoint::PatchReferral => world.patch_referral(&caller, part(3), part(5), asked).map(Into::into),
        Endpoint::RevokeReferral => world.revoke_referral(&caller, part(3), part(5)).map(Into::into),
        Endpoint::Users => world.list_users(&caller, asked).map(Into::into),
        Endpoint::GetUser => world.show_user(&caller, part(3), asked).map(Into::into),
        Endpoint::Forms => Ok(ok(&world.forms.forms_json(asked.parameter("module_id"))).into()),
        Endpoint::Lookups => {
            let (per, page) = paging(world, asked)?;
            Ok(ok(&world.forms.lookups_json(per, page)).into())
        }
        Endpoint::Health
        | Endpoint::Primero
        | Endpoint::Tokens
        | Endpoint::Other
        | Endpoint::DtpReferral
        | Endpoint::DtpDecision => Err(Refusal::Framework(404)),
    }
}

/// `per` and `page` as really used.
pub(super) fn paging(world: &World, asked: &Asked) -> Result<(usize, usize), Refusal> {
    const RAISED: Refusal = Refusal::Raised("LIMIT or OFFSET must not be negative");
    let number = |name: &str, default: i64| asked.parameter(name).map_or(default, leading_integer);
    let (per, page) = (number("per", 20), number("page", 1));
    let per = usize::try_from(per).map_err(|_| RAISED)?;
    let page = usize::try_from(page).ok().filter(|page| *page > 0).ok_or(RAISED)?;
    Ok((if world.release.caps_pages { per.min(1000) } else { per }, page))
}

/// Text as a number, as far as it begins with one; else 0.
fn leading_integer(text: &str) -> i64 {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let end = digits.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(digits.len());
    let number: i64 = digits[..end].parse().unwrap_or(0);
    if text.starts_with('-') { -number } else { number }
}

/// The object under `data`, if the body is JSON and holds one.
pub(super) fn sent(asked: &Asked) -> Option<serde_json::Map<String, Value>> {
    if !is_json(asked) {
        return None;
    }
    match asked.json()?.get_mut("data")?.take() {
        Value::Object(sent) => Some(sent),
        _ => None,
    }
}

/// A case key out of a path; anything but a UUID is as unknown as an unknown one.
pub(super) fn key(part: &str) -> Result<Uuid, Refusal> {
    Uuid::try_parse(part).map_err(|_| Refusal::NoRecord("Child", part.to_owned()))
}

fn is_json(asked: &Asked) -> bool {
    asked.header("content-type").is_some_and(|content_type| content_type.starts_with("application/json"))
}

fn segments(path: &str) -> Vec<&str> {
    path.trim_start_matches('/').split('/').collect()
}

/// A valid session wins over HTTP Basic, and brings the CSRF check with it.
fn authenticate(world: &mut World, asked: &Asked) -> Result<Caller, Refusal> {
    let now = world.clock.now();
    let user = match world.sessions.user(asked, now) {
        Some(user_name) => {
            if asked.method != Method::GET && !world.sessions.csrf_holds(asked, now) {
                return Err(Refusal::Csrf);
            }
            world.accounts.user(&user_name).filter(|user| !user.disabled).cloned()
        }
        None => basic(asked).and_then(|(user_name, password)| world.accounts.sign_in(&user_name, &password, now)),
    };
    let user = user.ok_or(Refusal::Unauthenticated)?;
    let role = world.accounts.role_of(&user).cloned().ok_or(Refusal::Forbidden)?;
    Ok(Caller { user, role })
}

fn basic(asked: &Asked) -> Option<(String, String)> {
    let (scheme, credentials) = asked.header("authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(BASE64_STANDARD.decode(credentials.trim()).ok()?).ok()?;
    credentials.split_once(':').map(|(user_name, password)| (user_name.to_owned(), password.to_owned()))
}

fn public_page(world: &mut World, asked: &Asked) -> Reply {
    let reply = ok(&json!({"data": {"locale": "en", "sandbox_ui": true}}));
    let now = world.clock.now();
    if world.sessions.user(asked, now).is_some() {
        return reply;
    }
    let (cookie, csrf) = world.sessions.open(None, now);
    with_cookies(reply, &cookie, &csrf)
}

fn with_cookies(reply: Reply, cookie: &str, csrf: &str) -> Reply {
    reply
        .with("set-cookie", format!("_app_session={cookie}; path=/; HttpOnly; SameSite=Lax"))
        .with("set-cookie", format!("CSRF-TOKEN={csrf}; path=/; SameSite=Strict"))
}

fn tokens(world: &mut World, asked: &Asked) -> Result<Reply, Refusal> {
    let now = world.clock.now();
    if asked.method == Method::DELETE {
        if !world.sessions.csrf_holds(asked, now) {
            return Err(Refusal::Csrf);
        }
        if let Some(user_name) = world.sessions.user(asked, now) {
            world.sessions.close(&user_name);
        }
        return Ok(ok(&json!({})));
    }
    let body = asked.json().unwrap_or_default();
    let text = |name: &str| body["user"][name].as_str().unwrap_or_default().to_owned();
    let (user_name, password) = (text("user_name"), text("password"));
    if !world.sessions.may_try(&user_name, now) {
        return Err(Refusal::Throttled);
    }
    if !world.sessions.csrf_holds(asked, now) {
        return Err(Refusal::Csrf);
    }
    let user = world.accounts.sign_in(&user_name, &password, now).ok_or(Refusal::Unauthenticated)?;
    let scope = world.accounts.role_of(&user).map(|role| role.scope.word());
    let (cookie, csrf) = world.sessions.open(Some(&user.user_name), now);
    Ok(with_cookies(ok(&json!({"id": user.id, "user_name": user.user_name, "group_permission": scope})), &cookie, &csrf))
}
