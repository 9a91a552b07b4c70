//! What every page is made of: readable with a keyboard, without eyes, without scripts, without anything from anybody else.

use std::collections::{BTreeMap, BTreeSet};

use super::{filled::filled, get, shown};
use crate::world::World;

/// A tag of a page with what stands in it.
#[derive(Debug)]
struct Tag {
    name: String,
    is_end: bool,
    values: BTreeMap<String, String>,
    /// The text up to the next tag.
    text: String,
}

/// The tags of a page. Pages are made by one engine, so that a tag is always `<name attribute="value">`.
fn tags(page: &str) -> Vec<Tag> {
    page.split('<')
        .skip(1)
        .map(|piece| {
            let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("a tag that does not end: {piece}"));
            let is_end = tag.starts_with('/');
            let tag = tag.trim_start_matches('/');
            let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
            let mut values = BTreeMap::new();
            while let Some((name, after)) = rest.split_once("=\"") {
                let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("a value that does not end: {piece}"));
                // Before a name there may be one without a value.
                for bare in name.split_whitespace() {
                    values.insert(bare.to_owned(), String::new());
                }
                values.insert(name.split_whitespace().last().unwrap_or_default().to_owned(), value.to_owned());
                rest = after;
            }
            for bare in rest.split_whitespace() {
                values.insert(bare.to_owned(), String::new());
            }
            Tag { name: name.to_owned(), is_end, values, text: text.to_owned() }
        })
        .collect()
}

fn judge(path: &str, page: &str) {
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{path}");
    let tags = tags(page);
    let begun: Vec<&Tag> = tags.iter().filter(|tag| !tag.is_end).collect();
    let named = |name: &str| begun.iter().filter(|tag| tag.name == name).copied().collect::<Vec<_>>();
    let value = |tag: &Tag, name: &str| tag.values.get(name).cloned();

    let title = &named("title")[0].text;
    assert!(title.ends_with("referrald") && title.contains(" · "), "{path}: {title}");
    assert_eq!(named("h1").len(), 1, "{path}: one heading above all");
    assert_eq!(named("main").len(), 1, "{path}");
    let mut level = 0;
    for tag in &begun {
        if let Some(of) = tag.name.strip_prefix('h').and_then(|of| of.parse::<u32>().ok()) {
            assert!(of <= level + 1, "{path}: a heading of level {of} under one of level {level}");
            level = of;
        }
    }

    let mut ids = BTreeSet::new();
    for id in begun.iter().filter_map(|tag| value(tag, "id")) {
        assert!(ids.insert(id.clone()), "{path}: two things are called {id}");
    }
    for name in ["for", "aria-labelledby", "aria-describedby"] {
        for of in begun.iter().filter_map(|tag| value(tag, name)) {
            assert!(ids.contains(&of), "{path}: {name} names {of}, which is not there");
        }
    }
    let labelled: BTreeSet<String> = named("label").iter().filter_map(|label| value(label, "for")).collect();
    for field in named("input").into_iter().chain(named("select")) {
        assert!(value(field, "id").is_some_and(|id| labelled.contains(&id)), "{path}: a field without a label: {field:?}");
    }
    for cell in named("th") {
        assert!(matches!(value(cell, "scope").as_deref(), Some("col" | "row")), "{path}: {cell:?}");
    }
    for region in begun.iter().filter(|tag| value(tag, "tabindex").as_deref() == Some("0")) {
        let has_name = value(region, "aria-label").or(value(region, "aria-labelledby")).is_some();
        assert!(has_name, "{path}: what can be reached has a name: {region:?}");
    }
    for drawing in named("svg") {
        assert_eq!(value(drawing, "role").as_deref(), Some("img"), "{path}");
        assert!(value(drawing, "aria-label").is_some_and(|label| label.len() > 30), "{path}");
    }
    for (n, link) in tags.iter().enumerate().filter(|(_, tag)| tag.name == "a" && !tag.is_end) {
        let inside: String =
            tags[n..].iter().take_while(|tag| tag.name != "a" || !tag.is_end).map(|tag| tag.text.as_str()).collect();
        assert!(!inside.trim().is_empty(), "{path}: a link without a name: {link:?}");
    }

    for foreign in ["script", "iframe", "img", "object", "embed", "style", "base", "video", "audio"] {
        assert!(named(foreign).is_empty(), "{path}: <{foreign}>");
    }
    for tag in &begun {
        for (name, value) in &tag.values {
            assert!(!name.starts_with("on") && name != "style", "{path}: {tag:?}");
            if ["href", "src", "action"].contains(&name.as_str()) {
                let is_ours = value.starts_with('#') || value.starts_with('/') && !value.starts_with("//");
                assert!(is_ours, "{path}: {value}");
            }
        }
    }
    // What is opened is closed, in order.
    let mut open = Vec::new();
    for tag in &tags {
        if ["meta", "link", "input", "!DOCTYPE", "br"].contains(&tag.name.as_str()) {
            continue;
        }
        if tag.is_end {
            assert_eq!(open.pop(), Some(tag.name.as_str()), "{path}");
        } else {
            open.push(&tag.name);
        }
    }
    assert!(open.is_empty(), "{path}: {open:?}");
}

/// Every address to which a page leads.
fn links(page: &str) -> BTreeSet<String> {
    let links = tags(page).into_iter().filter(|tag| tag.name == "a").filter_map(|tag| tag.values.get("href").cloned());
    links.filter(|link| link.starts_with('/')).map(|link| link.replace("&amp;", "&")).collect()
}

#[tokio::test]
async fn every_page_that_can_be_reached_is_there_and_made_for_everybody() {
    let world = filled().await;
    let mut seen = BTreeSet::new();
    let mut ahead: Vec<String> = vec!["/".to_owned(), "/deliveries?state=held".to_owned()];
    while let Some(path) = ahead.pop() {
        if path.starts_with("/register.csv") || !seen.insert(path.clone()) {
            continue;
        }
        let page = shown(&world, &path).await;
        judge(&path, &page);
        ahead.extend(links(&page));
    }
    let stories = seen.iter().filter(|path| path.starts_with("/deliveries/")).count();
    assert!(stories > 20 && seen.contains("/list") && seen.contains("/register"), "{seen:?}");
    world.end_whatever().await;
}

#[tokio::test]
async fn an_empty_programme_says_so_on_every_page() {
    let world = World::new().await;
    for (path, said) in [
        ("/", "Nothing needs anybody"),
        ("/", "Nothing waits."),
        ("/", "No referral in the last 30 days."),
        ("/deliveries", "Nothing was delivered yet."),
        ("/deliveries?state=held", "No delivery matches these filters."),
        ("/list", "Nothing waits for a person."),
        ("/register", "Nothing crossed in this month."),
    ] {
        let page = shown(&world, path).await;
        judge(path, &page);
        assert!(page.contains(said), "{path}: {page}");
    }
    world.end().await;
}

#[tokio::test]
async fn what_is_refused_is_a_page_too() {
    let world = World::new().await;
    for (path, status, said) in [
        ("/nothing", 404, "There is nothing here"),
        ("/deliveries/1", 404, "There is nothing here"),
        ("/deliveries/0x1", 404, "There is nothing here"),
        ("/deliveries/-1", 404, "There is nothing here"),
        ("/deliveries/+1", 404, "There is nothing here"),
        ("/deliveries/99999999999999999999", 404, "There is nothing here"),
        ("/deliveries?state=nonsense", 400, "<strong>State</strong> must be one of those in the list."),
        ("/deliveries?flow=x&reason=y", 400, "<strong>Reason</strong> must be one of those in the list."),
        ("/deliveries?case=a%20b", 400, "<strong>Case id</strong> must be 1 to 64 of the characters"),
        ("/deliveries?from=2026-02-30", 400, "<strong>Made from</strong> must be a day, such as 2027-06-30."),
        ("/deliveries?from=2026-03-02&to=2026-03-01", 400, "<strong>Made until</strong> must be the same day"),
        ("/deliveries?below=-4", 400, "<strong>Page</strong> must be the number of a delivery."),
        ("/deliveries?unknown=1", 400, "A filter is not known here"),
        ("/deliveries?state=held&state=held", 400, "A filter is not known here"),
        ("/list?after=x", 400, "after"),
        ("/register?month=2026-13", 400, "month"),
        ("/register.csv?month=%0d%0aSet-Cookie:x", 400, "month"),
    ] {
        let answer = get(&world, path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.contains(said), "{path}: {}", answer.body);
        judge(path, &answer.body);
    }
    world.end().await;
}
