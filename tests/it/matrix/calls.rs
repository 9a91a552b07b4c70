//! Every call of every flow: what it asks, in which story it is made, and what stands before it.
//!
//! It knows no fault.

use std::time::Duration;

use referrald::{
    referral::{System, Walk},
    sandbox::{Endpoint, Fault, Rule, primero::CASE_WORKER},
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    privacy::markers::{COMMENT, PERSON, REASON, child, mark_staff, marked, referred},
    world::World,
};

/// The number of the one intervention.
pub const NUMBER: &str = "989-26-TEST-0001";
const HOUR: Duration = Duration::from_secs(3600);

/// A story in which calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// UNHCR refers a child whom Primero does not know.
    NewChild,
    /// Likewise, and names a case.
    CaseNamed,
    /// Likewise, and the answer to the creation is lost.
    UnclearCreation,
    /// UNHCR refers a child whom Primero knows.
    KnownChild,
    /// Likewise, and the case lacks UNHCR's group number.
    NumberLacking,
    /// A case worker has accepted what UNHCR referred, and the walk notices.
    Decided,
    /// A case worker has referred a child to UNHCR, and the walk notices.
    Referred,
    /// Likewise, but DTP was unwell, and it goes later.
    ReferredLater,
    /// A referral that left is read again the next day.
    Watched,
    /// UNHCR accepts a referral.
    Accepted,
    /// UNHCR rejects a referral.
    Rejected,
    /// Likewise, and Primero has recorded it but does not let us see the answer.
    RejectedUnseen,
}

/// What is to be done when a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    Open,
    Feedback,
    Walk,
    LookForDecisions,
    Report,
    LookForReferrals,
    Send,
    Record,
}

impl Errand {
    /// As the state calls it; a walk is none.
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::Open => Some("open_intervention"),
            Self::Feedback => Some("send_feedback"),
            Self::Walk => None,
            Self::LookForDecisions | Self::LookForReferrals => Some("look"),
            Self::Report => Some("report_decision"),
            Self::Send => Some("send_referral"),
            Self::Record => Some("record_decision"),
        }
    }
}

/// What kind of request a call is: tells what an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads a list; names no record.
    List,
    /// Reads one record, or what belongs to one.
    Record,
    /// Makes or changes a record.
    Write,
    /// Hands DTP a message.
    Post,
}

macro_rules! calls {
    ($($name:ident: $story:ident $errand:ident $endpoint:ident[$nth:literal] $title:literal;)+) => {
        /// One call of one flow.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Call { $($name),+ }

        impl Call {
            /// All, in the order of the flows.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            pub const fn story(self) -> Story { match self { $(Self::$name => Story::$story),+ } }
            pub const fn errand(self) -> Errand { match self { $(Self::$name => Errand::$errand),+ } }
            pub const fn endpoint(self) -> Endpoint { match self { $(Self::$name => Endpoint::$endpoint),+ } }
            /// How many requests of its kind its story makes before it.
            pub const fn nth(self) -> usize { match self { $(Self::$name => $nth),+ } }
            pub const fn title(self) -> &'static str { match self { $(Self::$name => $title),+ } }
        }
    };
}

calls! {
    SearchNumber: NewChild Open CaseSearch[0] "Flow 1, opening: search by UNHCR's individual number (`GET cases?unhcr_individual_no=`)";
    SearchCase: CaseNamed Open CaseSearch[0] "Flow 1, opening: search by the case number that UNHCR gave (`GET cases?case_id=`)";
    SearchSimilar: NewChild Open CaseQuery[0] "Flow 1, opening: search for similar numbers (`GET cases?query=`)";
    Create: NewChild Open CreateCase[0] "Flow 1, opening: make a case (`POST cases`)";
    ReadMade: UnclearCreation Open GetCase[0] "Flow 1, opening: read the case after an unclear answer to its creation (`GET cases/ID`)";
    ConfirmMade: NewChild Open GetCase[0] "Flow 1, opening: confirm a new case (`GET cases/ID`)";
    Role: NumberLacking Open Users[0] "Flow 1, opening: what may our role read? (`GET users?user_name=`, our own)";
    Forms: NumberLacking Open Forms[0] "Flow 1, opening: which fields are on its forms? (`GET forms`)";
    ReadAgain: NumberLacking Open GetCase[0] "Flow 1, opening: read the case before an empty number is filled in (`GET cases/ID`)";
    AddService: KnownChild Open PatchCase[0] "Flow 1, opening: add the service to a case (`PATCH cases/ID`)";
    ConfirmAdded: KnownChild Open GetCase[0] "Flow 1, opening: confirm an added service (`GET cases/ID`)";
    Feedback: NewChild Feedback DtpDecision[0] "Flow 1, feedback: tell DTP that it was delivered (`POST ReceiveDecisionOutgoingReferral`)";
    WalkDecisions: Decided Walk ChangedCases[0] "Flow 1, decisions: read what changed (`GET cases?last_updated_at=`)";
    LookDecided: Decided LookForDecisions GetCase[0] "Flow 1, decisions: look at a changed case (`GET cases/ID`)";
    ReadDecided: Decided Report GetCase[1] "Flow 1, decisions: read the case at the moment of sending (`GET cases/ID`)";
    Report: Decided Report DtpDecision[0] "Flow 1, decisions: tell DTP (`POST ReceiveDecisionOutgoingReferral`)";
    WalkReferrals: Referred Walk ChangedCases[0] "Flow 2: read what changed (`GET cases?last_updated_at=`)";
    LookReferred: Referred LookForReferrals GetCase[0] "Flow 2: look at a changed case (`GET cases/ID`)";
    LookReferrals: Referred LookForReferrals ListReferrals[0] "Flow 2: read its referrals (`GET cases/ID/referrals`)";
    LookOwner: Referred LookForReferrals Users[0] "Flow 2: read the owner's contact (`GET users?user_name=`)";
    Send: Referred Send DtpReferral[0] "Flow 2: send a referral (`POST ReceiveIncomingReferral`)";
    ReadToSend: ReferredLater Send GetCase[0] "Flow 2: read the case of a referral that waited (`GET cases/ID`)";
    ReferralsToSend: ReferredLater Send ListReferrals[0] "Flow 2: read the referral that waited (`GET cases/ID/referrals`)";
    OwnerToSend: ReferredLater Send Users[0] "Flow 2: read the owner of a referral that waited (`GET users?user_name=`)";
    SendLater: ReferredLater Send DtpReferral[0] "Flow 2: send a referral that waited (`POST ReceiveIncomingReferral`)";
    WatchCase: Watched LookForReferrals GetCase[0] "Flow 2, withdrawal watch: read the case again (`GET cases/ID`)";
    WatchReferrals: Watched LookForReferrals ListReferrals[0] "Flow 2, withdrawal watch: read the referrals again (`GET cases/ID/referrals`)";
    FindCase: Accepted Record CaseSearch[0] "Flow 2, decisions: find the case (`GET cases?case_id=`)";
    FindReferral: Accepted Record ListReferrals[0] "Flow 2, decisions: find the referral (`GET cases/ID/referrals`)";
    Accept: Accepted Record PatchReferral[0] "Flow 2, decisions: record an acceptance (`PATCH cases/ID/referrals/ID`)";
    Reject: Rejected Record PatchReferral[0] "Flow 2, decisions: record a rejection (`PATCH cases/ID/referrals/ID`)";
    VerifyRejection: RejectedUnseen Record ListReferrals[1] "Flow 2, decisions: verify a rejection whose answer was refused (`GET cases/ID/referrals`)";
}

impl Call {
    /// Whom it asks.
    pub const fn system(self) -> System {
        match self.endpoint() {
            Endpoint::DtpReferral | Endpoint::DtpDecision => System::Dtp,
            _ => System::Primero,
        }
    }

    pub const fn kind(self) -> Kind {
        match self.endpoint() {
            Endpoint::DtpReferral | Endpoint::DtpDecision => Kind::Post,
            Endpoint::CreateCase | Endpoint::PatchCase | Endpoint::PatchReferral => Kind::Write,
            Endpoint::GetCase | Endpoint::ListReferrals => Kind::Record,
            _ => Kind::List,
        }
    }

    /// How many requests its story makes to its system before it.
    pub fn place(self) -> usize {
        let requests = self.story().requests(self.system());
        let mut places = requests.iter().enumerate().filter(|(_, endpoint)| **endpoint == self.endpoint());
        places.nth(self.nth()).expect("the story makes this call").0
    }
}

/// What a story is about, once it is arranged.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The case, if there is one.
    pub case: Option<Uuid>,
    /// The referral.
    pub referral: Option<Uuid>,
    /// The id under which DTP knows it.
    pub outgoing: String,
}

impl Story {
    pub const ALL: [Self; 12] = [
        Self::NewChild,
        Self::CaseNamed,
        Self::UnclearCreation,
        Self::KnownChild,
        Self::NumberLacking,
        Self::Decided,
        Self::Referred,
        Self::ReferredLater,
        Self::Watched,
        Self::Accepted,
        Self::Rejected,
        Self::RejectedUnseen,
    ];

    /// The requests that it makes when nothing goes wrong, in order.
    pub const fn requests(self, to: System) -> &'static [Endpoint] {
        use Endpoint as E;
        match (to, self) {
            (System::Primero, Self::NewChild) => &[E::CaseSearch, E::CaseQuery, E::CreateCase, E::GetCase],
            (System::Primero, Self::CaseNamed) => &[E::CaseSearch, E::CaseSearch, E::CaseQuery, E::CreateCase, E::GetCase],
            (System::Primero, Self::UnclearCreation) => &[E::CaseSearch, E::CaseQuery, E::CreateCase, E::GetCase, E::GetCase],
            (System::Primero, Self::KnownChild) => &[E::CaseSearch, E::PatchCase, E::GetCase],
            (System::Primero, Self::NumberLacking) => &[E::CaseSearch, E::Users, E::Forms, E::GetCase, E::PatchCase, E::GetCase],
            (System::Primero, Self::Decided) => &[E::ChangedCases, E::GetCase, E::GetCase],
            (System::Primero, Self::Referred) => &[E::ChangedCases, E::GetCase, E::ListReferrals, E::Users],
            (System::Primero, Self::ReferredLater) => &[E::GetCase, E::ListReferrals, E::Users],
            (System::Primero, Self::Watched) => &[E::GetCase, E::ListReferrals],
            (System::Primero, Self::Accepted | Self::Rejected) => &[E::CaseSearch, E::ListReferrals, E::PatchReferral],
            (System::Primero, Self::RejectedUnseen) => &[E::CaseSearch, E::ListReferrals, E::PatchReferral, E::ListReferrals],
            (System::Dtp, Self::Referred | Self::ReferredLater) => &[E::DtpReferral],
            (System::Dtp, Self::Watched | Self::Accepted | Self::Rejected | Self::RejectedUnseen) => &[],
            (
                System::Dtp,
                Self::NewChild | Self::CaseNamed | Self::UnclearCreation | Self::KnownChild | Self::NumberLacking | Self::Decided,
            ) => &[E::DtpDecision],
        }
    }

    /// Sets the scene. What was asked and told for that is forgotten, and no connection of it is left.
    pub async fn arrange(self, world: &World) -> Told {
        mark_staff(world);
        let (primero, dtp) = (&world.stage.primero, &world.stage.dtp);
        for faults in [primero.faults(), dtp.faults()] {
            faults.plant(Rule::any(), Fault::last_on_its_connection(|| std::future::ready(())));
        }
        let mut told = Told::default();
        match self {
            Self::NewChild | Self::CaseNamed | Self::UnclearCreation => {}
            Self::KnownChild => told.case = Some(world.register(child(&json!({})))),
            Self::NumberLacking => told.case = Some(world.register(child(&json!({ "unhcr_id_no": null })))),
            Self::Decided => {
                world.refer(json!([marked(NUMBER)])).await;
                let case = world.case_of(PERSON);
                let service = primero.services(case)[0]["unique_id"].as_str().unwrap().parse().unwrap();
                world.clock.advance(HOUR);
                let decided = json!({ "unhcr_referral_status": "accepted", "unhcr_referral_rejection_reason": REASON });
                primero.staff(CASE_WORKER).edit_service(case, service, decided);
                told.case = Some(case);
            }
            Self::Referred | Self::ReferredLater | Self::Watched | Self::Accepted | Self::Rejected | Self::RejectedUnseen => {
                let (case, referral, outgoing) = referred(world, &json!({}));
                told = Told { case: Some(case), referral: Some(referral), outgoing };
                if self == Self::ReferredLater {
                    dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), Fault::status(500));
                }
                if self != Self::Referred {
                    world.walk(Walk::Referrals).await;
                }
            }
        }
        for faults in [primero.faults(), dtp.faults()] {
            faults.clear();
        }
        if self == Self::UnclearCreation {
            primero.faults().plant(Rule::on(Endpoint::CreateCase).once(), Fault::cut().after_effect());
        }
        if self == Self::RejectedUnseen {
            primero.faults().plant(Rule::on(Endpoint::PatchReferral).once(), Fault::status(403).after_effect());
        }
        primero.log().clear();
        dtp.log().clear();
        dtp.clear();
        world.forget();
        told
    }

    /// Lets it happen.
    pub async fn happen(self, world: &World, told: &Told) {
        let decision = |code: &str| {
            json!([{
                "progres_orgreferralid": told.outgoing, "progres_reviewdecision": code,
                "progres_interoperabiltyreferralrejectionreason": "125080001",
                "progres_interoperabilityreferralrejectionomment": COMMENT,
            }])
        };
        match self {
            Self::NewChild | Self::UnclearCreation | Self::KnownChild | Self::NumberLacking => {
                world.refer(json!([marked(NUMBER)])).await;
            }
            Self::CaseNamed => {
                let mut row = marked(NUMBER);
                row["progres_primeroid"] = json!("5eed0000-0000-4000-8000-000000000077");
                world.refer(json!([row])).await;
            }
            Self::Decided => self.walk(world).await,
            Self::Referred => self.walk(world).await,
            // What is known of the owner is forgotten after ten minutes.
            Self::ReferredLater => world.pass(HOUR / 3).await,
            Self::Watched => world.pass(25 * HOUR).await,
            Self::Accepted => world.decide(decision("125080000")).await,
            Self::Rejected | Self::RejectedUnseen => world.decide(decision("125080001")).await,
        }
    }

    /// The walk of this story; it may fail.
    pub async fn walk(self, world: &World) {
        let walk = if self == Self::Decided { Walk::Decisions } else { Walk::Referrals };
        // How it ended stands in the activity.
        let _ = world.try_walk(walk).await;
        world.settle().await;
    }
}
