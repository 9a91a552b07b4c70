//! Invented Primeros and what DTP posts into them: children that are nearly the one meant, answers that lie, people who save meanwhile.
//!
//! Everything here is a choice among few; so a counter-example is short, and tells choices rather than values.

use proptest::{collection::vec, option, prelude::*};
use referrald::sandbox::Endpoint;
use serde_json::{Value, json};

use crate::world::intervention;

/// Two people.
pub const PEOPLE: [&str; 2] = ["00989-TESTA", "00989-TESTB"];
/// Two numbers of interventions.
pub const NUMBERS: [&str; 2] = ["989-26-TEST-0001", "989-26-TEST-0002"];
/// Two ids that DTP may give: one as Primero makes them, one from elsewhere.
pub const CASE_IDS: [&str; 2] = ["6f1f0000-0000-4000-8000-00000000000a", "TEST-CASE-0002"];

/// A Primero and what happens to it.
#[derive(Clone, Debug)]
pub struct Scene {
    pub children: Vec<Child>,
    pub posts: Vec<Post>,
    /// Posted at once and attempted side by side; else one after the other, with people at work in between.
    pub together: bool,
    pub lie: Option<Lie>,
    pub fault: Option<Trouble>,
    pub edits: Vec<Edit>,
}

/// A case that is there before DTP posts.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    pub person: usize,
    pub number: Spelling,
    /// It has one of the ids that DTP may give.
    pub case_id: Option<usize>,
    pub place: Place,
    pub status: &'static str,
    pub identity: Identity,
}

/// How the number of a person stands in Primero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    Exact,
    LowerCase,
    WithBlanks,
    OneZeroMore,
    WithoutZeros,
    Longer,
    Blank,
    Missing,
}

/// Where a case stands.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    InReach,
    OtherModule,
    Disabled,
}

/// Who the case says that the child is, beside its number.
#[derive(Clone, Copy, Debug)]
pub enum Identity {
    Same,
    Nothing,
    OtherSex,
    BornYearsApart,
    OtherName,
}

/// What DTP posts. A later post with the same number and another person is a correction.
#[derive(Clone, Copy, Debug)]
pub struct Post {
    pub number: usize,
    pub person: usize,
    pub case_id: Option<usize>,
}

/// A search that is answered wrongly, until the scene is nearly over.
#[derive(Clone, Copy, Debug)]
pub struct Lie {
    pub search: Search,
    pub answer: Answer,
}

/// The three searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    ByNumber,
    ByCaseId,
    ByPart,
}

/// What is answered in place of the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As a failing database may be answered.
    Empty,
    /// As if the filter were not there.
    Everybody,
    /// One of the cases, whoever was asked for.
    One(usize),
    /// The case that was asked for, twice.
    Twice(usize),
}

/// A request that goes wrong once.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub endpoint: Endpoint,
    pub how: How,
}

/// How it goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum How {
    Cut,
    CutAfterEffect,
    Status500,
    HtmlAfterEffect,
}

/// What a person does in Primero just before a request is dealt with.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    pub endpoint: Endpoint,
    /// Before the first such request, or the second, …
    pub nth: usize,
    pub what: What,
}

/// A person at work. `usize` counts the cases in the order they were stored, those that the daemon made included.
#[derive(Clone, Copy, Debug)]
pub enum What {
    Number(usize, usize, Spelling),
    Place(usize, Place),
    Status(usize, &'static str),
    Identity(usize, Identity),
    CaseId(usize, usize),
    /// A save of a form that was opened before our service was there.
    EraseServices(usize),
    Register(Child),
}

/// Any scene.
pub fn scenes() -> impl Strategy<Value = Scene> {
    let alone = (
        vec(child(), 0..4),
        vec(post(), 1..4),
        option::weighted(0.4, lie()),
        option::weighted(0.4, trouble()),
        vec(edit(), 0..4),
    )
        .prop_map(|(children, posts, lie, fault, edits)| Scene { children, posts, together: false, lie, fault, edits });
    let together = (vec(child(), 0..4), vec(post(), 2..4), option::weighted(0.2, trouble()))
        .prop_map(|(children, posts, fault)| Scene { children, posts, together: true, lie: None, fault, edits: Vec::new() });
    prop_oneof![4 => alone, 1 => together]
}

fn person() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 1 => Just(1_usize)]
}

fn child() -> impl Strategy<Value = Child> {
    let case_id = || prop_oneof![4 => Just(None), 4 => Just(Some(0)), 1 => Just(Some(1_usize))];
    let any = (person(), spelling(), case_id(), place(), status(), identity()).prop_map(
        |(person, number, case_id, place, status, identity)| Child { person, number, case_id, place, status, identity },
    );
    // The one meant, without which everything ends in a new case or with a person.
    let number = prop_oneof![3 => Just(Spelling::Exact), 1 => Just(Spelling::Missing)];
    let meant = (number, case_id()).prop_map(|(number, case_id)| Child {
        person: 0,
        number,
        case_id,
        place: Place::InReach,
        status: "open",
        identity: Identity::Same,
    });
    prop_oneof![1 => meant, 1 => any]
}

fn spelling() -> impl Strategy<Value = Spelling> {
    use Spelling::*;
    prop_oneof![
        6 => Just(Exact), 1 => Just(LowerCase), 1 => Just(WithBlanks), 1 => Just(OneZeroMore), 1 => Just(WithoutZeros),
        1 => Just(Longer), 1 => Just(Blank), 2 => Just(Missing),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![8 => Just(Place::InReach), 1 => Just(Place::OtherModule), 1 => Just(Place::Disabled)]
}

fn status() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just("open"), 1 => Just("closed"), 1 => Just("transferred"), 1 => Just("duplicate")]
}

fn identity() -> impl Strategy<Value = Identity> {
    use Identity::*;
    prop_oneof![8 => Just(Same), 1 => Just(Nothing), 1 => Just(OtherSex), 1 => Just(BornYearsApart), 1 => Just(OtherName)]
}

fn post() -> impl Strategy<Value = Post> {
    let case_id = prop_oneof![4 => Just(None), 4 => Just(Some(0)), 1 => Just(Some(1_usize))];
    (0..2_usize, person(), case_id).prop_map(|(number, person, case_id)| Post { number, person, case_id })
}

fn lie() -> impl Strategy<Value = Lie> {
    let search = prop_oneof![2 => Just(Search::ByNumber), 2 => Just(Search::ByCaseId), 1 => Just(Search::ByPart)];
    let answer = prop_oneof![
        2 => Just(Answer::Empty), 1 => Just(Answer::Everybody), 3 => (0..3_usize).prop_map(Answer::One), 1 => (0..3_usize).prop_map(Answer::Twice)
    ];
    (search, answer).prop_filter_map("a search by part may rightly find others", |(search, answer)| {
        let can_lie = search != Search::ByPart || matches!(answer, Answer::Empty | Answer::Everybody);
        can_lie.then_some(Lie { search, answer })
    })
}

fn trouble() -> impl Strategy<Value = Trouble> {
    use How::*;
    let endpoint = prop_oneof![3 => Just(Endpoint::PatchCase), 3 => Just(Endpoint::CreateCase), 1 => Just(Endpoint::GetCase)];
    let how = prop_oneof![1 => Just(Cut), 3 => Just(CutAfterEffect), 1 => Just(Status500), 1 => Just(HtmlAfterEffect)];
    (endpoint, how).prop_map(|(endpoint, how)| Trouble { endpoint, how })
}

fn edit() -> impl Strategy<Value = Edit> {
    let endpoint = prop_oneof![
        2 => Just(Endpoint::CaseSearch), 1 => Just(Endpoint::CaseQuery), 2 => Just(Endpoint::GetCase), 1 => Just(Endpoint::Forms),
        2 => Just(Endpoint::PatchCase), 2 => Just(Endpoint::CreateCase),
    ];
    let case = || prop_oneof![3 => Just(0_usize), 2 => Just(1), 1 => Just(2)];
    let what = prop_oneof![
        3 => (case(), person(), spelling()).prop_map(|(case, person, number)| What::Number(case, person, number)),
        2 => (case(), place()).prop_map(|(case, place)| What::Place(case, place)),
        1 => (case(), status()).prop_map(|(case, status)| What::Status(case, status)),
        1 => (case(), identity()).prop_map(|(case, identity)| What::Identity(case, identity)),
        1 => (case(), 0..2_usize).prop_map(|(case, id)| What::CaseId(case, id)),
        1 => case().prop_map(What::EraseServices),
        2 => child().prop_map(What::Register),
    ];
    (endpoint, 0..3_usize, what).prop_map(|(endpoint, nth, what)| Edit { endpoint, nth, what })
}

impl Spelling {
    /// The number as it stands.
    pub fn of(self, person: usize) -> Value {
        let number = PEOPLE[person];
        match self {
            Self::Exact => json!(number),
            Self::LowerCase => json!(number.to_lowercase()),
            Self::WithBlanks => json!(format!(" {number} ")),
            Self::OneZeroMore => json!(format!("0{number}")),
            Self::WithoutZeros => json!(number.trim_start_matches('0')),
            Self::Longer => json!(format!("{number}1")),
            Self::Blank => json!("  "),
            Self::Missing => Value::Null,
        }
    }
}

impl Place {
    /// What says so.
    pub fn fields(self) -> Value {
        let (module, enabled) = match self {
            Self::InReach => ("primeromodule-cp", true),
            Self::OtherModule => ("primeromodule-gbv", true),
            Self::Disabled => ("primeromodule-cp", false),
        };
        json!({ "module_id": module, "record_state": enabled })
    }
}

impl Identity {
    /// What says so.
    pub fn fields(self) -> Value {
        let (sex, born, first, last) = match self {
            Self::Same => ("female", "2014-05-06", "Testina", "Examplename"),
            Self::Nothing => return json!({ "sex": null, "date_of_birth": null, "name_first": null, "name_last": null }),
            Self::OtherSex => ("male", "2014-05-06", "Testina", "Examplename"),
            Self::BornYearsApart => ("female", "2009-05-06", "Testina", "Examplename"),
            Self::OtherName => ("female", "2014-05-06", "Sample", "Otherwise"),
        };
        json!({ "sex": sex, "date_of_birth": born, "name_first": first, "name_last": last })
    }
}

impl Child {
    /// The case as it is registered.
    pub fn document(self) -> Value {
        let mut document = json!({ "status": self.status, "unhcr_individual_no": self.number.of(self.person) });
        let fields = document.as_object_mut().expect("an object");
        for said in [self.place.fields(), self.identity.fields()] {
            fields.extend(said.as_object().expect("an object").clone());
        }
        if let Some(id) = self.case_id {
            document["case_id"] = json!(CASE_IDS[id]);
        }
        document
    }
}

impl Post {
    /// The row. Its note tells which post it was, so that whatever is written tells what it comes from.
    pub fn row(self, place: usize) -> Value {
        let case_id = self.case_id.map(|id| CASE_IDS[id]);
        let note = note(place);
        intervention(
            NUMBERS[self.number],
            json!({ "individuals.progres_id": PEOPLE[self.person], "progres_primeroid": case_id, "progres_interventiondescription": note }),
        )
    }
}

/// The note of a post.
pub fn note(place: usize) -> String {
    format!("Invented post {place}")
}
