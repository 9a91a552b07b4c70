//! The colours of the stylesheet: everything can be read, in light, in the dark and on paper.

use std::collections::BTreeMap;

const STYLE: &str = include_str!("../../../src/page/style.css");

/// Text on its ground.
const TEXT: f64 = 4.5;
/// What is drawn, and the edge of what can be filled in.
const DRAWN: f64 = 3.0;

type Colours = BTreeMap<String, [u8; 3]>;

/// The colours of each `:root` in turn: light, dark, paper.
fn schemes() -> Vec<Colours> {
    let schemes: Vec<Colours> = STYLE
        .split(":root {")
        .skip(1)
        .map(|rest| {
            let block = rest.split('}').next().unwrap();
            let colours = block.split(';').filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
            colours
                .map(|(name, hex)| {
                    let part = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
                    (name.to_owned(), [part(0), part(2), part(4)])
                })
                .collect()
        })
        .collect();
    assert_eq!(schemes.len(), 3);
    assert!(schemes.iter().all(|scheme| scheme.keys().eq(schemes[0].keys())), "each scheme has every colour");
    schemes
}

/// As WCAG 2 defines it.
fn luminance(colour: [u8; 3]) -> f64 {
    let part = |part: u8| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(colour[0]) + 0.7152 * part(colour[1]) + 0.0722 * part(colour[2])
}

fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Rules with their selector, those inside of `@media` as well.
fn rules() -> Vec<(String, String)> {
    let bare: String = STYLE.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, after)| after)).collect();
    bare.split('}')
        .filter_map(|rule| {
            let (before, body) = rule.rsplit_once('{')?;
            let selector = before.rsplit('{').next()?.trim();
            Some((selector.to_owned(), body.to_owned()))
        })
        .collect()
}

/// The name of a colour that a property of a rule takes.
fn taken<'a>(body: &'a str, property: &str) -> Option<&'a str> {
    body.split(';').find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == property).then(|| value.split("var(--").nth(1)?.split(')').next()).flatten()
    })
}

/// Where text may stand that sets no ground of its own.
const GROUNDS: [&str; 2] = ["paper", "card"];
/// Text that stands on the ground of what it is in.
const INSIDE: [(&str, &str); 1] = [("header.top .product", "top")];

#[test]
fn every_text_can_be_read_on_every_ground_it_stands_on() {
    let mut compared = 0;
    for (selector, body) in rules() {
        let Some(text) = taken(&body, "color") else { continue };
        let inside = INSIDE.iter().find(|(of, _)| *of == selector).map(|(_, ground)| *ground);
        let own = taken(&body, "background").or(inside);
        for scheme in schemes() {
            for ground in own.map_or_else(|| GROUNDS.to_vec(), |ground| vec![ground]) {
                let ratio = contrast(scheme[text], scheme[ground]);
                assert!(ratio >= TEXT, "{selector}: {text} on {ground} has {ratio:.2}");
                compared += 1;
            }
        }
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn everything_drawn_and_every_edge_stands_out() {
    let mut drawn: Vec<String> = Vec::new();
    for (_, body) in rules() {
        drawn.extend(
            ["fill", "stroke", "border-left-color"].iter().filter_map(|property| taken(&body, property)).map(str::to_owned),
        );
    }
    // The ground under the pointer, and what parts the parts of a bar.
    drawn.retain(|name| name != "off-ground" && name != "card");
    drawn.extend(["edge", "link"].map(str::to_owned));
    assert!(
        ["delivered", "held", "withheld", "refused", "given-up", "open"].iter().all(|name| drawn.contains(&(*name).to_owned()))
    );
    for scheme in schemes() {
        for name in &drawn {
            let ratio = contrast(scheme[name], scheme["card"]);
            assert!(ratio >= DRAWN, "{name} on card has {ratio:.2}");
        }
    }
}

#[test]
fn the_stylesheet_asks_nobody_for_anything() {
    for foreign in ["url(", "@import", "@font-face", "http", "expression"] {
        assert!(!STYLE.contains(foreign), "{foreign}");
    }
}

#[test]
fn the_measure_of_contrast_is_that_of_the_standard() {
    assert!((contrast([0, 0, 0], [255, 255, 255]) - 21.0).abs() < 1e-9);
    assert!((contrast([0x76, 0x76, 0x76], [255, 255, 255]) - 4.54).abs() < 0.01);
}
