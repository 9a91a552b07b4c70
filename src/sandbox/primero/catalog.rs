//! The forms and lookups of a child-protection instance: Primero's default configuration and the fields a deployment adds to carry
//! referrals to and from proGres.
//!
//! It knows names and options only, no role.

use super::forms::{Field, FieldType, Form, Forms, OptionSource};

/// The module of child-protection cases.
pub const CHILD_PROTECTION: &str = "primeromodule-cp";
/// The module of gender-based violence cases.
pub const GENDER_BASED_VIOLENCE: &str = "primeromodule-gbv";

/// The forms that a role needs to read and write everything referrals touch.
pub(super) const FORMS: [&str; 5] = ["basic_identity", "other_identity_details", "consent", "record_owner", "services"];

/// Fills in forms and lookups.
pub(super) fn furnish(forms: &mut Forms) {
    for (unique_id, values) in LOOKUPS {
        let values = values.iter().map(|(id, label)| ((*id).to_owned(), (*label).to_owned()));
        forms.put_lookup(unique_id, values.collect());
    }
    for form in [
        Form::new("basic_identity", CHILD_PROTECTION, basic_identity()),
        Form::new("other_identity_details", CHILD_PROTECTION, vec![multi("language", "lookup-language")]),
        Form::new("consent", CHILD_PROTECTION, consent()),
        Form::new("record_owner", CHILD_PROTECTION, record_owner()),
        Form::new(
            "services",
            CHILD_PROTECTION,
            vec![Field::new("services_section", FieldType::Subform("services_section".to_owned()))],
        ),
        Form::nested("services_section", CHILD_PROTECTION, service_item()),
    ] {
        forms.put_form(form);
    }
}

fn basic_identity() -> Vec<Field> {
    let mut fields = texts(&[
        "case_id",
        "unhcr_individual_no",
        "unhcr_id_no",
        "national_id_no",
        "name",
        "name_first",
        "name_middle",
        "name_last",
        "name_nickname",
        "telephone_current",
    ]);
    fields.extend([
        Field::new("address_current", FieldType::TextArea),
        Field::new("date_of_birth", FieldType::Date),
        Field::new("registration_date", FieldType::Date),
        Field::new("age", FieldType::Numeric),
        select("sex", "lookup-gender"),
        select("status", "lookup-case-status"),
    ]);
    fields
}

fn consent() -> Vec<Field> {
    let purposes = OptionSource::inline(&["family", "authorities", "unhcr", "other_organizations", "others"]);
    vec![
        Field::new("consent_for_services", FieldType::TickBox),
        Field::new("disclosure_other_orgs", FieldType::TickBox),
        Field::new("unhcr_export_opt_in", FieldType::TickBox),
        Field::new("consent_info_sharing", FieldType::MultiSelect(purposes)),
        Field::new("disclosure_deny_details", FieldType::TextArea),
    ]
}

fn record_owner() -> Vec<Field> {
    vec![
        Field::new("owned_by", FieldType::Select(OptionSource::records("User"))),
        Field::new("assigned_user_names", FieldType::MultiSelect(OptionSource::records("User"))),
    ]
}

fn service_item() -> Vec<Field> {
    let inline = |name: &str, ids: &[&str]| Field::new(name, FieldType::Select(OptionSource::inline(ids)));
    let records = |name: &str, kind: &str| Field::new(name, FieldType::Select(OptionSource::records(kind)));
    let mut fields = vec![
        select("service_response_type", "lookup-service-response-type"),
        select("service_type", "lookup-service-type"),
        Field::new("service_response_day_time", FieldType::DateTime),
        Field::new("service_implemented_day_time", FieldType::DateTime),
        inline("service_response_timeframe", &["1_hour", "3_hours", "1_day", "3_days"]),
        Field::new("service_appointment_date", FieldType::Date),
        records("service_implementing_agency", "Agency"),
        records("service_implementing_agency_individual", "User"),
        records("service_delivery_location", "ReportingLocation"),
        Field::new("service_referral_notes", FieldType::TextArea),
        Field::new("note_on_referral_from_provider", FieldType::TextArea),
        Field::new("service_status_referred", FieldType::TickBox),
        select("service_implemented", "lookup-service-implemented"),
        // What a deployment adds.
        inline("service_referral", &["internal_referral", "external_referral"]),
        Field::new("service_request_external", FieldType::TickBox),
        inline("unhcr_referral_status", &["pending", "accepted", "rejected"]),
        Field::new("unhcr_referral_rejection_reason", FieldType::TextArea),
    ];
    fields.extend(texts(&[
        "service_provider",
        "service_location",
        "service_type_other",
        "service_request_title",
        "service_request_agency",
        "service_request_phone",
        "service_request_email",
        "progres_interventionnumber",
    ]));
    fields
}

fn texts(names: &[&str]) -> Vec<Field> {
    names.iter().map(|name| Field::new(name, FieldType::Text)).collect()
}

fn select(name: &str, lookup: &str) -> Field {
    Field::new(name, FieldType::Select(OptionSource::lookup(lookup)))
}

fn multi(name: &str, lookup: &str) -> Field {
    Field::new(name, FieldType::MultiSelect(OptionSource::lookup(lookup)))
}

type Options = &'static [(&'static str, &'static str)];

const LOOKUPS: [(&str, Options); 6] = [
    ("lookup-service-type", SERVICE_TYPES),
    (
        "lookup-service-response-type",
        &[("care_plan", "Care plan"), ("action_plan", "Action plan"), ("service_provision", "Service provision")],
    ),
    ("lookup-service-implemented", &[("not_implemented", "Not Implemented"), ("implemented", "Implemented")]),
    ("lookup-gender", &[("male", "Male"), ("female", "Female"), ("other_b25f252", "Other"), ("unknown_4b34795", "Unknown")]),
    ("lookup-case-status", &[("open", "Open"), ("closed", "Closed"), ("transferred", "Transferred"), ("duplicate", "Duplicate")]),
    ("lookup-language", LANGUAGES),
];

/// First Primero's own, then those of the deployment, whose labels have drifted away from their ids.
const SERVICE_TYPES: Options = &[
    ("safehouse_service", "Safehouse Service"),
    ("health_medical_service", "Health/Medical Service"),
    ("psychosocial_service", "Psychosocial Service"),
    ("police_other_service", "Police/Other Service"),
    ("legal_assistance_service", "Legal Assistance Service"),
    ("livelihoods_service", "Livelihoods Service"),
    ("child_protection_service", "Child Protection Service"),
    ("family_mediation_service", "Family Mediation Service"),
    ("family_seunification_service", "Family Reunification Service"),
    ("education_service", "Education Service"),
    ("nfi_clothes_shoes_service", "NFI/Clothes/Shoes Service"),
    ("water_sanitation_service", "Water/Sanitation Service"),
    ("registration_service", "Registration Service"),
    ("food_service", "Food Service"),
    ("other_service", "Other Service"),
    ("alternative_care", "Alternative Care"),
    ("focuses_non_specialized_mhpss_care", "Child Protection Service"),
    ("food", "Family Reunification Service"),
    ("security_e_g_safe_shelter", "Safehouse Service"),
    ("education_formal", "Psychosocial Service"),
    ("non_formal_education", "Police/Other Service"),
    ("family_tracing_and_reunification", "Legal Assistance Service"),
    ("basic_psychosocial_support", "Livelihoods Service"),
    ("specialized_mhpss_services", "Family Mediation Service"),
    ("non_food_items", "Education Service"),
    ("cash_assistance", "NFI/Clothes/Shoes Service"),
    ("livelihoods", "Water/Sanitation Service"),
    ("medical", "Registration Service"),
    ("nutrition", "Food Service"),
    ("legal_support", "Adolescent and Youth Empowerment"),
    ("documentation", "Early Childhood Service"),
    ("services_for_children_with_disabilities", "Other Service"),
    ("sexual_and_reproductive_health", "Sexual and reproductive health"),
    ("shelter", "Shelter"),
    ("wash", "WASH"),
    ("durable_solution_in_coordination_with_unhcr", "Durable solution (in coordination with UNHCR)"),
    ("relocation", "Relocation"),
    ("other_please_specify", "Other"),
];

const LANGUAGES: Options = &[
    ("language1", "Anyuak"),
    ("language2", "Nuer"),
    ("language3", "Dinka"),
    ("language4", "Bari"),
    ("language5", "Amharic"),
    ("language6", "Other"),
    ("language7", "Bembe"),
    ("language8", "Somali"),
    ("language9", "Language 9"),
    ("language10", "Acholi"),
    ("murle_fce1c91", "Murle"),
    ("if_other_language__please_specify_335944b", "Other"),
    ("_amharic", "Amharic"),
    ("_arabic", "Arabic"),
    ("_boma", "Boma"),
    ("_didinga", "Didinga"),
    ("_english", "English"),
    ("_french", "French"),
    ("_karamojong", "Karamojong"),
    ("_kifulero", "Fuliiru, Kifulero"),
    ("_kikongo", "Kikongo"),
    ("_kinyabiyisha", "Kinyabwisha"),
    ("_kinyarwanda", "Rwanda, Kinyarwanda"),
    ("_kirundi", "Rundi, Kirundi"),
    ("_lingala", "Lingala"),
    ("_lokoya", "Lokoya"),
    ("_lopit", "Lopit"),
    ("_luo", "Luo"),
    ("_makonde", "Makonde"),
    ("_mashi", "Mashi"),
    ("_moro", "Moro"),
    ("_murle", "Murle"),
    ("_oromo", "Oromo"),
    ("_sign_language", "Sign Language"),
    ("_tira", "Tira"),
    ("_toposa", "Toposa"),
    ("_toro", "Toro"),
];
