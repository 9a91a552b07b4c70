//! Unmistakable invented values go everywhere; then every output and every byte on disk is searched for them.

use std::{
    fmt::Write,
    fs, io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use referrald::{
    referral::Walk,
    sandbox::{
        Endpoint, Fault, Rule,
        dtp::SUBSCRIPTION_KEY,
        primero::{BRIDGE_PASSWORD, CASE_WORKER},
        stage::INBOX_KEY,
    },
    spool::story::Wanted,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{World, intervention};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What may appear nowhere. With marks that JSON escapes, so that an escaped copy is found too.
const MARKERS: &[&str] = &[
    "989-ZZPERSON77",
    "989-ZZGROUP77",
    "Zyxtestina\"Quote",
    "Zyxfamily\\Name",
    "Zyxnote invented",
    "Zyxtitle Officer",
    "zyx.mail@example.org",
    "2013-07-19",
    "+000771234567",
    "Zyxowner Fullname",
    "Zyxcomment of UNHCR",
    "Zyxmother",
    "Zyxservice notes",
    CASE_WORKER,
    INBOX_KEY,
    SUBSCRIPTION_KEY,
    BRIDGE_PASSWORD,
];

/// Every spelling in which a marker might leak.
fn spellings(marker: &str) -> Vec<Vec<u8>> {
    let quoted = serde_json::to_string(marker).unwrap();
    let escaped = quoted[1..quoted.len() - 1].to_owned();
    let twice = serde_json::to_string(&escaped).unwrap();
    let debugged = format!("{marker:?}");
    let mut all = vec![
        marker.to_owned(),
        escaped,
        twice[1..twice.len() - 1].to_owned(),
        debugged[1..debugged.len() - 1].to_owned(),
        marker.bytes().fold(String::new(), |mut text, byte| {
            let _ = if byte.is_ascii_alphanumeric() { write!(text, "{}", byte as char) } else { write!(text, "%{byte:02X}") };
            text
        }),
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
    }
    all.push(marker.to_lowercase());
    let mut bytes: Vec<Vec<u8>> = all.into_iter().map(String::into_bytes).collect();
    bytes.push(marker.encode_utf16().flat_map(u16::to_le_bytes).collect());
    bytes
}

/// The markers that stand in these bytes.
fn found(bytes: &[u8]) -> Vec<&'static str> {
    let stands = |spelling: &[u8]| bytes.windows(spelling.len()).any(|window| window == spelling);
    MARKERS.iter().copied().filter(|marker| spellings(marker).iter().any(|spelling| stands(spelling))).collect()
}

#[track_caller]
fn assert_clean(what: &str, bytes: &[u8]) {
    assert!(!bytes.is_empty(), "{what} is empty, so nothing is proved");
    assert_eq!(found(bytes), Vec::<&str>::new(), "{what} tells what it must not");
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
        ] {
            assert!(found(text.as_bytes()).contains(marker), "{marker} is not found in {text}");
        }
    }
}

/// The diagnostics of this whole process, tests of other files included.
#[derive(Clone, Default)]
struct Diagnostics(Arc<Mutex<Vec<u8>>>);

impl io::Write for Diagnostics {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Diagnostics {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn diagnostics() -> &'static Diagnostics {
    static ALL: OnceLock<Diagnostics> = OnceLock::new();
    ALL.get_or_init(|| {
        let all = Diagnostics::default();
        // At the most talkative: what a library says at this level is ours too.
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false).with_writer(all.clone()).finish();
        tracing::subscriber::set_global_default(subscriber).expect("no other test of this binary sets the subscriber");
        all
    })
}

/// Every file of the state directory, one after the other.
fn state_bytes(world: &World) -> Vec<u8> {
    let mut bytes = Vec::new();
    for file in fs::read_dir(world.state_directory()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            bytes.extend(fs::read(path).unwrap());
        }
    }
    bytes
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    assert!(part.len() > 16);
    bytes.windows(part.len()).any(|window| window == part)
}

fn marked(number: &str) -> Value {
    intervention(
        number,
        json!({
            "individuals.progres_id": "989-ZZPERSON77",
            "individuals.progres_registrationgroupid": { "Id": "x", "Name": "989-ZZGROUP77", "LogicalName": "x" },
            "individuals.progres_givenname": "Zyxtestina\"Quote",
            "individuals.progres_familyname": "Zyxfamily\\Name",
            "individuals.progres_mothername": "Zyxmother",
            "individuals.progres_dateofbirth": "2013-07-19T00:00:00Z",
            "progres_interventiondescription": "<p>Zyxnote invented</p>",
            "user.title": "Zyxtitle Officer",
            "user.internalemailaddress": "zyx.mail@example.org",
            "user.mobilephone": "+000771234567",
            "Zyxmother": "a key that nobody reads",
        }),
    )
}

/// Everything that can be looked at from outside, in one text.
async fn outputs(world: &World) -> String {
    let spool = &world.daemon().programme.spool;
    let (story, unsettled) =
        spool.read(|reading| Ok((reading.story(&Wanted::default(), 10_000)?, reading.unsettled()?))).unwrap();
    let pages = [world.page("/metrics").await.1, world.page("/readyz").await.1, world.page("/livez").await.1];
    format!(
        "{:?}\n{:?}\n{:?}\n{story:?}\n{unsettled:?}\n{pages:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        world.lines(),
        world.events(),
        world.entries(),
        world.daemon(),
        world.daemon().programme,
        world.daemon().programme.primero,
        world.daemon().programme.dtp,
    )
}

fn sealed(world: &World) -> Vec<Vec<u8>> {
    let database = world.database();
    let mut statement = database.prepare("SELECT sealed FROM parcels").unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn what_waits_is_sealed_and_what_is_settled_is_gone_from_every_byte_on_disk() {
    diagnostics();
    let world = World::new().await;
    world.stage.primero.go_down().await;
    world.refer(json!([marked("989-26-TEST-0001"), marked("989-26-TEST-0002")])).await;
    world
        .decide(json!([{
            "progres_orgreferralid": "abc1234#0123456789ab",
            "progres_reviewdecision": "125080001",
            "progres_interoperabilityreferralrejectionomment": "Zyxcomment of UNHCR",
            "progres_interoperabiltyreferralrejectionreason": "Zyxcomment of UNHCR",
        }]))
        .await;
    assert_clean("the state while posts wait", &state_bytes(&world));
    let parcels = sealed(&world);
    assert_eq!(parcels.len(), 3);
    for parcel in &parcels {
        assert!(contains(&state_bytes(&world), &parcel[..64]), "the search would find a parcel");
    }

    world.stage.primero.come_up().await.unwrap();
    world.pass(20 * MINUTE).await;
    world.pass(20 * MINUTE).await;
    // Both interventions are settled; the decision names no case, and is held.
    assert_eq!(world.unsettled().len(), 1);
    world.pass(MINUTE).await;
    let bytes = state_bytes(&world);
    for parcel in &parcels[..2] {
        for piece in parcel.chunks_exact(32) {
            assert!(!contains(&bytes, piece), "a settled parcel still lies on the disk");
        }
    }
    assert!(contains(&bytes, &parcels[2][..64]), "the one that is held stays");
    assert_clean("the state after settlement", &bytes);
    world.end_unsettled().await;
}

#[tokio::test]
async fn a_reader_in_the_way_does_not_keep_erased_content_for_good() {
    let world = World::new().await;
    world.stage.primero.go_down().await;
    world.refer(json!([marked("989-26-TEST-0001")])).await;
    let parcels = sealed(&world);
    let reader = world.database();
    reader.execute_batch("BEGIN; SELECT count(*) FROM parcels;").unwrap();
    world.stage.primero.come_up().await.unwrap();
    world.pass(20 * MINUTE).await;
    assert_eq!(world.unsettled(), []);
    assert!(contains(&state_bytes(&world), &parcels[0][..32]), "a backup tool reads the old state meanwhile");
    reader.execute_batch("COMMIT").unwrap();
    world.pass(MINUTE).await;
    let bytes = state_bytes(&world);
    assert!(parcels[0].chunks_exact(32).all(|piece| !contains(&bytes, piece)));
    world.end().await;
}

#[tokio::test]
async fn no_output_tells_a_value_of_a_record_a_staff_name_or_a_secret_whatever_goes_wrong() {
    let all = diagnostics();
    let world = World::new().await;
    let staff = world.stage.primero.staff(CASE_WORKER);
    world.stage.primero.change_user(CASE_WORKER, |user| user.full_name("Zyxowner Fullname"));
    let child = json!({
        "unhcr_individual_no": "989-ZZPERSON77", "unhcr_id_no": "989-ZZGROUP77", "name_first": "Zyxtestina\"Quote",
        "name_last": "Zyxfamily\\Name", "date_of_birth": "2013-07-19",
    });

    // Flow 2: sent, withheld, refused, failed in every way.
    for fault in [
        Fault::status(400),
        Fault::status(500),
        Fault::html_page(),
        Fault::answer(422, "application/json", r#"{"error":"989-ZZPERSON77 Zyxtestina\"Quote"}"#),
        Fault::truncated(),
        Fault::cut(),
    ] {
        world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpReferral).once(), fault);
        let mut document = child.clone();
        document["unhcr_individual_no"] = json!("989-ZZPERSON77-b");
        let (case, ..) = world.child_referred(document);
        staff.edit(case, json!({ "name_other": "Zyxmother" }));
        world.walk(Walk::Referrals).await;
    }
    let mut without = child.clone();
    without["unhcr_individual_no"] = json!("989-ZZPERSON77-c");
    let (case, ..) = world.child_referred(without);
    staff.set_consent(case, false);
    world.walk(Walk::Referrals).await;
    assert!(!world.sent_to_dtp().is_empty());

    // Flow 1: found, refused, held, and answers that quote what they were asked.
    for (place, fault) in [
        Fault::answer(
            422,
            "application/json",
            r#"{"errors":[{"status":422,"detail":"sex","message":"Zyxtestina\"Quote is no sex"}]}"#,
        ),
        Fault::answer(500, "application/json", r#"{"errors":["989-ZZPERSON77 failed"]}"#),
        Fault::answer(200, "application/json", r#"{"data":[{"unhcr_individual_no":"989-ZZPERSON77","sex":12}]}"#),
        Fault::html_page(),
        Fault::wrong_json(),
        Fault::truncated(),
        Fault::cut(),
    ]
    .into_iter()
    .enumerate()
    {
        let rule = if place == 0 { Rule::on(Endpoint::CreateCase) } else { Rule::any() };
        world.stage.primero.faults().plant(rule.once(), fault);
        world.refer(json!([marked(&format!("989-26-TEST-1{place:03}"))])).await;
        world.pass(20 * MINUTE).await;
    }
    let mut other = marked("989-26-TEST-2000");
    other["individuals.progres_sex"] = json!("Zyxmother");
    other["interventiontype.progres_description"] = json!("Zyxservice notes");
    world.refer(json!([other])).await;
    world.register(child.clone());
    world.refer(json!([marked("989-26-TEST-2001")])).await;

    // The inbox: everything malformed, with values in it, and keys that are none.
    for body in [
        r#"{"Zyxtestina\"Quote"#.to_owned(),
        r#"{"request_type":"Zyxmother"}"#.to_owned(),
        json!({ "request_type": "PrimeroOutgoingReferral", "interventions": ["989-ZZPERSON77"] }).to_string(),
        json!({ "request_type": "PrimeroOutgoingReferral", "interventions": [{ "progres_interventionnumber": "Zyxnote invented" }] }).to_string(),
        json!({ "request_type": "PrimeroIncomingReferralDecision", "interventions": [{ "progres_orgreferralid": "Zyxnote invented" }] }).to_string(),
        r#"{"Zyxmother":1,"Zyxmother":2}"#.to_owned(),
    ] {
        let (status, answer) = world.post_raw(INBOX_KEY, "application/json", body).await;
        assert!(status.is_client_error(), "{status}");
        assert_clean("an answer of the inbox", answer.to_string().as_bytes());
    }
    let (status, answer) = world.post_raw("Zyxmother", "application/json", "{}").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_clean("an answer of the inbox", answer.to_string().as_bytes());

    // Time, and both systems refusing us.
    world.stage.dtp.answer_with(401);
    world.pass(5 * HOUR).await;
    world.stage.primero.faults().plant(Rule::any().times(3), Fault::status(401));
    world.pass(DAY).await;
    world.pass(DAY).await;

    assert_clean("the outputs", outputs(&world).await.as_bytes());
    assert_clean("the state", &state_bytes(&world));
    let said = all.0.lock().unwrap().clone();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("dtp is blocked") || said.contains("is blocked: nothing is attempted there but probes"));
    let telling = said.lines().find(|line| !found(line.as_bytes()).is_empty());
    if let Some(line) = telling {
        panic!("the diagnostics tell what they must not, in a line of {}", line.split_whitespace().nth(2).unwrap_or("?"));
    }
    world.end_unsettled().await;
}
