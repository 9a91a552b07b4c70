//! What may leave: named cases, each a good referral with one thing spoiled.

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    personal::Personal,
    referral::{CaseKey, ReferralId},
};

mod combinations;

const SERVICE: &str = "00000000-0000-4000-8000-0123456789ab";
const OTHER_SERVICE: &str = "00000000-0000-4000-8000-ba9876543210";

/// Everything that the verdict depends on, ready to be spoiled one by one.
#[derive(Clone)]
struct Scene {
    lists: Referrals,
    consent: Consent,
    agreement: Agreement,
    case: Case,
    service: Option<Document>,
    referral: Referral,
    released: Option<Basis>,
    now: DateTime<Utc>,
}

impl Scene {
    /// A referral to which nothing is objected.
    fn good() -> Self {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let key = CaseKey(Uuid::from_u128(1));
        Self {
            lists: Referrals {
                implementing_agencies: names(&["UNHCR"]),
                recipients: names(&["unhcr_cw@test.example"]),
                recipient_agencies: names(&["UNHCR"]),
                owner_agencies: names(&["AGENCY-1", "AGENCY-2"]),
                service_types: names(&["alternative_care"]),
                modules: names(&["primeromodule-cp"]),
            },
            consent: Consent {
                require: names(&["consent_for_services", "disclosure_other_orgs"]),
                hold_if_set: names(&["protection_restriction"]),
                valid_until_field: Some("consent_until".to_owned()),
                exception: ConsentException::Hold,
            },
            agreement: Agreement {
                reference: "TEST-1".to_owned(),
                valid_from: at("2026-01-01T00:00:00Z"),
                valid_until: at("2026-12-31T21:00:00Z"),
            },
            case: Case {
                key,
                enabled: true,
                last_updated_at: at("2026-06-01T08:00:00Z"),
                document: Personal::new(object(json!({
                    "module_id": "primeromodule-cp",
                    "owned_by_agency_id": "AGENCY-2",
                    "consent_for_services": true,
                    "disclosure_other_orgs": "true",
                    "protection_restriction": null,
                    "consent_until": "2026-06-15",
                }))),
            },
            service: Some(object(json!({
                "unique_id": SERVICE,
                "service_implementing_agency": "UNHCR",
                "service_type": "alternative_care",
            }))),
            referral: Referral {
                id: ReferralId(Uuid::from_u128(2)),
                case: key,
                status: ReferralStatus::InProgress,
                service_record_id: Some(SERVICE.to_owned()),
                transitioned_to: Some(Personal::new("unhcr_cw@test.example".to_owned())),
                transitioned_to_agency: None,
                remote: false,
                consent_overridden: false,
                created_at: at("2026-06-01T08:00:00Z"),
            },
            released: None,
            now: at("2026-06-10T12:00:00Z"),
        }
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            referrals: &self.lists,
            consent: &self.consent,
            agreement: &self.agreement,
            start_from: at("2026-06-01T00:00:00Z"),
            time_zone: "Africa/Addis_Ababa".parse().unwrap(),
        }
    }

    fn verdict(&self) -> Verdict {
        may_leave(&self.rules(), &self.case, self.service.as_ref(), &self.referral, self.released, self.now)
    }

    fn set(&mut self, field: &str, value: Value) {
        let mut document = self.case.document.reveal().clone();
        document.insert(field.to_owned(), value);
        self.case.document = Personal::new(document);
    }

    fn set_service(&mut self, field: &str, value: Value) {
        self.service.as_mut().unwrap().insert(field.to_owned(), value);
    }

    fn send_remotely_to(&mut self, agency: Option<&str>) {
        self.referral.remote = true;
        self.referral.transitioned_to = None;
        self.referral.transitioned_to_agency = agency.map(|agency| Personal::new(agency.to_owned()));
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn object(value: Value) -> Document {
    let Value::Object(object) = value else { panic!("a test writes an object here") };
    object
}

/// A way to spoil a good scene, with the verdict that it must lead to.
type Spoiled = (&'static str, fn(&mut Scene), Verdict);

#[track_caller]
fn check(table: &[Spoiled]) {
    assert_eq!(Scene::good().verdict(), Verdict::MayLeave(Basis::Consent));
    for (name, spoil, expected) in table {
        let mut scene = Scene::good();
        spoil(&mut scene);
        assert_eq!(scene.verdict(), *expected, "{name}");
    }
}

#[test]
fn each_condition_alone_keeps_a_referral_here() {
    use Reason::*;
    check(&[
        (
            "made a millisecond too early",
            |s| s.referral.created_at = at("2026-05-31T23:59:59.999Z"),
            Verdict::Withheld(BeforeStart),
        ),
        ("accepted", |s| s.referral.status = ReferralStatus::Accepted, Verdict::Withheld(NotInProgress)),
        ("rejected", |s| s.referral.status = ReferralStatus::Rejected, Verdict::Withheld(NotInProgress)),
        ("done", |s| s.referral.status = ReferralStatus::Done, Verdict::Withheld(NotInProgress)),
        ("revoked", |s| s.referral.status = ReferralStatus::Revoked, Verdict::Withheld(NotInProgress)),
        ("no service given", |s| s.service = None, Verdict::Withheld(ServiceNotNamed)),
        ("names no service", |s| s.referral.service_record_id = None, Verdict::Withheld(ServiceNotNamed)),
        (
            "names another service",
            |s| s.referral.service_record_id = Some(OTHER_SERVICE.to_owned()),
            Verdict::Withheld(ServiceNotNamed),
        ),
        ("of another case", |s| s.referral.case = CaseKey(Uuid::from_u128(9)), Verdict::Withheld(ServiceNotNamed)),
        ("disabled", |s| s.case.enabled = false, Verdict::Withheld(CaseDisabled)),
        ("another module", |s| s.set("module_id", json!("primeromodule-gbv")), Verdict::Withheld(ModuleNotListed)),
        ("no module", |s| s.set("module_id", json!(null)), Verdict::Withheld(ModuleNotListed)),
        (
            "another implementing agency",
            |s| s.set_service("service_implementing_agency", json!("AGENCY-9")),
            Verdict::Withheld(ImplementingAgencyNotListed),
        ),
        (
            "no implementing agency",
            |s| s.set_service("service_implementing_agency", json!(null)),
            Verdict::Withheld(ImplementingAgencyNotListed),
        ),
        (
            "another recipient",
            |s| s.referral.transitioned_to = Some(Personal::new("somebody@test.example".to_owned())),
            Verdict::Withheld(RecipientNotListed),
        ),
        ("no recipient", |s| s.referral.transitioned_to = None, Verdict::Withheld(RecipientNotListed)),
        ("remote, to another agency", |s| s.send_remotely_to(Some("AGENCY-9")), Verdict::Withheld(RecipientNotListed)),
        ("remote, to nobody", |s| s.send_remotely_to(None), Verdict::Withheld(RecipientNotListed)),
        ("remote, with a listed user beside it", |s| s.referral.remote = true, Verdict::Withheld(RecipientNotListed)),
        ("another owner", |s| s.set("owned_by_agency_id", json!("AGENCY-9")), Verdict::Withheld(AgencyNotSigned)),
        ("no owner", |s| s.set("owned_by_agency_id", json!(" ")), Verdict::Withheld(AgencyNotSigned)),
        ("another service type", |s| s.set_service("service_type", json!("shelter")), Verdict::Withheld(ServiceTypeNotListed)),
        ("no service type", |s| s.set_service("service_type", json!(null)), Verdict::Withheld(ServiceTypeNotListed)),
        (
            "before the agreement",
            |s| s.agreement.valid_from = at("2026-06-10T12:00:00.001Z"),
            Verdict::Withheld(AgreementNotValid),
        ),
        (
            "after the agreement",
            |s| s.agreement.valid_until = at("2026-06-10T11:59:59.999Z"),
            Verdict::Withheld(AgreementNotValid),
        ),
        ("no consent", |s| s.set("consent_for_services", json!(false)), Verdict::Withheld(ConsentMissing)),
        ("half a consent", |s| s.set("disclosure_other_orgs", json!(null)), Verdict::Withheld(ConsentMissing)),
        ("restricted", |s| s.set("protection_restriction", json!(["unhcr"])), Verdict::Held(RestrictionRecorded)),
        ("an exception", |s| s.referral.consent_overridden = true, Verdict::Held(ConsentException)),
    ]);
}

#[test]
fn nobody_on_a_list_means_not_ours_whatever_else_is_wrong() {
    check(&[
        (
            "neither agency nor recipient",
            |s| {
                s.set_service("service_implementing_agency", json!("AGENCY-9"));
                s.referral.transitioned_to = None;
                s.case.enabled = false;
                s.agreement.valid_until = at("2026-01-02T00:00:00Z");
            },
            Verdict::NotOurs,
        ),
        (
            "the listed agency stands at a service that the referral does not name",
            |s| {
                s.referral.service_record_id = Some(OTHER_SERVICE.to_owned());
                s.referral.transitioned_to = None;
            },
            Verdict::NotOurs,
        ),
        (
            "empty lists",
            |s| {
                s.lists.implementing_agencies.clear();
                s.lists.recipients.clear();
            },
            Verdict::NotOurs,
        ),
        (
            "a listed agency beside a user who is not",
            |s| {
                s.set_service("service_implementing_agency", json!("AGENCY-9"));
                s.referral.transitioned_to = Some(Personal::new("somebody@test.example".to_owned()));
                s.referral.transitioned_to_agency = Some(Personal::new("UNHCR".to_owned()));
            },
            Verdict::NotOurs,
        ),
    ]);
}

#[test]
fn an_empty_list_lets_nothing_through() {
    use Reason::*;
    check(&[
        ("implementing agencies", |s| s.lists.implementing_agencies.clear(), Verdict::Withheld(ImplementingAgencyNotListed)),
        ("recipients", |s| s.lists.recipients.clear(), Verdict::Withheld(RecipientNotListed)),
        (
            "recipient agencies",
            |s| {
                s.send_remotely_to(Some("UNHCR"));
                s.lists.recipient_agencies.clear();
            },
            Verdict::Withheld(RecipientNotListed),
        ),
        ("owner agencies", |s| s.lists.owner_agencies.clear(), Verdict::Withheld(AgencyNotSigned)),
        ("service types", |s| s.lists.service_types.clear(), Verdict::Withheld(ServiceTypeNotListed)),
        ("modules", |s| s.lists.modules.clear(), Verdict::Withheld(ModuleNotListed)),
        ("required consent", |s| s.consent.require.clear(), Verdict::Withheld(ConsentMissing)),
        (
            "a blank entry is not a name",
            |s| {
                s.lists.owner_agencies = vec![" ".to_owned()];
                s.set("owned_by_agency_id", json!(" "));
            },
            Verdict::Withheld(AgencyNotSigned),
        ),
    ]);
}

#[test]
fn names_compare_without_regard_to_case_and_surrounding_blanks() {
    let consent = Verdict::MayLeave(Basis::Consent);
    check(&[
        ("implementing agency", |s| s.set_service("service_implementing_agency", json!(" unhcr ")), consent),
        ("recipient", |s| s.lists.recipients = vec![" UNHCR_cw@Test.Example".to_owned()], consent),
        ("remote recipient", |s| s.send_remotely_to(Some("Unhcr ")), consent),
        ("owner", |s| s.set("owned_by_agency_id", json!("agency-1")), consent),
        ("service type", |s| s.lists.service_types = vec!["Alternative_Care ".to_owned()], consent),
        ("module", |s| s.set("module_id", json!("PrimeroModule-CP")), consent),
    ]);
}

#[test]
fn consent_is_true_or_the_text_true_and_nothing_else() {
    for value in [json!(true), json!("true")] {
        let mut scene = Scene::good();
        scene.set("consent_for_services", value);
        assert_eq!(scene.verdict(), Verdict::MayLeave(Basis::Consent));
    }
    for value in [
        json!(null),
        json!(false),
        json!("false"),
        json!("True"),
        json!(" true"),
        json!("yes"),
        json!(""),
        json!(1),
        json!([true]),
        json!({}),
    ] {
        let mut scene = Scene::good();
        scene.set("consent_for_services", value.clone());
        assert_eq!(scene.verdict(), Verdict::Withheld(Reason::ConsentMissing), "{value}");
    }
}

#[test]
fn a_restriction_is_any_value_that_says_something() {
    for value in [json!(null), json!(""), json!(" \n"), json!(false), json!([])] {
        let mut scene = Scene::good();
        scene.set("protection_restriction", value.clone());
        assert_eq!(scene.verdict(), Verdict::MayLeave(Basis::Consent), "{value}");
    }
    for value in [json!("unhcr"), json!("false"), json!(true), json!(["unhcr"]), json!(0), json!({})] {
        let mut scene = Scene::good();
        scene.set("protection_restriction", value.clone());
        assert_eq!(scene.verdict(), Verdict::Held(Reason::RestrictionRecorded), "{value}");
    }
}

#[test]
fn the_last_day_of_consent_counts_whole_in_the_programmes_zone() {
    // Addis Ababa is three hours ahead of UTC.
    for (until, now, given) in [
        (json!("2026-06-15"), "2026-06-15T20:59:59.999Z", true),
        (json!("2026-06-15"), "2026-06-15T21:00:00Z", false),
        (json!("2026-06-15T21:30:00.000Z"), "2026-06-16T20:59:59Z", true),
        (json!("2026-06-15T21:30:00.000Z"), "2026-06-16T21:00:00Z", false),
        (json!(null), "2026-06-15T21:00:00Z", true),
        (json!(""), "2026-06-15T21:00:00Z", true),
        (json!("next year"), "2026-06-15T12:00:00Z", false),
        (json!(2030), "2026-06-15T12:00:00Z", false),
    ] {
        let mut scene = Scene::good();
        scene.set("consent_until", until.clone());
        scene.now = at(now);
        assert_eq!(consent_given(&scene.rules(), &scene.case, scene.now), given, "{until} at {now}");
    }
    let mut scene = Scene::good();
    scene.now += TimeDelta::days(100);
    assert_eq!(scene.verdict(), Verdict::Withheld(Reason::ConsentMissing));
    scene.consent.valid_until_field = None;
    assert_eq!(scene.verdict(), Verdict::MayLeave(Basis::Consent));
}

#[test]
fn a_person_releases_an_exception_and_nothing_else() {
    use Reason::*;
    check(&[
        (
            "released",
            |s| {
                s.referral.consent_overridden = true;
                s.released = Some(Basis::BestInterests);
            },
            Verdict::MayLeave(Basis::BestInterests),
        ),
        (
            "released, but configuration says never since",
            |s| {
                s.referral.consent_overridden = true;
                s.released = Some(Basis::VitalInterests);
                s.consent.exception = super::ConsentException::Never;
            },
            Verdict::Withheld(ConsentMissing),
        ),
        (
            "released, but restricted",
            |s| {
                s.referral.consent_overridden = true;
                s.released = Some(Basis::VitalInterests);
                s.set("protection_restriction", json!("unhcr"));
            },
            Verdict::Held(RestrictionRecorded),
        ),
        (
            "once let go by configuration, which wants a person's word since",
            |s| {
                s.referral.consent_overridden = true;
                s.released = Some(Basis::Exception);
            },
            Verdict::Held(ConsentException),
        ),
        (
            "consent is no ground that a person can give",
            |s| {
                s.referral.consent_overridden = true;
                s.released = Some(Basis::Consent);
            },
            Verdict::Held(ConsentException),
        ),
        (
            "not an exception",
            |s| {
                s.set("consent_for_services", json!(false));
                s.released = Some(Basis::VitalInterests);
            },
            Verdict::Withheld(ConsentMissing),
        ),
        (
            "not an exception, and consent is there",
            |s| s.released = Some(Basis::VitalInterests),
            Verdict::MayLeave(Basis::Consent),
        ),
    ]);
}

#[test]
fn the_fields_are_those_that_are_read() {
    let scene = Scene::good();
    assert_eq!(
        fields(&scene.rules()).collect::<Vec<_>>(),
        [
            "module_id",
            "owned_by_agency_id",
            "services_section",
            "consent_for_services",
            "disclosure_other_orgs",
            "protection_restriction",
            "consent_until"
        ]
    );
}

#[test]
fn a_referral_of_the_first_moment_leaves_and_one_of_the_moment_before_does_not() {
    let mut scene = Scene::good();
    scene.referral.created_at = at("2026-06-01T00:00:00Z");
    assert_eq!(scene.verdict(), Verdict::MayLeave(Basis::Consent));
    scene.referral.created_at = at("2026-05-31T23:59:59.999Z");
    assert_eq!(scene.verdict(), Verdict::Withheld(Reason::BeforeStart));
}

#[test]
fn a_blank_name_is_on_no_list_not_even_on_one_with_a_blank_entry() {
    let list = ["".to_owned(), " ".to_owned(), "UNHCR".to_owned()];
    for (name, found) in [(None, false), (Some(""), false), (Some(" "), false), (Some("unhcr "), true), (Some("UNICEF"), false)] {
        assert_eq!(listed(&list, name), found, "{name:?}");
    }
}
