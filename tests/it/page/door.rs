//! Who may ask the admin listener, and how.

use super::{Answer, get, say};
use crate::world::World;

async fn ask(world: &World, request: &str, lines: &[&str]) -> Answer {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    say(world.daemon().admin, format!("{request} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n").as_bytes()).await
}

const PAGES: [&str; 9] =
    ["/", "/deliveries", "/list", "/register", "/register.csv", "/style.css", "/livez", "/readyz", "/metrics"];

#[tokio::test]
async fn a_foreign_host_gets_nothing_on_a_loopback_listener() {
    let world = World::new().await;
    let port = world.daemon().admin.port();
    for page in PAGES {
        for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "localhost".to_owned(), "[::1]".to_owned()] {
            assert_eq!(ask(&world, &format!("GET {page}"), &[&format!("Host: {host}")]).await.status, 200, "{page} {host}");
        }
        for host in ["attacker.example", "localhost.attacker.example", "10.0.0.1", "127.0.0.1.nip.example", ""] {
            let answer = ask(&world, &format!("GET {page}"), &[&format!("Host: {host}")]).await;
            assert!(matches!(answer.status, 421 | 400), "{page} {host}: {}", answer.status);
            assert!(!answer.body.contains("sandbox") && !answer.body.contains("attacker"), "{}", answer.body);
        }
        let two = ask(&world, &format!("GET {page}"), &["Host: localhost", "Host: attacker.example"]).await;
        assert!(matches!(two.status, 421 | 400), "{page}: {}", two.status);
        let absolute = ask(&world, &format!("GET http://attacker.example{page}"), &["Host: localhost"]).await;
        assert_eq!(absolute.status, 421, "{page}");
    }
    assert_eq!(ask(&world, "GET /", &[]).await.status, 421, "a page names its host");
    assert_eq!(ask(&world, "GET /livez", &[]).await.status, 200, "a probe need not");
    world.end().await;
}

#[tokio::test]
async fn other_sites_get_nothing() {
    let world = World::new().await;
    for page in PAGES {
        for line in [
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
            "Sec-Fetch-Site: nonsense",
            "Origin: https://attacker.example",
            "Origin: null",
        ] {
            let answer = ask(&world, &format!("GET {page}"), &["Host: localhost", line]).await;
            assert_eq!(answer.status, 403, "{page} {line}");
            assert!(!answer.body.contains("SANDBOX"), "{}", answer.body);
        }
        for line in ["Sec-Fetch-Site: none", "Sec-Fetch-Site: same-origin"] {
            assert_eq!(ask(&world, &format!("GET {page}"), &["Host: localhost", line]).await.status, 200, "{page} {line}");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn it_only_shows_so_nothing_can_be_sent_or_sent_again() {
    let world = World::new().await;
    let before = world.database().query_row("SELECT count(*) FROM story", [], |row| row.get::<_, i64>(0)).unwrap();
    for page in PAGES {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"] {
            let answer = ask(&world, &format!("{method} {page}"), &["Host: localhost", "Content-Length: 0"]).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method} {page}");
        }
        let head = ask(&world, &format!("HEAD {page}"), &["Host: localhost"]).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "HEAD {page}");
        let body = say(
            world.daemon().admin,
            format!("GET {page} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nConnection: close\r\n\r\nabcd").as_bytes(),
        )
        .await;
        assert_eq!(body.status, 413, "{page}");
        let chunked = ask(&world, &format!("GET {page}"), &["Host: localhost", "Transfer-Encoding: chunked"]).await;
        assert_eq!(chunked.status, 413, "{page}");
    }
    // The same request again is the same answer, and neither leaves anything behind.
    for _ in 0..2 {
        assert_eq!(get(&world, "/deliveries?state=held").await.status, 200);
    }
    let after = world.database().query_row("SELECT count(*) FROM story", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(before, after);
    world.end().await;
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let world = World::new().await;
    let long = format!("/deliveries?case={}", "9".repeat(3000));
    assert_eq!(get(&world, &long).await.status, 414);
    let longer = format!("/deliveries?case={}", "9".repeat(40_000));
    assert!(matches!(get(&world, &longer).await.status, 414 | 431), "the line alone is too long");
    let huge = format!("X-Huge: {}", "9".repeat(60_000));
    assert_eq!(ask(&world, "GET /", &["Host: localhost", &huge]).await.status, 431);
    let many: Vec<String> = (0..200).map(|n| format!("X-Many-{n}: 9")).collect();
    let many: Vec<&str> = ["Host: localhost"].into_iter().chain(many.iter().map(String::as_str)).collect();
    assert_eq!(ask(&world, "GET /", &many).await.status, 431);
    assert_eq!(get(&world, "/").await.status, 200, "and the next one is served");
    world.end().await;
}

#[tokio::test]
async fn every_answer_tells_the_browser_to_load_nothing_and_to_keep_nothing() {
    let world = World::new().await;
    for page in PAGES.into_iter().chain(["/nothing", "/deliveries?state=nonsense"]) {
        let answer = get(&world, page).await;
        let policy =
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
        for (name, value) in [
            ("content-security-policy", policy),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{page}: {name}");
        }
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("server"), None);
    }
    world.end().await;
}

#[tokio::test]
async fn numbers_that_look_like_markup_or_like_orders_to_a_terminal_stay_text() {
    let world = World::changing(|settings| settings.programme = "<script>alert(1)</script>".to_owned()).await;
    // None of these is a number, so none is taken, and none comes back.
    for evil in [
        "%3Cscript%3Ealert(1)%3C/script%3E",
        "%22%3E%3Cimg%20src=x%3E",
        "%1b%5b2J",
        "'%20OR%201=1--",
        "%00",
        "%C0%80",
        "../../etc",
    ] {
        for field in ["intervention", "case", "state", "flow", "reason", "from", "to", "below"] {
            let answer = get(&world, &format!("/deliveries?{field}={evil}")).await;
            assert!(matches!(answer.status, 400 | 200), "{field} {evil}: {}", answer.status);
            for bad in ["alert(1)</script>", "<script", "src=x", "\u{1b}", "OR 1=1", "\0"] {
                assert!(!answer.body.replace("&lt;script&gt;alert(1)&lt;/script&gt;", "").contains(bad), "{field} {evil}: {bad}");
            }
        }
        let answer = get(&world, &format!("/deliveries/{evil}")).await;
        assert_eq!(answer.status, 404, "{evil}");
    }
    let page = get(&world, "/").await.body;
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"),
        "a name from the settings is text"
    );
    world.end().await;
}
