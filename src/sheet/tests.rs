//! The sheet of Gambella in every format, and what one change of each kind looks like.

use std::{fs, io::Cursor, path::Path};

use calamine::{Data, Reader, Xlsx};
use tempfile::TempDir;

use super::{Book, Format, Mark, Titles};
use crate::mapping::Mapping;

const TITLES: Titles<'static> = Titles { programme: "gambella", agreement: Some("SANDBOX-AGREEMENT") };

fn mappings() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings"))
}

fn gambella() -> Mapping {
    Mapping::load(&mappings().join("gambella")).expect("Gambella's mapping is right")
}

/// Base and Gambella in a folder of their own, with some texts replaced by others.
fn edited(changes: &[(&str, &str, &str)]) -> (TempDir, Mapping) {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("a folder can be made");
        for entry in fs::read_dir(from).expect("the folder is there").map(|entry| entry.expect("it can be read").path()) {
            let to = to.join(entry.file_name().expect("it has a name"));
            if entry.is_dir() {
                copy(&entry, &to);
            } else {
                fs::copy(&entry, &to).expect("a file can be copied");
            }
        }
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    for name in ["base", "gambella"] {
        copy(&mappings().join(name), &folder.path().join(name));
    }
    for (file, from, to) in changes {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).expect("the file is there");
        assert!(text.contains(from), "{file} does not hold {from}");
        fs::write(&path, text.replacen(from, to, 1)).expect("the file can be written");
    }
    let mapping = Mapping::load(&folder.path().join("gambella")).unwrap_or_else(|problems| panic!("{problems}"));
    (folder, mapping)
}

/// The text of a format, with the digests taken out: they change with every row.
fn text(book: &Book, format: Format, mappings: &[&Mapping]) -> String {
    let bytes = book.written(format).expect("it can be written");
    let text = if format == Format::Xlsx { read_back(&bytes) } else { String::from_utf8(bytes).expect("it is text") };
    mappings.iter().enumerate().fold(text, |text, (at, mapping)| {
        let name = format!("DIGEST-{}", at + 1);
        text.replace(mapping.digest(), &name).replace(&mapping.digest()[..12], &name)
    })
}

fn workbook(bytes: &[u8]) -> Xlsx<Cursor<Vec<u8>>> {
    Xlsx::new(Cursor::new(bytes.to_vec())).expect("another library can open it")
}

/// Every cell as another library reads it: one line a row.
fn read_back(bytes: &[u8]) -> String {
    let mut workbook = workbook(bytes);
    let mut text = String::new();
    for name in workbook.sheet_names() {
        text += &format!("==== {name}\n");
        for row in workbook.worksheet_range(&name).expect("the tab can be read").rows() {
            let cells: Vec<String> = row.iter().map(|cell| cell.to_string().replace('\n', " / ")).collect();
            text += cells.join(" | ").trim_end_matches([' ', '|']);
            text.push('\n');
        }
    }
    text
}

/// One change of each kind.
fn changed() -> (TempDir, Mapping) {
    let new_row = "[[referral]]\nto = \"mother_tongue_note\"\nof = \"case\"\nfrom = \"mother_tongue_note\"\nform = \"not on form\"\n\
                   own_field = true\nreason = \"Invented for a test.\"\n\n[[referral]]\nto = \"service_implementing_agency\"";
    edited(&[
        ("gambella/mapping.toml", "version = \"1\"", "version = \"2\""),
        // A field that UNHCR did not get, and a part of one that it got.
        ("gambella/referral.toml", "[[referral]]\nto = \"service_implementing_agency\"", new_row),
        ("base/referral.toml", "from = \"address_current\"", "first_of = [\"address_current\", \"address_last\"]"),
        // A field that is not exchanged any more, one that comes in anew, a constant, a rule, a remark.
        (
            "base/intervention.toml",
            "to = \"telephone_current\"\nfrom = \"individuals.progres_primaryphonenumber\"",
            "to = \"telephone_last\"\nfrom = \"individuals.progres_secondphonenumber\"",
        ),
        ("base/feedback.toml", "constant = \"Delivery Fail\"", "constant = \"Delivery Failed\""),
        (
            "base/intervention.toml",
            "to = \"name_middle\"\nfrom = \"individuals.progres_middlename\"",
            "to = \"name_middle\"\nfrom = \"individuals.progres_middlename\"\nrequired = true",
        ),
        ("base/intervention.toml", "form = \"Other Identity Details\"", "form = \"Basic Identity\""),
        // A value that was known and is not, one that was not and is, a label, a confirmation.
        ("gambella/tables/sex-in.csv", "125080003,Unknown,unknown_4b34795,Unknown\n", "125080009,Intersex,other_b25f252,Other\n"),
        ("gambella/tables/language-in.csv", "Nuer,language2,Nuer", "Nuer,language3,Dinka"),
        (
            "gambella/tables/service-in.csv",
            "Alternative Care,alternative_care,Alternative Care,,,",
            "Alternative Care,alternative_care,Alternative Care,CP coordinator,2026-11-30,",
        ),
        ("base/reasons.toml", "The service type is not one of those agreed", "This service is not one of those agreed"),
    ])
}

#[test]
fn the_sheet_of_gambella_as_markdown() {
    let mapping = gambella();
    insta::assert_snapshot!(text(&Book::to_sign(&mapping, TITLES), Format::Markdown, &[&mapping]));
}

#[test]
fn the_sheet_of_gambella_as_csv() {
    let mapping = gambella();
    let csv = text(&Book::to_sign(&mapping, TITLES), Format::Csv, &[&mapping]);
    assert!(csv.starts_with('\u{feff}') && csv.ends_with("\r\n"));
    insta::assert_snapshot!(csv.trim_start_matches('\u{feff}').replace("\r\n", "\n"));
}

#[test]
fn the_sheet_of_gambella_as_html() {
    let mapping = gambella();
    insta::assert_snapshot!(text(&Book::to_sign(&mapping, TITLES), Format::Html, &[&mapping]));
}

#[test]
fn the_sheet_of_gambella_as_a_workbook() {
    let mapping = gambella();
    insta::assert_snapshot!(text(&Book::to_sign(&mapping, TITLES), Format::Xlsx, &[&mapping]));
}

#[test]
fn every_field_and_every_row_of_a_table_is_in_the_sheet() {
    let mapping = gambella();
    let book = Book::to_sign(&mapping, TITLES);
    let rows: usize = book.tabs.iter().filter(|tab| tab.kind == super::Kind::Fields).map(|tab| tab.rows.len()).sum();
    assert_eq!(rows, mapping.rows().count());
    assert!(rows > 60, "{rows}");
    for table in mapping.tables() {
        let tab = book.tabs.iter().find(|tab| tab.name == format!("Table {}", table.name)).expect("each table has a tab");
        assert_eq!(tab.rows.len(), table.rows.len());
    }
}

#[test]
fn the_same_mapping_gives_the_same_bytes() {
    for format in Format::ALL {
        let written = || Book::to_sign(&gambella(), TITLES).written(*format).expect("it can be written");
        assert_eq!(written(), written(), "{}", format.code());
    }
}

#[test]
fn an_approved_sheet_says_by_whom_and_a_changed_one_that_it_is_not() {
    let digest = gambella().digest().to_owned();
    let lines = format!(
        "version = \"1\"\n[approval]\nagreement = \"SANDBOX-AGREEMENT\"\nby_role = \"CP coordinator\"\non = \"2026-02-01\"\ndigest = \"{digest}\"\n"
    );
    let said = |mapping: &Mapping, agreement| {
        let book = Book::to_sign(mapping, Titles { agreement, ..TITLES });
        book.facts.into_iter().find(|(name, _)| name == "Approval").expect("the cover says it").1
    };
    let approve = ("gambella/mapping.toml", "version = \"1\"", lines.as_str());
    let (_folder, mapping) = edited(&[approve]);
    assert_eq!(said(&mapping, None), "approved by CP coordinator on 2026-02-01");
    assert!(said(&mapping, Some("ANOTHER")).starts_with("NOT APPROVED under this agreement: CP coordinator"));
    let (_folder, mapping) = edited(&[approve, ("gambella/tables/sex-in.csv", "Unknown,unknown", "Not known,unknown")]);
    assert_eq!(said(&mapping, None), "NOT APPROVED: it has changed since CP coordinator approved it on 2026-02-01");
    assert!(said(&gambella(), None).starts_with("NOT APPROVED: nobody"));
}

#[test]
fn one_change_of_each_kind_in_words() {
    let (old, (_folder, new)) = (gambella(), changed());
    insta::assert_snapshot!(text(&Book::of_changes(&old, &new, TITLES), Format::Markdown, &[&old, &new]));
}

#[test]
fn one_change_of_each_kind_as_csv() {
    let (old, (_folder, new)) = (gambella(), changed());
    let csv = text(&Book::of_changes(&old, &new, TITLES), Format::Csv, &[&old, &new]);
    insta::assert_snapshot!(csv.trim_start_matches('\u{feff}').replace("\r\n", "\n"));
}

#[test]
fn one_change_of_each_kind_as_a_workbook() {
    let (old, (_folder, new)) = (gambella(), changed());
    let text = text(&Book::of_changes(&old, &new, TITLES), Format::Xlsx, &[&old, &new]);
    // Tables in which nothing stands out are those of the sheet.
    let lines = text.lines().scan(false, |listed, line| {
        if line.starts_with("====") {
            *listed = ["==== Cover", "==== Changes"].contains(&line);
        }
        let shown = *listed || ["====", "NEW", "GONE"].iter().any(|mark| line.starts_with(mark)) || line.contains(" / was: ");
        Some(shown.then(|| format!("{line}\n")))
    });
    insta::assert_snapshot!(lines.flatten().collect::<String>());
}

#[test]
fn one_change_of_each_kind_as_html() {
    let (old, (_folder, new)) = (gambella(), changed());
    let page = text(&Book::of_changes(&old, &new, TITLES), Format::Html, &[&old, &new]);
    let marked: Vec<&str> = page.lines().filter(|line| line.contains("class=\"") && line.starts_with("<tr")).collect();
    insta::assert_snapshot!(marked.join("\n"));
}

#[test]
fn newly_shared_fields_come_first_and_are_loud() {
    let (old, (_folder, new)) = (gambella(), changed());
    let book = Book::of_changes(&old, &new, TITLES);
    let marks: Vec<Mark> = book.tabs[0].rows.iter().map(|row| row.mark).collect();
    assert_eq!(marks[..3], [Mark::Loud; 3]);
    assert!(marks[3..].iter().all(|mark| *mark == Mark::Plain));
    let said = |at: usize| book.tabs[0].rows[at].cells[4].text.as_str();
    let ask = "agreement and consent wording must be checked";
    assert!(
        said(0).starts_with(&format!("NEW FIELD SHARED WITH UNHCR: address_last, inside address_current: {ask}")),
        "{}",
        said(0)
    );
    assert!(said(1).starts_with(&format!("NEW FIELD SHARED WITH UNHCR: mother_tongue_note: {ask}")), "{}", said(1));
    assert!(said(2).starts_with("NEW FIELD TAKEN FROM UNHCR: telephone_last: the agreement must be checked"), "{}", said(2));
}

#[test]
fn a_value_that_is_known_now_is_told_in_words() {
    let (_folder, old) = edited(&[("gambella/tables/sex-in.csv", "125080003,Unknown,unknown_4b34795,Unknown\n", "")]);
    let new = gambella();
    let said = |old, new| {
        let book = Book::of_changes(old, new, TITLES);
        book.tabs[0].rows[0].cells[4].text.clone()
    };
    assert_eq!(
        said(&old, &new),
        "sex: 125080003 (Unknown) is now unknown_4b34795 (Unknown) instead of refused (New case in Primero)"
    );
    assert_eq!(
        said(&new, &old),
        "sex: 125080003 (Unknown) is now refused instead of unknown_4b34795 (Unknown) (New case in Primero)"
    );
}

#[test]
fn a_service_for_which_more_is_shared_than_before_is_loud() {
    let profile = "[[profile]]\nname = \"number and service only\"\nservice_types = [\"food\"]\n\
                   referral = [\"id\", \"request_type\", \"service_type\", \"unhcr_individual_no\"]\n\n[[referral]]";
    let (_narrow_folder, narrow) = edited(&[("gambella/referral.toml", "[[referral]]", profile)]);
    let wider = profile.replace("\"id\", ", "\"id\", \"name_first\", ");
    let (_wider_folder, wider) = edited(&[("gambella/referral.toml", "[[referral]]", &wider)]);
    let changes = |old: &Mapping, new: &Mapping| Book::of_changes(old, new, TITLES).tabs.remove(0).rows;
    let rows = changes(&narrow, &wider);
    let said =
        "NEW FIELD SHARED WITH UNHCR: name_first, for food: agreement and consent wording must be checked (Referral to UNHCR)";
    assert_eq!((rows.len(), rows[0].mark, rows[0].cells[4].text.as_str()), (1, Mark::Loud, said));
    let rows = changes(&narrow, &gambella());
    assert!(rows[0].mark == Mark::Loud && rows[0].cells[6].text.contains("telephone_current"), "{:?}", rows[0]);
    let rows = changes(&wider, &narrow);
    assert_eq!(rows[0].cells[4].text, "name_first (Referral to UNHCR): not exchanged any more for food");
    let book = Book::to_sign(&narrow, TITLES);
    let tab = book.tabs.iter().find(|tab| tab.name == "Fewer fields").expect("the profile has its row");
    assert_eq!(tab.rows[0].cells[4].text, "id, request_type, service_type, unhcr_individual_no");
}

#[test]
fn nothing_different_is_said_plainly() {
    let old = gambella();
    // A remark and a blank line are no change.
    let (_folder, new) = edited(&[("base/decision.toml", "[[decision]]", "# A remark.\n\n[[decision]]")]);
    let book = Book::of_changes(&old, &new, TITLES);
    let said = text(&book, Format::Markdown, &[]);
    assert!(said.contains("\nNothing is different: both have the same digest.\n"), "{said}");
    assert!(
        book.tabs
            .iter()
            .all(|tab| tab.rows.iter().all(|row| row.mark == Mark::Plain && row.cells.iter().all(|cell| cell.was.is_none())))
    );
    assert!(book.tabs[0].rows.is_empty());
}

#[test]
fn what_is_signed_and_differs_is_named() {
    let profile = "[[profile]]\nname = \"less\"\nservice_types = [\"food\"]\nreferral = [\"id\", \"service_type\"]\n";
    let reason = format!("{profile}reason = \"Agreed.\"\n\n[[referral]]");
    let profile = format!("{profile}\n[[referral]]");
    let other_name = profile.replace("\"less\"", "\"fewer\"");
    let file = "gambella/referral.toml";
    let constant = |value: &str| format!("to = \"service_request_external\"\nconstant = {value}\n");
    let missing = "to = \"name_nickname\"\nfrom = \"individuals.progres_commonyusedname\"\n";
    let spelled_out = format!("{missing}missing = \"absent\"\n");
    let change = |file, from: &str, to: &str| [file, from, to].map(str::to_owned);
    let base = "base/intervention.toml";
    for (before, after, said) in [
        (
            None,
            change("base/mapping.toml", "given_case_id = \"progres_primeroid\"", "given_case_id = \"progres_caseid\""),
            "the case that UNHCR believes it is (a field of proGres): it is now “progres_caseid” instead of “progres_primeroid”",
        ),
        (
            None,
            change(base, "522d0ff0-eeda-44c7-8896-77e7a44dd9f7", "522d0ff0-eeda-44c7-8896-77e7a44dd9f8"),
            "(namespace 522d0ff0-eeda-44c7-8896-77e7a44dd9f8)",
        ),
        (
            None,
            change(base, &constant("true"), &constant("\"true\"")),
            "service_request_external (Service in Primero): it is now always “true (text)” instead of “true”",
        ),
        (
            Some(change(base, &constant("true"), &constant("1"))),
            change(base, &constant("1"), &constant("\"1\"")),
            "service_request_external (Service in Primero): it is now always “1 (text)” instead of “1”",
        ),
        (
            Some(change(base, &constant("true"), &constant("10"))),
            change(base, &constant("10"), &constant("0x10")),
            "service_request_external (Service in Primero): it is now always “16” instead of “10”",
        ),
        (
            None,
            change(base, "read = [\"notes\", \"html\"]", "read = \"notes\""),
            "Part 1: The texts of the notes are taken as they are written.",
        ),
        (
            Some(change(file, "[[referral]]", &profile)),
            change(file, &profile, &reason),
            "less: the reason is now “Agreed.” instead of empty",
        ),
        (Some(change(file, "[[referral]]", &profile)), change(file, &profile, &other_name), "less: this profile is gone"),
        (
            None,
            change(base, missing, &spelled_out),
            "name_nickname (New case in Primero): something differs that this list does not show; compare the files",
        ),
    ] {
        let edits: Vec<[String; 3]> = before.into_iter().collect();
        let edited = |edits: &[[String; 3]]| {
            edited(&edits.iter().map(|[file, from, to]| (file.as_str(), from.as_str(), to.as_str())).collect::<Vec<_>>())
        };
        let (_old_folder, old) = edited(&edits);
        let (_new_folder, new) = edited(&[edits.as_slice(), &[after]].concat());
        assert_ne!(old.digest(), new.digest(), "{said}");
        let told = text(&Book::of_changes(&old, &new, TITLES), Format::Markdown, &[]);
        assert!(told.contains(said) && !told.contains("rows stand in another order"), "{said}\n{told}");
    }
}

#[test]
fn a_change_of_order_alone_is_not_called_nothing() {
    let old = gambella();
    let (_folder, new) = edited(&[
        ("gambella/tables/sex-in.csv", "125080000,Female,female,Female\n", ""),
        (
            "gambella/tables/sex-in.csv",
            "125080001,Male,male,Male\n",
            "125080001,Male,male,Male\n125080000,Female,female,Female\n",
        ),
    ]);
    let said = text(&Book::of_changes(&old, &new, TITLES), Format::Markdown, &[]);
    assert!(said.contains("rows stand in another order") && said.contains("THE VERSION IS STILL THE SAME"), "{said}");
}

#[test]
fn no_cell_is_a_formula() {
    let label = "=HYPERLINK(\"\"http://example.invalid\"\")";
    let (_folder, mapping) = edited(&[
        ("gambella/tables/sex-in.csv", "125080002,Other,", &format!("125080002,\"{label}\",")),
        ("gambella/intervention.toml", "reason = \"The agency", "reason = \"@The agency"),
    ]);
    let book = Book::to_sign(&mapping, TITLES);
    let csv = text(&book, Format::Csv, &[]);
    assert!(csv.contains(",'@The agency"), "{csv}");
    let mut workbook = workbook(&book.written(Format::Xlsx).expect("it can be written"));
    let mut cells = 0;
    for name in workbook.sheet_names() {
        let formulas = workbook.worksheet_formula(&name).expect("the tab can be read");
        assert!(formulas.used_cells().next().is_none(), "{name} holds a formula");
        for (_, _, cell) in workbook.worksheet_range(&name).expect("the tab can be read").used_cells() {
            assert!(matches!(cell, Data::String(_)), "{name} holds something else than text: {cell:?}");
            cells += 1;
        }
    }
    assert!(cells > 500, "{cells}");
    let page = text(&book, Format::Html, &[]);
    assert!(page.contains("=HYPERLINK(&quot;http://example.invalid&quot;)") && !page.contains("<script"), "{page}");
}

#[test]
fn markup_in_a_label_stays_text() {
    let (_folder, mapping) = edited(&[("gambella/tables/sex-in.csv", "125080002,Other,", "125080002,<b>a|b</b>,")]);
    let book = Book::to_sign(&mapping, TITLES);
    assert!(text(&book, Format::Html, &[]).contains("<td>&lt;b&gt;a|b&lt;/b&gt;</td>"));
    assert!(text(&book, Format::Markdown, &[]).contains("| &lt;b\\>a\\|b&lt;/b\\> |"));
}
