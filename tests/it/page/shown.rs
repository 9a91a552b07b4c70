//! What stands on the pages: the facts of the state, in the words of the command line.

use std::time::Duration;

use referrald::{
    referral::{Errand, State, Walk},
    sandbox::{Endpoint, Fault, Gate, Rule, primero::CASE_WORKER},
};
use serde_json::json;

use super::{
    filled::{filled, nth},
    get, shown,
};
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A page as text, blanks as one.
fn plain(page: &str) -> String {
    let mut text = String::new();
    for piece in page.split('<') {
        text.push(' ');
        text.push_str(piece.split_once('>').map_or(piece, |(_, text)| text));
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    [".", ",", ";", ":"].iter().fold(text, |text, sign| text.replace(&format!(" {sign}"), sign))
}

#[tokio::test]
async fn a_blocked_system_stands_first_with_reason_time_and_what_to_do() {
    let world = World::new().await;
    world.stage.primero.faults().plant(Rule::any(), Fault::status(401));
    world.refer(json!([nth(1, json!({}))])).await;
    world.pass(5 * MINUTE).await;
    let page = plain(&shown(&world, "/").await);
    for said in [
        "This needs somebody at once ✕ now Nothing is sent to Primero (CPIMS+): Our user name and password",
        "blocked unauthorized since 2 Mar 2026, 11:00 (5 minutes ago); tried again 2 Mar 2026, 11:10 (in 5 minutes)",
        "1 waiting 0 held",
        "The oldest was made 2 Mar 2026, 11:00 (5 minutes ago).",
        "All times are those of Africa/Addis_Ababa.",
    ] {
        assert!(page.contains(said), "{said}\n{page}");
    }
    world.end_unsettled().await;
}

#[tokio::test]
async fn an_unwell_system_a_flow_that_rests_and_what_ends_soon_are_said() {
    let world = World::changing(|settings| {
        settings.flows.to_dtp = false;
        settings.agreement.valid_until = "2026-03-20T20:59:59Z".parse().unwrap();
        settings.inbox.keys[0].expires = Some("2026-03-01T00:00:00Z".parse().unwrap());
    })
    .await;
    let page = plain(&shown(&world, "/").await);
    for said in [
        "The flow Primero → UNHCR is switched off in the settings.",
        "The agreement SANDBOX-AGREEMENT ends in 18 days.",
        "The inbox key sandbox ended 1 day 8 hours ago.",
        "none while its flow rests",
    ] {
        assert!(page.contains(said), "{said}\n{page}");
    }
    world.end().await;
}

#[tokio::test]
async fn the_pictures_are_drawn_from_the_counters_and_told_as_a_table() {
    let world = filled().await;
    let page = plain(&shown(&world, "/").await);
    // 3 + 4 + 5 + 6 on four days; 4 are in Primero on the fifth; one refused, one held; day 1 ended with nothing open.
    for said in [
        "UNHCR → Primero 22 delivered, 1 held, 1 refused; 1 open now.",
        "Primero → UNHCR 2 delivered, 1 held, 1 withheld; 1 open now.",
        "2 Mar 2026 3 0 0 0 0 0",
        "5 Mar 2026 6 0 0 0 0 0",
        "6 Mar 2026 4 1 0 1 0 1",
    ] {
        assert!(page.contains(said), "{said}\n{page}");
    }
    world.end_whatever().await;
}

#[tokio::test]
async fn deliveries_are_found_by_every_filter() {
    let world = filled().await;
    let numbers = |page: &str| page.matches("<th scope=\"row\"><a href=\"/deliveries/").count();
    for (filter, found) in [
        ("state=held", 2),
        ("state=refused", 1),
        ("state=withheld&flow=to_dtp", 1),
        ("state=withheld&flow=to_primero", 0),
        ("reason=several", 1),
        ("reason=consent_exception", 1),
        ("intervention=989-26-TEST-0001", 3),
        ("intervention=%20989-26-TEST-0001%20", 3),
        ("intervention=989-26-TEST-9999", 0),
        ("from=2026-03-06&state=delivered&flow=to_dtp", 3),
        ("to=2026-03-05&flow=to_dtp", 0),
        ("from=2026-03-02&to=2026-03-02", 6),
        ("flow=&state=&reason=&intervention=&case=&from=2026-03-02&to=2026-03-02", 6),
    ] {
        let page = shown(&world, &format!("/deliveries?{filter}")).await;
        assert_eq!(numbers(&page), found, "{filter}: {}", plain(&page));
    }
    let first = shown(&world, "/deliveries").await;
    assert_eq!(numbers(&first), 50);
    let older = first.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let second = shown(&world, older).await;
    let all = world.database().query_row("SELECT count(*) FROM deliveries", [], |row| row.get::<_, usize>(0)).unwrap();
    assert_eq!(50 + numbers(&second), all);
    let case = world.unsettled().iter().find_map(|delivery| delivery.about.case_id.clone()).unwrap();
    assert!(numbers(&shown(&world, &format!("/deliveries?case={case}")).await) >= 1);
    world.end_whatever().await;
}

#[tokio::test]
async fn a_delivery_tells_its_story_in_the_words_of_the_command_line() {
    let world = World::new().await;
    world.stage.dtp.faults().plant(Rule::on(Endpoint::DtpDecision).once(), Fault::status(500));
    world.refer(json!([nth(1, json!({}))])).await;
    world.pass(MINUTE).await;
    let page = plain(&shown(&world, "/deliveries/1").await);
    for said in [
        "Delivery 1 Referral from UNHCR ✓ delivered",
        "2 Mar 2026, 11:00:00 The referral from UNHCR 989-26-TEST-0001 was received and stored.",
        "was opened in Primero: a new case was made",
        "The stored content of the referral from UNHCR 989-26-TEST-0001 was erased.",
    ] {
        assert!(page.contains(&said.replace("The referral", "Referral")) || page.contains(said), "{said}\n{page}");
    }
    let feedback = plain(&shown(&world, "/deliveries/2").await);
    assert!(feedback.contains("will be tried again at"), "{feedback}");
    world.end().await;
}

#[tokio::test]
async fn the_list_is_oldest_first_with_what_to_do_and_the_command_that_does_it() {
    let world = filled().await;
    let page = shown(&world, "/list").await;
    let text = plain(&page);
    let entries = world.entries();
    let places: Vec<usize> = entries.iter().map(|entry| page.find(&format!("id=\"entry-{}\"", entry.id)).unwrap()).collect();
    assert!(places.is_sorted() && places.len() >= 5, "{places:?}");
    for entry in &entries {
        assert!(page.contains("<ul class=\"commands\"><li><code>referrald "), "{}", entry.id);
    }
    let held = entries.iter().find(|entry| entry.kind.code() == "held").unwrap().id;
    assert!(page.contains(&format!("<li><code>referrald deliveries retry {held}</code></li>")), "{text}");
    assert!(text.contains("UNHCR has NOT been told by this system"), "{text}");
    assert!(!text.contains("resolve 1`"), "{text}");
    // The number of an entry shows it, too.
    let story = plain(&shown(&world, &format!("/deliveries/{held}")).await);
    assert!(story.contains("On the operator's list") && story.contains(&format!("{held} Waits for a person")), "{story}");
    world.end_whatever().await;
}

fn number_of(page: &str) -> String {
    page.split("Case number").nth(1).unwrap().split("Case id").next().unwrap().split("Referral in").next().unwrap().to_owned()
}

/// A world with a case, and the number of the delivery that is about it.
async fn with_a_case() -> (World, String, String) {
    let world = World::new().await;
    world.refer(json!([nth(1, json!({}))])).await;
    let case = world.case_of("989-TEST0001");
    let number = "TEST-NUMBER-77".to_owned();
    world.stage.primero.staff(CASE_WORKER).edit(case, json!({ "case_id_display": number }));
    (world, "/deliveries/1".to_owned(), number)
}

#[tokio::test]
async fn the_number_of_a_case_is_read_when_it_is_shown_and_stored_nowhere() {
    let (world, path, number) = with_a_case().await;
    world.stage.primero.log().clear();
    let page = plain(&shown(&world, &path).await);
    assert!(number_of(&page).contains(&format!("{number} read from Primero now")), "{page}");
    let asked = world.stage.primero.log().entries();
    assert_eq!(asked.len(), 1);
    let head = format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(super::say(world.daemon().admin, head.as_bytes()).await.status, 200);
    for other in ["/", "/deliveries", "/list", "/register"] {
        assert!(!shown(&world, other).await.contains(&number), "{other}");
    }
    assert_eq!(world.stage.primero.log().len(), 1, "no other page asks, nor does a head alone");
    let mut files = 0;
    for file in std::fs::read_dir(world.state_directory()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(number.len()).any(|bytes| bytes == number.as_bytes()));
        files += usize::from(!bytes.is_empty());
    }
    assert!(files >= 1, "the state was looked through");
    world.end().await;
}

#[tokio::test]
async fn a_number_that_looks_like_something_else_is_text_or_is_not_shown() {
    let (world, path, _) = with_a_case().await;
    let case = world.case_of("989-TEST0001");
    for (number, is_shown) in
        [("<script>77</script>", true), ("77\u{1b}[2J", false), ("77\n88", false), ("\u{202e}77", false), ("  ", false)]
    {
        world.stage.primero.staff(CASE_WORKER).edit(case, json!({ "case_id_display": number }));
        let page = shown(&world, &path).await;
        assert!(!page.contains("<script") && !page.contains(['\u{1b}', '\u{202e}']), "{page}");
        assert_eq!(number_of(&plain(&page)).contains("read from Primero now"), is_shown, "{number:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn an_entry_about_a_case_shows_its_number_too() {
    let world = World::new().await;
    let case = world.register(json!({}));
    let staff = world.stage.primero.staff(CASE_WORKER);
    staff.add_service(case, json!({ "service_type": "alternative_care", "service_implementing_agency": "UNHCR" }));
    staff.edit(case, json!({ "case_id_display": "TEST-NUMBER-77" }));
    world.walk(Walk::Referrals).await;
    assert_eq!(world.list(), ["near_miss service_without_referral"]);
    let path = format!("/deliveries/{}", world.entries()[0].id);
    assert!(shown(&world, "/list").await.contains(&format!("href=\"{path}\"")), "the list leads there");
    let page = plain(&shown(&world, &path).await);
    assert!(page.contains("Case number TEST-NUMBER-77 read from Primero now"), "{page}");
    world.end().await;
}

#[tokio::test]
async fn while_primero_is_blocked_or_unwell_nothing_is_asked_for_a_page_and_nothing_gets_worse() {
    let (world, path, number) = with_a_case().await;
    let refused = world.stage.primero.faults().plant(Rule::any(), Fault::status(401));
    world.refer(json!([nth(2, json!({ "individuals.progres_id": "989-TEST0002" }))])).await;
    assert_eq!(refused.met(), 1);
    for minutes in [0, 9, 2, 65] {
        world.clock.advance(minutes * MINUTE);
        let before = refused.met();
        let page = plain(&shown(&world, &path).await);
        assert!(number_of(&page).contains("not shown: Primero is blocked or unwell now"), "{page}");
        assert!(!page.contains(&format!("{number} read")));
        // The clock may have let the daemon probe; the page did not.
        world.settle().await;
        assert!(refused.met() <= before + 1);
    }
    refused.pull();
    world.pass(70 * MINUTE).await;
    assert!(number_of(&plain(&shown(&world, &path).await)).contains(&number));
    world.end().await;
}

#[tokio::test]
async fn after_a_start_a_page_is_not_the_first_to_try_the_password() {
    let (mut world, path, _) = with_a_case().await;
    world.restart().await;
    world.settle().await;
    world.stage.primero.log().clear();
    let page = plain(&shown(&world, &path).await);
    assert!(number_of(&page).contains("not shown: Primero was not asked since the start"), "{page}");
    assert_eq!(world.stage.primero.log().len(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_primero_that_does_not_answer_keeps_no_page_waiting() {
    let (world, path, _) = with_a_case().await;
    let gate = Gate::closed();
    world.stage.primero.faults().plant(Rule::on(Endpoint::GetCase), Fault::hold(&gate));
    let (page, ()) = tokio::join!(get(&world, &path), async {
        gate.arrived(1).await;
        world.clock.advance(2 * SECOND);
    });
    let page = plain(&page.body);
    assert!(number_of(&page).contains("not shown: Primero did not answer in time"), "{page}");
    gate.open();
    let health = &plain(&shown(&world, "/").await);
    assert!(health.contains("Primero (CPIMS+) ✓ well"), "{health}");
    world.end().await;
}

#[tokio::test]
async fn a_case_that_is_out_of_sight_has_no_number() {
    let (world, path, number) = with_a_case().await;
    for status in [403, 404, 500] {
        let rule = Rule::on(Endpoint::GetCase).once();
        world.stage.primero.faults().plant(rule, Fault::status(status));
        let page = plain(&shown(&world, &path).await);
        assert!(number_of(&page).contains("not shown: Primero"), "{status}: {page}");
    }
    assert!(number_of(&plain(&shown(&world, &path).await)).contains(&number), "and nothing of this is held against Primero");
    assert_eq!(world.unsettled().iter().filter(|left| (left.errand, left.state) == (Errand::Look, State::Held)).count(), 0);
    world.end().await;
}
