//! Free text as people write it: control characters, HTML, lists of notes.
//!
//! It knows neither fields nor rules. What cannot be read as a text is refused by the caller.

use std::borrow::Cow;

use html2text::{config, render::TrivialDecorator};
use serde::Deserialize;

/// More tags than this is no note of a person; resolving them could hold up every other delivery.
const MOST_TAGS: usize = 4_000;
/// Lines are never broken: no text is this wide.
const WIDTH: usize = 1 << 24;

/// Text without control characters; line breaks and tabs stay. The databases behind either side refuse NUL, and nobody can see the others.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let unwanted = |char: char| char.is_control() && !matches!(char, '\n' | '\r' | '\t');
    if text.contains(unwanted) { Cow::Owned(text.replace(unwanted, "")) } else { Cow::Borrowed(text) }
}

/// Whether there is nothing to read.
pub(super) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Plain text of what may be a list of notes, HTML, or both; `None` if it cannot be resolved.
pub(super) fn plain(text: &str, notes: bool, html: bool) -> Option<Cow<'_, str>> {
    fn resolved(text: &str, html: bool) -> Option<Cow<'_, str>> {
        if html { without_html(text) } else { Some(clean(text)) }
    }
    let Some(notes) = Some(text).filter(|_| notes).and_then(notes_of) else { return resolved(text, html) };
    let mut lines = String::new();
    for note in notes {
        let note = resolved(&note, html)?;
        if !is_blank(&note) {
            if !lines.is_empty() {
                lines.push('\n');
            }
            lines.push_str(note.trim());
        }
    }
    Some(Cow::Owned(lines))
}

#[derive(Deserialize)]
struct Note {
    #[serde(rename = "Text", default)]
    text: serde_json::Value,
}

/// The texts of a list of notes; `None` if the text is not one.
fn notes_of(text: &str) -> Option<Vec<String>> {
    if !text.trim_start().starts_with('[') {
        return None;
    }
    let notes: Vec<Note> = serde_json::from_str(text).ok()?;
    let text = |note: Note| match note.text {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    };
    Some(notes.into_iter().filter_map(text).collect())
}

fn without_html(text: &str) -> Option<Cow<'_, str>> {
    let is_tag =
        |(at, _): (usize, &str)| text[at + 1..].starts_with(|next: char| next.is_ascii_alphabetic() || "/!?".contains(next));
    let tags = text.match_indices('<').filter(|found| is_tag(*found)).count();
    if tags > MOST_TAGS {
        return None;
    }
    if tags == 0 && !text.contains('&') {
        return Some(clean(text));
    }
    // Without a tag, line breaks are meant as they stand.
    let marked_up = if tags == 0 { Cow::Owned(format!("<pre>{text}</pre>")) } else { Cow::Borrowed(text) };
    let resolved = config::with_decorator(TrivialDecorator::new())
        .raw_mode(true)
        .no_table_borders()
        .no_link_wrapping()
        .unicode_strikeout(false)
        .allow_width_overflow()
        .string_from_read(marked_up.as_bytes(), WIDTH)
        .ok()?;
    Some(Cow::Owned(tidy(&clean(&resolved))))
}

/// No blanks at the end of lines, never two empty lines together.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for line in text.trim().lines().map(str::trim_end) {
        let is_second_empty_line = line.is_empty() && tidy.ends_with('\n');
        if !tidy.is_empty() && !is_second_empty_line {
            tidy.push('\n');
        }
        tidy.push_str(line);
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_gives_its_text_and_nothing_else() {
        for (html, text) in [
            ("<p>One</p><p>Two &amp; three &eacute;</p>", "One\n\nTwo & three é"),
            (" <p>One  paragraph\n without\tanything </p> ", "One paragraph without anything"),
            ("<p>One  paragraph\n with <b>bold</b>\twords</p>", "One paragraph with bold words"),
            ("a<br>b<br/>c", "a\nb\nc"),
            ("<ul><li>x</li><li>y</li></ul>", "x\ny"),
            ("see <a href=\"https://invalid.example\">the link</a> and <b>bold</b> <s>old</s>", "see the link and bold old"),
            ("<table><tr><td>1</td><td>2</td></tr></table>", "1\n2"),
            ("<div>a</div>\n<div>b</div>", "a\nb"),
            ("<script>alert(1)</script>kept<!-- gone -->", "kept"),
            ("<p>a</p><p>&nbsp;</p><p>b</p>", "a\n\nb"),
            ("<p> </p>", ""),
            ("no tags:\nage < 5 & > 3", "no tags:\nage < 5 & > 3"),
            ("two\n\nlines &lt;p&gt; &quot;as written&quot;", "two\n\nlines <p> \"as written\""),
            ("nul\0 and bell\u{7}", "nul and bell"),
            ("<p>nul\0 here</p>", "nul here"),
        ] {
            assert_eq!(plain(html, false, true).as_deref(), Some(text), "{html}");
        }
    }

    #[test]
    fn a_text_of_thousands_of_tags_is_not_resolved() {
        assert_eq!(plain(&"<div>".repeat(MOST_TAGS + 1), true, true), None);
        assert!(plain(&"<div>".repeat(100), true, true).is_some());
    }

    #[test]
    fn a_list_of_notes_gives_their_texts_and_anything_else_is_plain_text() {
        for (notes, text) in [
            (
                r#"[{"CreatedBy":"x","Text":"First.","CreatedOn":"2026-01-01"},{"Text":" <p>Second &amp; last.</p> "}]"#,
                "First.\nSecond & last.",
            ),
            (r#"[{"Text":null},{"Text":""},{"CreatedBy":"x"},{"Text":7},{"Text":"Only."}]"#, "Only."),
            ("[]", ""),
            ("[not a list", "[not a list"),
            ("[1,2]", "[1,2]"),
            (r#"{"Text":"no list"}"#, r#"{"Text":"no list"}"#),
            ("Plain.", "Plain."),
        ] {
            assert_eq!(plain(notes, true, true).as_deref(), Some(text), "{notes}");
        }
        assert_eq!(plain(r#"[{"Text":"a &amp; b"}]"#, true, false).as_deref(), Some("a &amp; b"));
        assert_eq!(plain(r#"[{"Text":"a"}]"#, false, true).as_deref(), Some(r#"[{"Text":"a"}]"#));
    }
}
