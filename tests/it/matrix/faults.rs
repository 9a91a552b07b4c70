//! Every fault: how it is called in the table, and how the simulators are made to show it at one call.
//!
//! It knows no outcome.

use std::time::Duration;

use referrald::{
    referral::System,
    sandbox::{Fault, Gate, Planted, Rule, Shows},
};
use serde_json::json;

use super::calls::{Call, Kind};
use crate::world::World;

macro_rules! broken {
    ($($name:ident $title:literal;)+) => {
        /// What goes wrong at a call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Broken { $($name),+ }

        impl Broken {
            /// All, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// As the table calls it.
            pub const fn title(self) -> &'static str { match self { $(Self::$name => $title),+ } }
        }
    };
}

broken! {
    Refused "connection refused";
    ResetBefore "connection cut, request not carried out";
    ResetAfter "connection cut, request carried out";
    TimeoutBefore "no answer in time, request not carried out";
    TimeoutAfter "no answer in time, request carried out";
    Drip "half of the answer, then nothing more in time";
    Truncated "half of the answer, then cut";
    Html "200, an HTML page";
    Empty "200, empty";
    WrongJson "200, other JSON";
    Huge "200, 64 MiB";
    Moved "301";
    BadRequest "400";
    Unauthorized "401";
    ForbiddenHere "403, here alone";
    ForbiddenEverywhere "403, on everything";
    NotFound "404, as the system words it";
    NoSuchPage "404, an HTML page";
    RequestTimeout "408";
    Conflict "409";
    InvalidOurs "422, names a constant of ours";
    InvalidTheirs "422, names a value of DTP's";
    InvalidTable "422, names a result of our tables";
    Invalid "422";
    TooMany "429";
    TooManyWait "429, `Retry-After: 600`";
    ServerError "500";
    BadGateway "502, an HTML page";
    UnavailableWait "503, `Retry-After: 60`";
    TlsRefused "TLS refused";
    CertificateUnknown "certificate of an unknown authority";
    CertificateExpired "certificate expired";
    CertificateForAnother "certificate for another name";
}

/// How long something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// At one request; what is wrong with a whole system, until the attempt has ended.
    Once,
    /// At every such request from then on.
    Always,
}

/// A fault in its place.
pub struct Trouble {
    planted: Vec<Planted>,
    door: Option<System>,
    gate: Gate,
}

impl Broken {
    /// What a 422 names is looked at only where something was written that came out of the mapping.
    pub fn fits(self, call: Call) -> bool {
        let writes_mapped = matches!(call, Call::Create | Call::AddService);
        match self {
            Self::InvalidOurs | Self::InvalidTheirs | Self::InvalidTable => writes_mapped,
            _ => true,
        }
    }

    /// Whether somebody waits for an answer in vain.
    pub const fn is_slow(self) -> bool {
        matches!(self, Self::TimeoutBefore | Self::TimeoutAfter | Self::Drip)
    }

    /// Whether it is about the handshake.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::TlsRefused | Self::CertificateUnknown | Self::CertificateExpired | Self::CertificateForAnother)
    }

    /// What the handshake shows; `None` if it is another fault.
    const fn shows(self) -> Option<Shows> {
        match self {
            Self::TlsRefused => Some(Shows::Refusal),
            Self::CertificateUnknown => Some(Shows::UnknownAuthority),
            Self::CertificateExpired => Some(Shows::Expired),
            Self::CertificateForAnother => Some(Shows::WrongName),
            _ => None,
        }
    }

    /// Plants it at a call of a story that is arranged.
    pub async fn plant(self, world: &World, call: Call, lasts: Lasts) -> Trouble {
        let system = call.system();
        let mut trouble = Trouble { planted: Vec::new(), door: None, gate: Gate::closed() };
        let faults = match system {
            System::Primero => world.stage.primero.faults(),
            System::Dtp => world.stage.dtp.faults(),
        };
        if self == Self::Refused || self.is_tls() {
            trouble.door = Some(system);
            let (primero, dtp, shows) = (world.stage.primero.clone(), world.stage.dtp.clone(), self.shows());
            let close = move || {
                let (primero, dtp) = (primero.clone(), dtp.clone());
                async move {
                    match (system, shows) {
                        (System::Primero, None) => primero.refuse_connections().await,
                        (System::Dtp, None) => dtp.refuse_connections().await,
                        (System::Primero, Some(shows)) => primero.show_next(shows),
                        (System::Dtp, Some(shows)) => dtp.show_next(shows),
                    }
                }
            };
            match call.place().checked_sub(1) {
                None => close().await,
                // The answer before is the last on its connection; the call needs a new one.
                Some(before) => {
                    trouble.planted.push(faults.plant(Rule::any().skip(before).once(), Fault::last_on_its_connection(close)));
                }
            }
            return trouble;
        }
        let rule = match (self, lasts) {
            (Self::ForbiddenEverywhere, _) => Rule::any().skip(call.place()),
            (_, Lasts::Always) => Rule::on(call.endpoint()).skip(call.nth()),
            (_, Lasts::Once) => Rule::on(call.endpoint()).skip(call.nth()).once(),
        };
        trouble.planted.push(faults.plant(rule, self.fault(call, &trouble.gate)));
        trouble
    }

    fn fault(self, call: Call, gate: &Gate) -> Fault {
        let page = |status| Fault::answer(status, "text/html", format!("<html><body><h1>{status}</h1></body></html>"));
        let invalid = |pointer: &str| {
            let error =
                json!({ "status": 422, "resource": "/api/v2/cases", "detail": [pointer], "message": "Invalid Record JSON" });
            Fault::answer(422, "application/json; charset=utf-8", json!({ "errors": [error] }).to_string())
        };
        match self {
            Self::Refused
            | Self::TlsRefused
            | Self::CertificateUnknown
            | Self::CertificateExpired
            | Self::CertificateForAnother => {
                unreachable!("this is about the connection")
            }
            Self::ResetBefore => Fault::cut(),
            Self::ResetAfter => Fault::cut().after_effect(),
            Self::TimeoutBefore => Fault::hold(gate),
            Self::TimeoutAfter => Fault::hold(gate).after_effect(),
            Self::Drip => Fault::stalled(),
            Self::Truncated => Fault::truncated(),
            Self::Html => Fault::html_page(),
            // From DTP these are successes.
            Self::Empty if call.kind() == Kind::Post => Fault::empty().after_effect(),
            Self::WrongJson if call.kind() == Kind::Post => Fault::wrong_json().after_effect(),
            Self::Empty => Fault::empty(),
            Self::WrongJson => Fault::wrong_json(),
            Self::Huge => Fault::huge(64 << 20),
            Self::Moved => Fault::moved("https://elsewhere.example.org/"),
            Self::BadRequest => Fault::status(400),
            Self::Unauthorized => Fault::status(401),
            Self::ForbiddenHere | Self::ForbiddenEverywhere => Fault::status(403),
            Self::NotFound => Fault::status(404),
            Self::NoSuchPage => page(404),
            Self::RequestTimeout => page(408),
            Self::Conflict => Fault::status(409),
            Self::InvalidOurs => invalid("/services_section/0/service_implementing_agency"),
            Self::InvalidTheirs => invalid("/services_section/0/service_response_day_time"),
            Self::InvalidTable => invalid("/services_section/0/service_type"),
            Self::Invalid if call.kind() == Kind::Write && call.errand() == super::calls::Errand::Record => invalid("status"),
            Self::Invalid => Fault::status(422),
            Self::TooMany => Fault::status(429),
            Self::TooManyWait => Fault::status(429).retry_after("600"),
            Self::ServerError => Fault::status(500),
            Self::BadGateway => page(502),
            Self::UnavailableWait => Fault::status(503).retry_after("60"),
        }
    }
}

impl Trouble {
    /// Puts it right.
    pub async fn heal(&self, world: &World) {
        for planted in &self.planted {
            planted.pull();
        }
        match self.door {
            None => {}
            Some(System::Primero) => {
                world.stage.primero.show_next(Shows::Good);
                world.stage.primero.come_up().await.expect("the port is free");
            }
            Some(System::Dtp) => {
                world.stage.dtp.show_next(Shows::Good);
                world.stage.dtp.come_up().await.expect("the port is free");
            }
        }
    }

    /// Whether a request has met it. Of a closed door nobody knows.
    pub fn was_met(&self) -> bool {
        self.door.is_some() || self.planted.iter().all(|planted| planted.met() > 0)
    }

    /// Lets everybody go who still waits for an answer.
    pub fn release(&self) {
        self.gate.open();
    }
}

/// A time limit that is short, but long enough for every answer that does come.
pub const SHORT: &str = "5s";
/// A time limit that no answer meets, however busy the machine is.
pub const LONG: &str = "60s";

/// What passes while a fault lasts: the first new attempts, late, held for too long, given up.
pub const FOUR_DAYS: [Duration; 5] = {
    const HOUR: u64 = 3600;
    [
        Duration::from_secs(HOUR / 2 + 60),
        Duration::from_secs(4 * HOUR),
        Duration::from_secs(20 * HOUR),
        Duration::from_secs(24 * HOUR),
        Duration::from_secs(48 * HOUR),
    ]
};
