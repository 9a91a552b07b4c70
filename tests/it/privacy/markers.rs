//! Invented people whose every value is unmistakable, and the search for those values in whatever comes out.
//!
//! It knows every spelling in which a value might leak; what is searched is handed in.

use std::{fmt::Write as _, sync::OnceLock};

use aho_corasick::AhoCorasick;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use referrald::sandbox::{
    dtp::SUBSCRIPTION_KEY,
    primero::{BRIDGE_PASSWORD, CASE_WORKER, NewReferral, UNHCR},
    stage::INBOX_KEY,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{World, intervention};

/// The UNHCR number of the one person of these tests.
pub const PERSON: &str = "989-ZZPERSON77";
/// The comment of a decision.
pub const COMMENT: &str = "Zyxcomment of UNHCR";
/// The reason that staff give for a rejection.
pub const REASON: &str = "Zyxreason of staff";
/// A text that stands nowhere else: for what nobody should read at all.
pub const STRAY: &str = "Zyxmother";

/// What may appear nowhere. With marks that JSON escapes, so that an escaped copy is found too.
pub const MARKERS: &[&str] = &[
    PERSON,
    COMMENT,
    REASON,
    STRAY,
    "989-ZZGROUP77",
    "Zyxtestina\"Quote",
    "Zyxfamily\\Name",
    "Zyxmiddle",
    "Zyxnick",
    "Zyxaddress Block",
    "Zyxnote invented",
    "Zyxservice notes",
    "2013-07-19",
    "+000771234567",
    "+000772222222",
    "Zyxtitle Officer",
    "zyx.mail@example.org",
    "Zyxpartner Agency",
    "Zyxowner Fullname",
    "zyx.owner@example.org",
    "+000773333333",
    "Zyxposition",
    CASE_WORKER,
    INBOX_KEY,
    SUBSCRIPTION_KEY,
    BRIDGE_PASSWORD,
];

/// The person as UNHCR posts her.
pub fn marked(number: &str) -> Value {
    let reference = |name: &str| json!({ "Id": "x", "Name": name, "LogicalName": "x" });
    intervention(
        number,
        json!({
            "individuals.progres_id": PERSON,
            "individuals.progres_registrationgroupid": reference("989-ZZGROUP77"),
            "individuals.progres_givenname": "Zyxtestina\"Quote",
            "individuals.progres_middlename": "Zyxmiddle",
            "individuals.progres_familyname": "Zyxfamily\\Name",
            "individuals.progres_commonyusedname": "Zyxnick",
            "individuals.progres_mothername": STRAY,
            "individuals.progres_dateofbirth": "2013-07-19T00:00:00Z",
            "individuals.progres_primaryphonenumber": "+000772222222",
            "individuals.progres_coalocationlevel1": reference("Zyxaddress Block"),
            "progres_interventiondescription": "<p>Zyxnote invented</p>",
            "user.title": "Zyxtitle Officer",
            "user.internalemailaddress": "zyx.mail@example.org",
            "user.mobilephone": "+000771234567",
            "user.progres_partner": reference("Zyxpartner Agency"),
            "Zyxmother": "a key that nobody reads",
        }),
    )
}

/// The person as a case worker registers her.
pub fn child(change: &Value) -> Value {
    let mut document = json!({
        "unhcr_individual_no": PERSON, "unhcr_id_no": "989-ZZGROUP77", "name_first": "Zyxtestina\"Quote",
        "name_middle": "Zyxmiddle", "name_last": "Zyxfamily\\Name", "name_nickname": "Zyxnick",
        "address_current": "Zyxaddress Block", "telephone_current": "+000772222222",
        "date_of_birth": "2013-07-19", "sex": "female",
    });
    for (field, value) in change.as_object().expect("an object") {
        document[field] = value.clone();
    }
    document
}

/// Her case worker has a name, a position and addresses, too.
pub fn mark_staff(world: &World) {
    world.stage.primero.change_user(CASE_WORKER, |user| {
        user.full_name("Zyxowner Fullname").email("zyx.owner@example.org").phone("+000773333333").position("Zyxposition")
    });
}

/// Her case, with a service that is referred to UNHCR: the case, the referral, and the id under which DTP knows it.
pub fn referred(world: &World, change: &Value) -> (Uuid, Uuid, String) {
    let case = world.register(child(change));
    let staff = world.stage.primero.staff(CASE_WORKER);
    let service = json!({
        "service_type": "alternative_care", "service_implementing_agency": "UNHCR",
        "service_referral_notes": "Zyxservice notes", "service_response_day_time": "2026-03-01T09:00:00.000Z",
    });
    let service = staff.add_service(case, service).to_string();
    let referral = staff.refer(case, NewReferral::to(UNHCR).for_service("alternative_care", &service));
    let document = world.stage.primero.case(case).expect("there is a case");
    let case_id = document["case_id"].as_str().expect("a case has an id").to_owned();
    (case, referral.expect("it may be referred"), format!("{case_id}#{}", &service[service.len() - 12..]))
}

/// Every spelling in which a marker might leak.
fn spellings(marker: &str) -> Vec<Vec<u8>> {
    let quoted = serde_json::to_string(marker).unwrap();
    let escaped = quoted[1..quoted.len() - 1].to_owned();
    let twice = serde_json::to_string(&escaped).unwrap();
    let debugged = format!("{marker:?}");
    let percent = |plain: &dyn Fn(u8) -> bool| {
        marker.bytes().fold(String::new(), |mut text, byte| {
            let _ = if plain(byte) { write!(text, "{}", byte as char) } else { write!(text, "%{byte:02X}") };
            text
        })
    };
    let mut all = vec![
        marker.to_owned(),
        escaped,
        twice[1..twice.len() - 1].to_owned(),
        debugged[1..debugged.len() - 1].to_owned(),
        percent(&|byte| byte.is_ascii_alphanumeric()),
        percent(&|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
        percent(&|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)).replace("%20", "+"),
        hex::encode(marker),
        hex::encode_upper(marker),
    ];
    // In base64 a text looks one of three ways, by where it begins; what does not depend on its neighbours is searched.
    for shift in 0..3 {
        let padded = [vec![b' '; shift], marker.as_bytes().to_vec()].concat();
        let encoded = BASE64_STANDARD.encode(padded);
        let begin = [0, 2, 3][shift];
        let end = encoded.trim_end_matches('=').len() - 1;
        all.push(encoded[begin..end].to_owned());
        all.push(encoded[begin..end].replace('+', "-").replace('/', "_"));
    }
    all.push(marker.to_lowercase());
    all.push(marker.to_uppercase());
    let mut bytes: Vec<Vec<u8>> = all.into_iter().map(String::into_bytes).collect();
    bytes.push(marker.encode_utf16().flat_map(u16::to_le_bytes).collect());
    bytes
}

/// The first marker that stands in these bytes, in whatever spelling.
pub fn found(bytes: &[u8]) -> Option<&'static str> {
    static SEARCH: OnceLock<(AhoCorasick, Vec<&'static str>)> = OnceLock::new();
    let (search, meant) = SEARCH.get_or_init(|| {
        let spelled = || MARKERS.iter().flat_map(|marker| spellings(marker).into_iter().map(|spelling| (*marker, spelling)));
        let search = AhoCorasick::new(spelled().map(|(_, spelling)| spelling)).expect("the markers can be searched");
        (search, spelled().map(|(marker, _)| marker).collect())
    });
    search.find(bytes).map(|found| meant[found.pattern().as_usize()])
}

/// Every marker that stands in these bytes.
pub fn all_found(bytes: &[u8]) -> Vec<&'static str> {
    let stands = |marker: &str| spellings(marker).iter().any(|spelling| bytes.windows(spelling.len()).any(|at| at == spelling));
    MARKERS.iter().copied().filter(|marker| stands(marker)).collect()
}

#[track_caller]
pub fn assert_clean(what: &str, bytes: &[u8]) {
    assert!(!bytes.is_empty(), "{what} is empty, so nothing is proved");
    assert_eq!(found(bytes), None, "{what} tells what it must not");
}

#[test]
fn the_search_finds_every_spelling() {
    for marker in MARKERS {
        for text in [
            format!("before {marker} after"),
            json!({ "key": marker }).to_string(),
            json!({ "key": json!({ "inner": marker }).to_string() }).to_string(),
            format!("{marker:?}"),
            hex::encode(format!("a{marker}b")),
            BASE64_STANDARD.encode(marker),
            BASE64_STANDARD.encode(format!("x{marker}y")),
            BASE64_STANDARD.encode(format!("xx{marker}yyy")),
            format!("GET /api?query={}", reqwest::Url::parse_with_params("http://x/", [("q", marker)]).unwrap().query().unwrap()),
        ] {
            assert!(found(text.as_bytes()).is_some(), "{marker} is not found in {text}");
            assert!(all_found(text.as_bytes()).contains(marker), "{marker} is not found in {text}");
        }
    }
    assert_eq!(found(b"nothing of the kind, 989-TEST0001, Testina Examplename"), None);
}
