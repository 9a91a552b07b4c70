//! Faults on demand: which requests they meet, and what happens to those.
//!
//! It knows no route and no record; what a failing status looks like on the wire is the simulators' own affair.

mod gate;

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
pub use gate::Gate;

use super::{locked, wire::Asked};

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `GET cases` with a range of `last_updated_at`.
    ChangedCases,
    /// `GET cases` with `query=`.
    CaseQuery,
    /// Any other `GET cases`.
    CaseSearch,
    /// `GET cases/:id`
    GetCase,
    /// `POST cases`
    CreateCase,
    /// `PATCH cases/:id`
    PatchCase,
    /// `DELETE cases/:id`
    DisableCase,
    /// `GET cases/:id/referrals`
    ListReferrals,
    /// `POST cases/:id/referrals`
    CreateReferral,
    /// `PATCH cases/:id/referrals/:id`
    PatchReferral,
    /// `DELETE cases/:id/referrals/:id`
    RevokeReferral,
    /// `GET users`
    Users,
    /// `GET users/:id`
    GetUser,
    /// `GET forms`
    Forms,
    /// `GET lookups`
    Lookups,
    /// `POST` and `DELETE tokens`
    Tokens,
    /// `GET primero`, the public page.
    Primero,
    /// `GET /health`
    Health,
    /// DTP's `ReceiveIncomingReferral`.
    DtpReferral,
    /// DTP's `ReceiveDecisionOutgoingReferral`.
    DtpDecision,
    /// Nothing we know.
    Other,
}

/// Which requests a fault meets: all that fit, until it is used up.
#[derive(Clone)]
pub struct Rule {
    endpoint: Option<Endpoint>,
    conditions: Vec<Condition>,
    skip: usize,
    times: usize,
}

type Condition = Arc<dyn Fn(&Asked) -> bool + Send + Sync>;

impl Rule {
    /// Every request.
    #[must_use]
    pub fn any() -> Self {
        Self { endpoint: None, conditions: Vec::new(), skip: 0, times: usize::MAX }
    }

    /// Every request about this.
    #[must_use]
    pub fn on(endpoint: Endpoint) -> Self {
        Self { endpoint: Some(endpoint), ..Self::any() }
    }

    /// Only requests whose path, query or body contains this text: a key, a number.
    #[must_use]
    pub fn naming(self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.when(move |asked| {
            let body_names_it = asked.body.windows(text.len().max(1)).any(|window| window == text.as_bytes());
            asked.path.contains(&text) || asked.query.iter().any(|(_, value)| value.contains(&text)) || body_names_it
        })
    }

    /// Only requests that fulfil this.
    #[must_use]
    pub fn when(mut self, condition: impl Fn(&Asked) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Arc::new(condition));
        self
    }

    /// Leaves the first `count` requests that fit alone.
    #[must_use]
    pub fn skip(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    /// Meets one request only.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Meets so many requests only.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.times = count;
        self
    }

    fn fits(&self, asked: &Asked) -> bool {
        self.endpoint.is_none_or(|endpoint| endpoint == asked.endpoint)
            && self.conditions.iter().all(|condition| condition(asked))
    }
}

/// What happens to a request: by default before it has had any effect.
#[derive(Clone)]
pub struct Fault {
    pub(super) after_effect: bool,
    pub(super) what: What,
}

#[derive(Clone)]
pub(super) enum What {
    /// Answers with this, in the simulator's own words where no body is given.
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Option<(String, Bytes)>,
    },
    Huge(usize),
    Truncate,
    Stall,
    Cut,
    Delay(Duration),
    Drip(Duration),
    Hold(Gate),
    Run(Arc<dyn Fn() + Send + Sync>),
    Last(Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>),
}

impl Fault {
    /// Answers with a status, worded as the simulated system words it.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::before(What::Answer { status, headers: Vec::new(), body: None })
    }

    /// Answers with exactly this. A blank content type sends none.
    #[must_use]
    pub fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::before(What::Answer { status, headers: Vec::new(), body: Some((content_type.to_owned(), body.into())) })
    }

    /// Answers 200 with an HTML page, as a proxy or a maintenance page does.
    #[must_use]
    pub fn html_page() -> Self {
        Self::answer(200, "text/html", "<!DOCTYPE html><html><body><h1>Maintenance</h1></body></html>")
    }

    /// Answers 200 with nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::answer(200, "application/json; charset=utf-8", "")
    }

    /// Answers 200 with JSON of another shape than promised.
    #[must_use]
    pub fn wrong_json() -> Self {
        Self::answer(200, "application/json; charset=utf-8", r#"{"something":["else"]}"#)
    }

    /// Answers 200 with JSON of about so many bytes, without saying before how many.
    #[must_use]
    pub fn huge(bytes: usize) -> Self {
        Self::before(What::Huge(bytes))
    }

    /// Answers that it has moved for good.
    #[must_use]
    pub fn moved(location: &str) -> Self {
        let page = Some(("text/html".to_owned(), Bytes::from_static(b"<html><body>Moved Permanently</body></html>")));
        Self::before(What::Answer { status: 301, headers: vec![("location", location.to_owned())], body: page })
    }

    /// Lets the request have its effect, but only half of the answer comes before the connection is cut.
    #[must_use]
    pub fn truncated() -> Self {
        Self { after_effect: true, what: What::Truncate }
    }

    /// Lets the request have its effect, but only half of the answer comes, and then nothing more.
    #[must_use]
    pub fn stalled() -> Self {
        Self { after_effect: true, what: What::Stall }
    }

    /// Lets the answer be the last on its connection; before it goes out something happens that the next connection meets.
    #[must_use]
    pub fn last_on_its_connection<F>(before: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { after_effect: true, what: What::Last(Arc::new(move || Box::pin(before()))) }
    }

    /// Cuts the connection without an answer.
    #[must_use]
    pub fn cut() -> Self {
        Self::before(What::Cut)
    }

    /// Waits, by the simulator's clock.
    #[must_use]
    pub fn delay(by: Duration) -> Self {
        Self::before(What::Delay(by))
    }

    /// The answer, headers first, comes byte by byte, each after this time on the simulator's clock; so do later ones on that connection.
    #[must_use]
    pub fn drip(every: Duration) -> Self {
        Self { after_effect: true, what: What::Drip(every) }
    }

    /// Holds the request until the gate lets it through.
    #[must_use]
    pub fn hold(gate: &Gate) -> Self {
        Self::before(What::Hold(gate.clone()))
    }

    /// Runs something, such as a change of the world; the request then goes on.
    #[must_use]
    pub fn run(what: impl Fn() + Send + Sync + 'static) -> Self {
        Self::before(What::Run(Arc::new(what)))
    }

    /// Happens after the request has had its effect, in place of the answer or before it.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.after_effect = true;
        self
    }

    /// Adds `Retry-After` to an answer; other faults have no use for it.
    #[must_use]
    pub fn retry_after(self, value: impl Into<String>) -> Self {
        self.with_header("retry-after", value)
    }

    /// Adds a header to an answer; other faults have no use for it.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let What::Answer { headers, .. } = &mut self.what {
            headers.push((name, value.into()));
        }
        self
    }

    fn before(what: What) -> Self {
        Self { after_effect: false, what }
    }
}

/// The faults planted in a simulator. Clones are the same.
#[derive(Clone, Default)]
pub struct Faults {
    planted: Arc<Mutex<Vec<Arc<Plant>>>>,
    any: Arc<AtomicBool>,
}

struct Plant {
    rule: Rule,
    fault: Fault,
    seen: AtomicUsize,
    met: AtomicUsize,
    pulled: AtomicBool,
}

/// A fault in its place.
#[derive(Clone)]
pub struct Planted(Arc<Plant>);

impl Planted {
    /// How many requests it has met.
    #[must_use]
    pub fn met(&self) -> usize {
        self.0.met.load(Ordering::SeqCst)
    }

    /// Takes it away.
    pub fn pull(&self) {
        self.0.pulled.store(true, Ordering::SeqCst);
    }
}

impl Faults {
    /// Plants a fault. Several may meet the same request: they happen in the order they were planted, until one of them answers.
    pub fn plant(&self, rule: Rule, fault: Fault) -> Planted {
        let plant =
            Arc::new(Plant { rule, fault, seen: AtomicUsize::new(0), met: AtomicUsize::new(0), pulled: AtomicBool::new(false) });
        locked(&self.planted).push(plant.clone());
        self.any.store(true, Ordering::SeqCst);
        Planted(plant)
    }

    /// Takes all faults away.
    pub fn clear(&self) {
        locked(&self.planted).clear();
        self.any.store(false, Ordering::SeqCst);
    }

    /// The faults this request meets, each counted as met.
    pub(super) fn claim(&self, asked: &Asked) -> Vec<Fault> {
        if !self.any.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let mut planted = locked(&self.planted);
        planted.retain(|plant| !plant.pulled.load(Ordering::SeqCst));
        // Only this lock's holder counts, so a rule never meets more requests than it is allowed.
        let claims = |plant: &&Arc<Plant>| {
            plant.rule.fits(asked)
                && plant.seen.fetch_add(1, Ordering::SeqCst) >= plant.rule.skip
                && plant.met.load(Ordering::SeqCst) < plant.rule.times
        };
        let claimed = planted.iter().filter(claims);
        claimed
            .map(|plant| {
                plant.met.fetch_add(1, Ordering::SeqCst);
                plant.fault.clone()
            })
            .collect()
    }
}
