//! People who are told by mail: over TLS, with an account, and nothing of a record in any message.

use std::sync::Arc;

use referrald::{
    referral::Walk,
    sandbox::{
        Fault, Rule,
        pki::{Authority, Wish},
        primero::CASE_WORKER,
        stage::write_secret,
    },
    spool::list::Kind,
};
use rustls::ServerConfig;
use serde_json::json;

use super::{
    ON, SECOND, URL,
    sinks::{Hook, Mail, MailServer, Speaks},
};
use crate::{
    alarms::with_entry,
    flow2::HOUR,
    privacy::markers::{assert_clean, mark_staff, marked, referred},
    world::{World, intervention},
};

const TO: &str = "cpims-duty@example.org";

fn variable(key: &str) -> String {
    format!("REFERRALD__ALERTS__MAIL__{key}")
}

/// Settings that send mail to a server.
fn mail(server: &MailServer, tls: &str) -> Vec<(String, String)> {
    let mail = [("SERVER", "localhost"), ("PORT", &server.port), ("TLS", tls), ("FROM", "referrald@example.org"), ("TO", TO)];
    let mut settings: Vec<_> = mail.iter().map(|(key, value)| (variable(key), (*value).to_owned())).collect();
    settings.push((ON.0.to_owned(), ON.1.to_owned()));
    settings
}

fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn tls(authority: &Authority, wish: Wish) -> Arc<ServerConfig> {
    let identity = authority.issue(wish);
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![identity.certificate()], identity.key());
    Arc::new(config.unwrap())
}

/// A world without a daemon, whose DTP refuses our key as soon as it is asked.
async fn blocked() -> World {
    let world = World::without_daemon(&[]).await;
    world.stage.dtp.faults().plant(Rule::any(), Fault::status(401));
    world
}

/// Starts the daemon with more settings, and lets it be blocked; what was mailed then.
async fn mailed(world: &mut World, server: &MailServer, settings: &[(String, String)]) -> Vec<Mail> {
    world.change_settings(&borrowed(settings));
    world.start().await;
    world.refer(json!([intervention("989-26-TEST-0001", json!({}))])).await;
    world.pass(SECOND).await;
    server.mails()
}

#[tokio::test]
async fn a_mail_says_what_happened_where_to_look_and_that_a_machine_wrote_it() {
    let server = MailServer::new(Speaks::Plain).await;
    let settings = mail(&server, "none");
    let world = with_entry(Kind::Held, &borrowed(&settings)).await;
    world.pass(SECOND).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    let Mail { encrypted, account, to, text } = &mails[0];
    assert_eq!((*encrypted, account, to.as_slice()), (false, &None, [TO.to_owned()].as_slice()));
    let id = world.entries()[0].id;
    for line in [
        "From: referrald <referrald@example.org>",
        "To: cpims-duty@example.org",
        "Subject: [referrald sandbox test] held",
        "Date: Mon, 02 Mar 2026 08:00:01 +0000",
        "Auto-Submitted: auto-generated",
        "sandbox (test), 2026-03-02 11:00 EAT",
        &format!("held: 1 ({id})"),
        "  A person must decide, or put something right in Primero.",
        "  referrald deliveries show NUMBER",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    assert!(text.lines().any(|line| line.starts_with("Message-ID: <") && line.ends_with("@example.org>")), "{text}");
    world.end_unsettled().await;
}

#[tokio::test]
async fn mail_goes_over_tls_from_the_first_byte_or_after_starttls_with_our_account() {
    for way in ["implicit", "starttls"] {
        let mut world = blocked().await;
        let config = tls(&world.stage.authority, Wish::loopback());
        let server = MailServer::new(if way == "implicit" { Speaks::Implicit(config) } else { Speaks::StartTls(config) }).await;
        write_secret(&world.stage.directory().join("secrets/mail"), "Zyxpassword").unwrap();
        let mut settings = mail(&server, way);
        for (key, value) in [("CA_FILE", "secrets/authority.pem"), ("USER_NAME", "bridge"), ("PASSWORD_FILE", "secrets/mail")] {
            settings.push((variable(key), value.to_owned()));
        }
        let mails = mailed(&mut world, &server, &settings).await;
        assert_eq!(mails.len(), 1, "{way}");
        assert!(mails[0].encrypted, "{way}");
        assert_eq!(mails[0].account, Some(("bridge".to_owned(), "Zyxpassword".to_owned())), "{way}");
        assert!(mails[0].text.contains("dtp_blocked: 1"), "{}", mails[0].text);
        assert!(!format!("{:?}", world.daemon()).contains("Zyxpassword"));
        world.end_whatever().await;
    }
}

#[tokio::test]
async fn a_server_that_offers_no_tls_or_that_nobody_trusts_gets_no_mail() {
    let stranger = Authority::new();
    for (way, speaks) in [
        ("starttls", Speaks::Plain),
        ("implicit", Speaks::Plain),
        ("implicit", Speaks::Implicit(tls(&stranger, Wish::loopback()))),
        ("starttls", Speaks::StartTls(tls(&stranger, Wish::loopback()))),
    ] {
        let mut world = blocked().await;
        let server = MailServer::new(speaks).await;
        let mut settings = mail(&server, way);
        settings.push((variable("CA_FILE"), "secrets/authority.pem".to_owned()));
        settings.push(("REFERRALD__ALERTS__TIMEOUT".to_owned(), "300ms".to_owned()));
        assert_eq!(mailed(&mut world, &server, &settings).await, [], "{way}");
        let page = world.page("/metrics").await.1;
        assert!(page.contains("referrald_alerts_failed_total{target=\"mail\"} 1\n"), "{page}");
        world.end_whatever().await;
    }
}

#[tokio::test]
async fn mail_settings_that_cannot_be_meant_are_refused_all_at_once() {
    let world = World::without_daemon(&[]).await;
    let refused = |changed: &[(&str, &str)]| {
        let changed: Vec<_> = changed.iter().map(|(key, value)| (variable(key), (*value).to_owned())).collect();
        world.stage.settings(&borrowed(&changed)).expect_err("it cannot be meant").0
    };
    let said = refused(&[("SERVER", "mail.example.org"), ("TLS", "none"), ("USER_NAME", "bridge")]);
    assert_eq!(said.len(), 4, "{said:?}");
    for part in [
        "`alerts.mail.tls` may be `\"none\"` for a server on this machine alone",
        "`alerts.mail.from` is missing beside `alerts.mail.server`",
        "`alerts.mail.to` must name one e-mail address at least",
        "`alerts.mail.password_file` is missing beside `alerts.mail.user_name`",
    ] {
        assert!(said.iter().any(|said| said.contains(part)), "{part}: {said:?}");
    }
    assert!(refused(&[("TO", TO)])[0].contains("`alerts.mail.server` is missing beside the other keys of `[alerts.mail]`"));
    assert!(
        refused(&[("SERVER", "localhost"), ("TO", "nobody")])[0].contains("`alerts.mail.to` must be a list of e-mail addresses")
    );
    let hook = world.stage.settings(&[(URL, "http://alerts.example.org/")]).expect_err("it is not encrypted").0;
    assert!(hook[0].contains("`alerts.webhook.url` must be an https address"), "{hook:?}");
}

#[tokio::test]
async fn no_message_tells_a_value_of_a_record_a_case_or_a_number_of_anybody_but_us() {
    let (hook, server) = (Hook::new().await, MailServer::new(Speaks::Plain).await);
    let mut settings = mail(&server, "none");
    settings.push((URL.to_owned(), hook.url.clone()));
    settings.push((variable("SECOND_STAGE_TO"), "manager@example.org".to_owned()));
    let world = World::with(&borrowed(&settings)).await;
    mark_staff(&world);
    let (case, referral, outgoing) = referred(&world, &json!({}));
    world.walk(Walk::Referrals).await;
    let numbers = ["989-26-TEST-0001", "989-26-TEST-0002", "989-26-TEST-0003"];
    world.refer(json!([marked(numbers[0]), marked(numbers[1])])).await;
    world.stage.dtp.faults().plant(Rule::any(), Fault::status(401));
    world.refer(json!([marked(numbers[2])])).await;
    world.stage.primero.staff(CASE_WORKER).revoke(referral);
    world.walk(Walk::Referrals).await;
    let mut again = marked(numbers[0]);
    again["user.title"] = json!("Zyxtitle Officer, again");
    world.refer(json!([again])).await;
    world.decide(json!([{ "progres_orgreferralid": outgoing, "progres_reviewdecision": "12" }])).await;
    for _ in 0..30 {
        world.pass(8 * HOUR).await;
    }
    let document = world.stage.primero.case(case).unwrap();
    let case_id = document["case_id"].as_str().unwrap();
    let mails: Vec<String> = server.mails().into_iter().map(|mail| mail.text).collect();
    let posts: Vec<String> = hook.messages().iter().map(ToString::to_string).collect();
    assert!(mails.len() > 10 && posts.len() > 10, "{} mails, {} posts", mails.len(), posts.len());
    for message in mails.iter().chain(&posts) {
        assert_clean("a message", message.as_bytes());
        for number in numbers.iter().copied().chain([case_id, &case.to_string(), &referral.to_string(), &outgoing]) {
            assert!(!message.contains(number), "a message names {number}: {message}");
        }
    }
    let all = mails.concat();
    for said in ["withdrawn_after_send", "changed_after_delivery", "held", "dtp_blocked", "late", "Waits for a person"] {
        assert!(all.contains(said), "nothing was told of {said}");
    }
    world.end_whatever().await;
}
