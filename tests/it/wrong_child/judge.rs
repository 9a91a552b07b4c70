//! The judge: it sees every request that reaches Primero and DTP, knows what Primero has shown until then, and says which write was wrong.
//!
//! It is written from what "the right child" means, and uses nothing of the program. It also lets people do their edits, because
//! whether a write is right depends on what was shown before: what somebody saves while a write is on its way, nobody can know.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use referrald::sandbox::{
    Asked, Endpoint, Fault, Rule,
    primero::{CASE_WORKER, Document, SimulatedPrimero},
    stage::Stage,
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::scene::{Answer, CASE_IDS, Lie, NUMBERS, PEOPLE, Scene, Search, What, note};

/// All cases, as they stood at a moment.
type Cases = BTreeMap<Uuid, Document>;

/// Clones are the same judge.
#[derive(Clone)]
pub struct Judge(Arc<Inner>);

struct Inner {
    scene: Scene,
    primero: SimulatedPrimero,
    lying: AtomicBool,
    /// A lie, and what is told in place of the truth.
    lie: Option<(Lie, Cases)>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// How often each kind of request came.
    came: Vec<(Endpoint, usize)>,
    /// What the last search for a value told, by field and value.
    told: BTreeMap<(&'static str, String), Cases>,
    /// The last that was shown of a case.
    shown: Cases,
    /// The cases, in the order they were stored.
    order: Vec<Uuid>,
    /// Which case each number was written to, in order.
    written: Vec<(Uuid, String)>,
    outcome: Outcome,
    wrong: Vec<String>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub created: usize,
    pub added: usize,
    pub told: usize,
}

const NUMBER: &str = "unhcr_individual_no";

impl Judge {
    /// Takes its seat at both simulators.
    pub fn seated(scene: &Scene, stage: &Stage) -> Self {
        let lie = scene.lie.map(|lie| (lie, lie_rows(lie, &stage.primero)));
        let told_in_a_lie = |(lie, rows): &(Lie, Vec<Value>)| {
            let cases = rows.iter().filter_map(|row| Some((row["id"].as_str()?.parse().ok()?, row.as_object()?.clone())));
            (*lie, cases.collect())
        };
        let primero = stage.primero.clone();
        let inner = Inner {
            scene: scene.clone(),
            primero,
            lying: AtomicBool::new(true),
            lie: lie.as_ref().map(told_in_a_lie),
            book: Mutex::default(),
        };
        let judge = Self(Arc::new(inner));
        for faults in [stage.primero.faults(), stage.dtp.faults()] {
            let judge = judge.clone();
            let looks = move |asked: &Asked| {
                judge.look(asked);
                false
            };
            faults.plant(Rule::any().when(looks), Fault::cut());
        }
        if let Some((lie, rows)) = lie {
            let judge = judge.clone();
            let rule = Rule::any().when(move |asked| judge.0.lying.load(Ordering::SeqCst) && is_lied_to(lie, asked));
            let per = if lie.search == Search::Part { 1000 } else { 5 };
            let body = json!({ "data": rows, "metadata": { "total": rows.len(), "per": per, "page": 1 } }).to_string();
            stage.primero.faults().plant(rule, Fault::answer(200, "application/json; charset=utf-8", body));
        }
        judge
    }

    /// From now on every search is answered with the truth.
    pub fn end_of_lies(&self) {
        self.0.lying.store(false, Ordering::SeqCst);
    }

    /// What was written and what of it was wrong.
    pub fn verdict(&self) -> (Outcome, Vec<String>) {
        let mut book = self.book();
        for number in NUMBERS {
            let holding = self.holding(number);
            if holding.len() > 1 {
                book.wrong.push(format!("{number} stands {} times", holding.len()));
            }
        }
        (book.outcome, book.wrong.clone())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cases(&self) -> Cases {
        let modules = ["primeromodule-cp", "primeromodule-gbv"];
        let keys = modules.iter().flat_map(|module| self.0.primero.cases_with("module_id", &json!(module)));
        keys.filter_map(|key| Some((key, self.0.primero.case(key)?))).collect()
    }

    /// The cases in which a service with this number stands, once for each.
    fn holding(&self, number: &str) -> Vec<Uuid> {
        let services = |key: Uuid| self.0.primero.services(key).into_iter().map(move |service| (key, service));
        let all = self.cases().into_keys().flat_map(services);
        all.filter(|(_, service)| service.get("progres_interventionnumber") == Some(&json!(number))).map(|(key, _)| key).collect()
    }

    fn look(&self, asked: &Asked) {
        let mut book = self.book();
        // What is written is judged by what was shown before, and only then do people save what crosses it.
        match asked.endpoint {
            Endpoint::PatchCase => self.look_at_patch(&mut book, asked),
            Endpoint::CreateCase => self.look_at_creation(&mut book, asked),
            Endpoint::DtpDecision => look_at_feedback(&mut book, &self.0.primero, asked),
            _ if asked.method != Method::GET => book.wrong.push(format!("{} {:?}", asked.method, asked.endpoint)),
            _ => {}
        }
        self.people_at_work(&mut book, asked.endpoint);
        let cases = self.cases();
        for (name, field) in [(NUMBER, NUMBER), ("case_id", "case_id"), ("query", "query")] {
            let Some(value) = asked.parameter(name).filter(|_| asked.method == Method::GET) else { continue };
            let lied = self.0.lie.as_ref().filter(|(lie, _)| self.0.lying.load(Ordering::SeqCst) && is_lied_to(*lie, asked));
            let told = lied.map_or_else(|| cases.clone(), |(_, told)| told.clone());
            for (key, case) in told.iter().filter(|(_, case)| case.get(field) == Some(&json!(value))) {
                book.shown.insert(*key, case.clone());
            }
            book.told.insert((field, value.to_owned()), told);
        }
        if asked.endpoint == Endpoint::GetCase
            && let Some(key) = key_in(&asked.path)
            && let Some(case) = cases.get(&key)
        {
            book.shown.insert(key, case.clone());
        }
    }

    fn look_at_patch(&self, book: &mut Book, asked: &Asked) {
        let mut wrong = Vec::new();
        let data = asked.json().map(|body| body["data"].clone()).unwrap_or_default();
        let Some((key, shown)) = key_in(&asked.path).and_then(|key| Some((key, book.shown.get(&key)?))) else {
            book.wrong.push("a case was written that was never shown".to_owned());
            return;
        };
        let Some((number, person, case_id)) = self.post_of(&data) else {
            book.wrong.push("a case was written for no post".to_owned());
            return;
        };
        let by_number = book.found(NUMBER, person);
        if let Some(case_id) = case_id
            && book.found("case_id", case_id) != [key]
        {
            wrong.push("it is not the one case with the id that DTP gave");
        }
        let told_by_id = case_id.and_then(|id| book.told.get(&("case_id", id.to_owned()))?.get(&key));
        let is_other = |case: &Document| text(case, NUMBER).is_some_and(|number| number != person) || contradicts(case);
        if told_by_id.is_some_and(is_other) {
            wrong.push("the search for its id told it as another child");
        }
        let is_without_number = text(shown, NUMBER).is_none();
        match by_number.as_slice() {
            [one] if *one == key => {}
            [] if case_id.is_some() && is_without_number => {
                if book.has_similar(person, Some(key)) {
                    wrong.push("another case has that number in another spelling");
                }
            }
            _ => wrong.push("it is not the one case with the number"),
        }
        if let Some(number) = text(shown, NUMBER)
            && number != person
        {
            wrong.push("it was shown with another number");
        }
        if case_id.is_some_and(|id| text(shown, "case_id") != Some(id)) {
            wrong.push("it was shown with another id");
        }
        if !is_in_reach(shown) {
            wrong.push("it was shown disabled or in another module");
        }
        if text(shown, "status") != Some("open") {
            wrong.push("it was shown as not open");
        }
        if contradicts(shown) {
            wrong.push("it was shown as another child");
        }
        for (field, _) in data.as_object().into_iter().flatten().filter(|(field, _)| *field != "services_section") {
            let may_be_given = [NUMBER, "unhcr_id_no"].contains(&field.as_str());
            if !may_be_given || text(shown, field).is_some() {
                wrong.push("a field was written over");
            }
        }
        if data[NUMBER].as_str().is_some_and(|written| written != person) {
            wrong.push("the number of another person was written");
        }
        if !self.holding(number).is_empty() {
            wrong.push("the intervention stands in a case already");
        }
        let wrong: Vec<_> = wrong.into_iter().map(|what| format!("{number} added to a case: {what}")).collect();
        book.wrong.extend(wrong);
        book.written.push((key, number.to_owned()));
        book.outcome.added += 1;
    }

    fn look_at_creation(&self, book: &mut Book, asked: &Asked) {
        let mut wrong = Vec::new();
        let data = asked.json().map(|body| body["data"].clone()).unwrap_or_default();
        let key = data["id"].as_str().and_then(|id| id.parse().ok());
        let (Some((number, person, case_id)), Some(key)) = (self.post_of(&data), key) else {
            book.wrong.push("a case was made for no post".to_owned());
            return;
        };
        if data[NUMBER] != *person {
            wrong.push("it has the number of another person");
        }
        if !book.found(NUMBER, person).is_empty() {
            wrong.push("a case has that number");
        }
        if case_id.is_some_and(|id| !book.found("case_id", id).is_empty()) {
            wrong.push("a case has the id that DTP gave");
        }
        if book.has_similar(person, None) {
            wrong.push("a case has that number, or in another spelling");
        }
        if !self.holding(number).is_empty() {
            wrong.push("the intervention stands in a case already");
        }
        let wrong: Vec<_> = wrong.into_iter().map(|what| format!("{number} in a new case: {what}")).collect();
        book.wrong.extend(wrong);
        book.written.push((key, number.to_owned()));
        book.outcome.created += 1;
    }

    /// Number, person and given id of the post from which the one service in this document comes.
    fn post_of(&self, data: &Value) -> Option<(&'static str, &'static str, Option<&'static str>)> {
        let [service] = data["services_section"].as_array()?.as_slice() else { return None };
        let place = (0..self.0.scene.posts.len()).find(|place| service["service_referral_notes"] == note(*place))?;
        let post = self.0.scene.posts[place];
        let number = NUMBERS[post.number];
        (service["progres_interventionnumber"] == number).then_some((
            number,
            PEOPLE[post.person],
            post.case_id.map(|id| CASE_IDS[id]),
        ))
    }

    fn people_at_work(&self, book: &mut Book, endpoint: Endpoint) {
        let came = match book.came.iter_mut().find(|(known, _)| *known == endpoint) {
            Some((_, came)) => {
                *came += 1;
                *came
            }
            None => {
                book.came.push((endpoint, 0));
                0
            }
        };
        for key in self.cases().into_keys() {
            if !book.order.contains(&key) {
                book.order.push(key);
            }
        }
        let staff = self.0.primero.staff(CASE_WORKER);
        for edit in self.0.scene.edits.iter().filter(|edit| edit.endpoint == endpoint && edit.nth == came) {
            let (case, change) = match edit.what {
                What::Number(case, person, spelling) => (case, json!({ NUMBER: spelling.of(person) })),
                What::Place(case, place) => (case, place.fields()),
                What::Status(case, status) => (case, json!({ "status": status })),
                What::Identity(case, identity) => (case, identity.fields()),
                What::CaseId(case, id) => (case, json!({ "case_id": CASE_IDS[id] })),
                What::EraseServices(case) => {
                    if let Some(key) = book.order.get(case) {
                        staff.change(*key, |document| {
                            document.remove("services_section");
                        });
                    }
                    continue;
                }
                What::Register(child) => {
                    register(&self.0.primero, child.document());
                    continue;
                }
            };
            let Some(key) = book.order.get(case) else { continue };
            let taken = change.get("case_id").is_some_and(|id| !self.0.primero.cases_with("case_id", id).is_empty());
            if !taken {
                staff.edit(*key, change);
            }
        }
    }
}

impl Book {
    /// The cases that the last search for this value could tell: in reach, and equal.
    fn found(&self, field: &'static str, value: &str) -> Vec<Uuid> {
        let told = self.told.get(&(field, value.to_owned())).into_iter().flatten();
        told.filter(|(_, case)| is_in_reach(case) && case.get(field) == Some(&json!(value))).map(|(key, _)| *key).collect()
    }

    /// Whether the last search for a part of an identifier could tell a case, other than this one, with that number in any spelling.
    /// Without such a search nobody knows: then it counts as yes.
    fn has_similar(&self, person: &str, but: Option<Uuid>) -> bool {
        let Some(told) = self.told.get(&("query", person.to_owned())) else { return true };
        let same = |case: &Document| {
            text(case, NUMBER).is_some_and(|number| number.trim().to_lowercase() == person.trim().to_lowercase())
        };
        told.iter().any(|(key, case)| Some(*key) != but && is_in_reach(case) && same(case))
    }
}

/// Registers a case; where its id is taken, under another.
pub fn register(primero: &SimulatedPrimero, mut document: Value) -> Uuid {
    let taken = document.get("case_id").is_some_and(|id| !primero.cases_with("case_id", id).is_empty());
    if taken {
        document.as_object_mut().expect("an object").remove("case_id");
    }
    primero.staff(CASE_WORKER).register(document)
}

/// UNHCR may be told only of a case to which its intervention was written.
fn look_at_feedback(book: &mut Book, primero: &SimulatedPrimero, asked: &Asked) {
    let Some(body) = asked.json() else { return };
    let Some(case_id) = body.get("case_id").filter(|_| body["status"] == "Pending Acknowledgement") else { return };
    let named = primero.cases_with("case_id", case_id);
    let is_right = |(key, number): &(Uuid, String)| named.contains(key) && body["progres_interventionnumber"] == number.as_str();
    if !book.written.iter().any(is_right) {
        book.wrong.push("UNHCR was told of a case that did not get its intervention".to_owned());
    }
    book.outcome.told += 1;
}

fn key_in(path: &str) -> Option<Uuid> {
    path.rsplit('/').find_map(|part| part.parse().ok())
}

fn text<'a>(case: &'a Document, field: &str) -> Option<&'a str> {
    case.get(field).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

fn is_in_reach(case: &Document) -> bool {
    case.get("record_state") != Some(&json!(false)) && case.get("module_id") == Some(&json!("primeromodule-cp"))
}

/// Whether the case says that it is somebody else than whom DTP always posts: female, born 2014, Testina Examplename.
fn contradicts(case: &Document) -> bool {
    let year = text(case, "date_of_birth").and_then(|born| born.get(..4)).and_then(|year| year.parse::<i32>().ok());
    let names = [text(case, "name_first"), text(case, "name_last")];
    text(case, "sex").is_some_and(|sex| sex != "female")
        || year.is_some_and(|year| (year - 2014).abs() > 1)
        || (names.iter().any(Option::is_some) && !names.contains(&Some("Testina")) && !names.contains(&Some("Examplename")))
}

fn is_lied_to(lie: Lie, asked: &Asked) -> bool {
    asked.method == Method::GET
        && match lie.search {
            Search::Number => asked.parameter(NUMBER).is_some(),
            Search::CaseId => asked.parameter("case_id").is_some(),
            Search::Part => asked.parameter("query").is_some(),
        }
}

/// The rows of a lie: cases as they stood when the scene began.
fn lie_rows(lie: Lie, primero: &SimulatedPrimero) -> Vec<Value> {
    let modules = ["primeromodule-cp", "primeromodule-gbv"];
    let keys: Vec<Uuid> = modules.iter().flat_map(|module| primero.cases_with("module_id", &json!(module))).collect();
    let row = |key: &Uuid| {
        let case = primero.case(*key).unwrap_or_default();
        let mut row = json!({ "id": key.to_string(), "enabled": case.get("record_state") != Some(&json!(false)), "last_updated_at": "2026-03-02T08:00:00.000Z" });
        row.as_object_mut().expect("an object").extend(case);
        row
    };
    match lie.answer {
        Answer::Empty => Vec::new(),
        Answer::Everybody => keys.iter().take(5).map(row).collect(),
        Answer::One(place) => keys.get(place).map(row).into_iter().collect(),
        Answer::Twice(place) => keys.get(place).map(row).into_iter().flat_map(|row| [row.clone(), row]).collect(),
    }
}
