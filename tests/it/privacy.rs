//! Unmistakable invented values go everywhere; then every output and every byte on disk is searched for them.

mod dressed;
pub mod markers;
mod process;

use std::{
    fs, io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use referrald::{
    referral::Walk,
    sandbox::{Endpoint, Fault, Rule, primero::CASE_WORKER, stage::INBOX_KEY},
    spool::story::Wanted,
};
use reqwest::StatusCode;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use self::markers::{assert_clean, found, marked};
use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The diagnostics of this whole process, tests of other files included.
#[derive(Clone, Default)]
pub struct Diagnostics(Arc<Mutex<Vec<u8>>>);

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

impl Diagnostics {
    /// Nobody has told a marker, in this test or in any other.
    pub fn assert_clean(&self) {
        let said = self.0.lock().unwrap().clone();
        let telling = said.split(|byte| *byte == b'\n').find(|line| found(line).is_some());
        if let Some(line) = telling {
            let target = String::from_utf8_lossy(line).split_whitespace().nth(2).unwrap_or("?").to_owned();
            panic!("the diagnostics tell what they must not, in a line of {target}");
        }
    }
}

/// From now on everything that this process says is kept.
pub fn watch_diagnostics() -> &'static Diagnostics {
    diagnostics()
}

/// Everything that can be looked at from outside tells nothing of a record, and so do the bytes on the disk.
pub async fn examine(world: &World) {
    assert_clean("what can be looked at", outputs(world).await.as_bytes());
    assert_clean("the state", &state_bytes(world));
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

/// Everything that can be looked at from outside, in one text.
async fn outputs(world: &World) -> String {
    let spool = &world.daemon().programme().spool;
    let (story, unsettled) =
        spool.read(|reading| Ok((reading.story(&Wanted::default(), 10_000)?, reading.unsettled()?))).unwrap();
    let mut pages = Vec::new();
    for page in ["/", "/deliveries", "/list", "/register.csv", "/metrics", "/readyz", "/livez"] {
        let (status, page) = world.page(page).await;
        assert!(status.is_success(), "{status}");
        pages.push(page);
    }
    let pages = pages.join("\n");
    format!(
        "{:?}\n{:?}\n{:?}\n{story:?}\n{unsettled:?}\n{pages}\n{:?}\n{:?}\n{:?}\n{:?}",
        world.lines(),
        world.events(),
        world.entries(),
        world.daemon(),
        world.daemon().programme(),
        world.daemon().programme().primero,
        world.daemon().programme().dtp,
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
    for id in 1..=world.unsettled().iter().map(|delivery| delivery.id.0).max().unwrap() {
        assert_clean("the story of a delivery", world.page(&format!("/deliveries/{id}")).await.1.as_bytes());
    }
    assert_clean("the state", &state_bytes(&world));
    let said = String::from_utf8(all.0.lock().unwrap().clone()).unwrap();
    assert!(said.contains("is blocked: nothing is attempted there but probes"));
    all.assert_clean();
    world.end_unsettled().await;
}
