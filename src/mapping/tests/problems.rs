//! What people are told when they write a mapping wrongly: file, line, what is wrong, what to do.

use super::Copy;

/// A file, what is added to it (`§` stands before the place that is named), and what is said about it
/// (a row's text in braces stands for the line where that row begins).
type Mistake = (&'static str, &'static str, &'static str);

const ROWS: &[Mistake] = &[
    (
        "base/intervention.toml",
        "[[case]]\nto = \"x1\"\n§fromm = \"a\"\nfrom = \"a\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "unknown key `fromm` (hint: did you mean `from`?)",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"x2\"\nrequired = true\nwrite = \"create\"\nform = \"not on form\"\n",
        "the field is required but has no source (hint: add `from = \"…\"`)",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"x3\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "the row has no source (hint: add `from`, `first_of`, `join`, `constant`, `setting` or `given`)",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"x4\"\nfrom = \"a\"\nconstant = \"b\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "the row has several sources: `from` and `constant` (hint: keep one)",
    ),
    (
        "base/intervention.toml",
        "[[case]]\nto = \"x5\"\nfrom = \"a\"\nread = §\"datee\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "unknown rule `read = \"datee\"` (hint: did you mean `date`?)",
    ),
    (
        "base/intervention.toml",
        "[[case]]\nto = \"x6\"\nfrom = \"a\"\ntable = §\"sex-inn\"\nunlisted = \"refuse\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "unknown table `sex-inn` (hint: did you mean `sex-in`?)",
    ),
    (
        "base/intervention.toml",
        "[[case]]\nto = \"x7\"\nfrom = \"a\"\ntable = §\"sex-in\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "the table has no rule for values that it does not list \
         (hint: add `unlisted = \"refuse\"`, \"as_is\", \"leave_out\" or { default = \"…\" })",
    ),
    (
        "base/intervention.toml",
        "[[case]]\nto = \"x8\"\nfrom = \"a\"\ntable = \"sex-in\"\nunlisted = §\"refused\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "unknown rule for unlisted values (hint: did you mean `refuse`?; or { default = \"…\" })",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"sex\"\nfrom = \"a\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "two rules for `sex`, the first in line {to = \"sex\"} (hint: keep one)",
    ),
    (
        "base/intervention.toml",
        "[[case]]\nto = \"x9\"\nfrom = \"a\"\nwrite = §\"always\"\nform = \"not on form\"\n",
        "unknown `write = \"always\"` (hint: allowed are `create`, `if_empty`)",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"y1\"\nfrom = \"a\"\nform = \"not on form\"\n",
        "`write` is missing (hint: \"create\", or \"if_empty\" for what an existing case may get where it has no value)",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"y2\"\nfrom = \"a\"\nwrite = \"create\"\n",
        "`form` is missing (hint: where the field stands in the inter-agency forms, or \"not on form\")",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"y3\"\nconstant = \"a\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "a constant needs a `reason` (hint: one sentence for the people who sign)",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"y4\"\nfrom = \"a\"\nrequired = true\ndefault = \"b\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "`required`, `default` and `missing` exclude each other (hint: keep one)",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"y5\"\nfrom = \"languages.progres_languagecodeid\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "`languages.progres_languagecodeid` is read here for one row and elsewhere for all rows (hint: add `of_all_rows = true`)",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"services_section\"\nfrom = \"a\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "`services_section` is made by the program (hint: remove the row)",
    ),
    (
        "base/intervention.toml",
        "[[case]]\nto = \"y6\"\nsetting = §\"primero.intake_usr\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "unknown `setting = \"primero.intake_usr\"` (hint: did you mean `primero.intake_user`?)",
    ),
    (
        "base/intervention.toml",
        "[[case]]\nto = \"y7\"\nfrom = §7\nwrite = \"create\"\nform = \"not on form\"\n",
        "`from` must be text in quotes",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"y8\"\nfrom = \"a\"\nread = \"date\"\ntable = \"sex-in\"\nunlisted = \"refuse\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "a date, an age or a value taken as it is cannot be shortened, looked up, asked of a list or made into a UUID (hint: read it as text)",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"z1\"\nfrom = \"a\"\nread = \"as_is\"\nagreed = \"flow1.agencies\"\nwrite = \"create\"\nform = \"not on form\"\n",
        "a date, an age or a value taken as it is cannot be shortened, looked up, asked of a list or made into a UUID (hint: read it as text)",
    ),
    (
        "base/intervention.toml",
        "§[[case]]\nto = \"y9\"\njoin = [{ from = \"a\" }]\nwrite = \"create\"\nform = \"not on form\"\n",
        "`join` needs a `separator` (hint: what stands between the parts, for example \" \")",
    ),
    (
        "base/referral.toml",
        "§[[referral]]\nto = \"x1\"\nfrom = \"a\"\nform = \"not on form\"\n",
        "it is not said whose field is read (hint: add `of = \"case\"` or `of = \"service\"` or `of = \"owner\"`)",
    ),
    (
        "base/referral.toml",
        "[[referral]]\nto = \"x2\"\nof = §\"cas\"\nfrom = \"a\"\nform = \"not on form\"\n",
        "unknown `of = \"cas\"` (hint: did you mean `case`?)",
    ),
    (
        "base/referral.toml",
        "§[[block]]\nname = \"b\"\nof = \"owner\"\nif_any_of = [\"a\"]\n[[block.then]]\nto = \"x3\"\nof = \"owner\"\nfrom = \"a\"\nform = \"not on form\"\n",
        "`then` and `otherwise` write different fields (hint: each field of a block stands once in both)",
    ),
    (
        "base/referral.toml",
        "§[[referral]]\nto = \"email\"\nof = \"case\"\nfrom = \"a\"\nform = \"not on form\"\n",
        "two rules for `email`, the first in line {to = \"email\"} (hint: keep one)",
    ),
    (
        "base/feedback.toml",
        "§[[failed]]\nto = \"x1\"\nfrom = \"a\"\nform = \"not on form\"\n",
        "this message reads no record (hint: use `given`, `setting` or `constant`)",
    ),
    (
        "base/decision.toml",
        "§[[decision]]\nto = \"rejection_note\"\nfrom = \"a\"\nform = \"not on form\"\n",
        "`rejection_note` cannot be recorded on a referral (hint: allowed are `status`, `rejected_reason`)",
    ),
    (
        "base/reasons.toml",
        "expired = §\"a\"\n",
        "unknown reason `expired` (hint: allowed are `missing_fields`, `invalid_values`, \
      `service_type_not_agreed`, `agency_not_signed`, `rows_contradict`, `values_refused`, `not_delivered_in_time`, `stopped_by_focal_point`, \
      `not_matched_safely`)",
    ),
    (
        "gambella/tables/sex-in.csv",
        "§125080000,Female,female,Female\n",
        "`125080000` stands in the table twice, first in line 2 (hint: keep the row that both sides signed)",
    ),
    (
        "gambella/tables/sex-in.csv",
        "§125080009,Ninth,,Ninth\n",
        "the cell `primero_id` is empty (hint: fill it in, or remove the row)",
    ),
    (
        "gambella/tables/sex-in.csv",
        "§125080008,Eighth\n",
        "the row has 2 cells instead of 4 (hint: a cell with a comma in it stands in double quotes)",
    ),
];

fn with(copy: &Copy, (file, added, said): Mistake) -> String {
    let before = copy.read(file);
    let line = 1 + before.matches('\n').count() + added.split('§').next().unwrap().matches('\n').count();
    let first = said.split_once('{').and_then(|(_, rest)| rest.split_once('}')).filter(|(row, _)| row.starts_with("to ="));
    let said = first.map_or_else(
        || said.to_owned(),
        |(row, _)| said.replace(&format!("{{{row}}}"), &(line_of(&before, row) - 1).to_string()),
    );
    copy.write(file, &(before + &added.replace('§', "")));
    format!("{file}:{line}: {said}")
}

fn line_of(text: &str, part: &str) -> usize {
    let at = text.find(part).unwrap_or_else(|| panic!("nowhere: {part}"));
    1 + text[..at].matches('\n').count()
}

#[test]
fn every_mistake_is_named_with_file_line_and_remedy() {
    for mistake in ROWS.iter() {
        let copy = Copy::new();
        let said = with(&copy, *mistake);
        assert_eq!(copy.problems(), [said]);
    }
}

#[test]
fn all_mistakes_are_named_at_once() {
    let copy = Copy::new();
    let mut expected: Vec<String> = ROWS.iter().map(|mistake| with(&copy, *mistake)).collect();
    let mut problems = copy.problems();
    problems.sort();
    expected.sort();
    assert_eq!(problems, expected);
}

/// A file and a text in it, what takes its place; where that is noticed, and what is said.
type Change = (&'static str, &'static str, &'static str, (&'static str, &'static str), &'static str);

/// Of the row of the service's type.
const NOT_ASKED: &str = "`service_type` of a service must read one field, with `agreed = \"flow1.service_types\"` and `required = true` \
                         (hint: otherwise services come in that nobody agreed or confirmed)";

const CHANGES: &[Change] = &[
    (
        "base/intervention.toml",
        "to = \"name_last\"",
        "to =",
        ("base/intervention.toml", "to =\n"),
        "not TOML: string values must be quoted, expected literal string (hint: compare with the lines around it)",
    ),
    (
        "base/intervention.toml",
        "identifier = true\n",
        "",
        ("base/intervention.toml", "[[case]]\nto = \"unhcr_individual_no\""),
        "the match key must be `required = true` and `identifier = true` (hint: add both)",
    ),
    (
        "base/intervention.toml",
        "uuid5 = \"522d0ff0-eeda-44c7-8896-77e7a44dd9f7\"\n",
        "",
        ("base/intervention.toml", "[[service]]\nto = \"unique_id\""),
        "`unique_id` of a service must be made of `progres_interventionnumber` with `uuid5` \
         (hint: otherwise a repeat is a second service)",
    ),
    (
        "base/intervention.toml",
        "agreed = \"flow1.service_types\"\n",
        "",
        ("base/intervention.toml", "[[service]]\nto = \"service_type\""),
        NOT_ASKED,
    ),
    (
        "base/intervention.toml",
        "agreed = \"flow1.service_types\"",
        "agreed = \"flow1.agencies\"",
        ("base/intervention.toml", "[[service]]\nto = \"service_type\""),
        NOT_ASKED,
    ),
    (
        "base/intervention.toml",
        "agreed = \"flow1.service_types\"\n",
        "agreed = \"flow1.service_types\"\nlist = true\n",
        ("base/intervention.toml", "[[service]]\nto = \"service_type\""),
        NOT_ASKED,
    ),
    (
        "base/intervention.toml",
        "unlisted = \"refuse\"\nrequired = true\nform = \"Services\"",
        "unlisted = \"refuse\"\nform = \"Services\"",
        ("base/intervention.toml", "[[service]]\nto = \"service_type\""),
        NOT_ASKED,
    ),
    (
        "base/mapping.toml",
        "status = \"unhcr_referral_status\"",
        "status = \"referral_status\"",
        ("base/mapping.toml", "[service]"),
        "`status` must be `unhcr_referral_status`: it is Primero's own name, by which decisions are heard and referrals are looked at \
         (hint: `status = \"unhcr_referral_status\"`, and the same name in the `[[service]]` row)",
    ),
    (
        "base/intervention.toml",
        "constant = \"external_referral\"",
        "constant = \"internal_referral\"",
        ("base/intervention.toml", "[[service]]\nto = \"service_referral\"\nconst"),
        "`service_referral` of a service must be the constant `external_referral` (hint: without it no decision is heard)",
    ),
    (
        "base/intervention.toml",
        "to = \"service_referral\"\n",
        "to = \"x_service_referral\"\n",
        ("base/intervention.toml", "[[service]]\nto = \"unique_id\""),
        "`service_referral` of a service must be the constant `external_referral` (hint: without it no decision is heard)",
    ),
    (
        "dadaab/intervention.toml",
        "    \"service_referral\",\n",
        "",
        ("dadaab/intervention.toml", "[[profile]]"),
        "the profile lacks `service_referral`, without which nothing can be sent (hint: add it)",
    ),
    (
        "base/mapping.toml",
        "sex = \"sex\"",
        "sex = \"\"",
        ("base/mapping.toml", "sex = \"\"\n"),
        "`sex` is empty, but a `[[case]]` row still writes `sex`, so another child would not be noticed by it (hint: `sex = \"sex\"`, or \
         remove the row)",
    ),
    (
        "gambella/mapping.toml",
        "version = \"1\"\n",
        "version = \"1\"\n[identity]\ndate_of_birth = \"\"\n",
        ("gambella/mapping.toml", "date_of_birth = "),
        "`date_of_birth` is empty, but a `[[case]]` row still writes `date_of_birth`, so another child would not be noticed by it (hint: \
         `date_of_birth = \"date_of_birth\"`, or remove the row)",
    ),
    (
        "base/mapping.toml",
        "sex = \"sex\"",
        "sex = \"sexx\"",
        ("base/mapping.toml", "[identity]"),
        "`sex` names `sexx`, which no `[[case]]` row writes (hint: did you mean `sex`?)",
    ),
    (
        "base/mapping.toml",
        "sex = \"sex\"\n",
        "",
        ("base/mapping.toml", "[identity]"),
        "`sex` is missing (hint: the Primero field; `sex = \"\"` if it is not exchanged)",
    ),
    (
        "base/mapping.toml",
        "date_of_birth = \"date_of_birth\"\n",
        "",
        ("base/mapping.toml", "[identity]"),
        "`date_of_birth` is missing (hint: the Primero field; `date_of_birth = \"\"` if it is not exchanged)",
    ),
    (
        "base/mapping.toml",
        "names = [\"name_first\", \"name_middle\", \"name_last\", \"name_nickname\"]\n",
        "",
        ("base/mapping.toml", "[identity]"),
        "`names` is missing (hint: a list of the Primero fields that hold a name)",
    ),
    (
        "base/mapping.toml",
        "look_up = \"progres_code\"",
        "look_up = \"progres_cod\"",
        ("gambella/tables/sex-in.csv", "progres_code"),
        "table `sex-in` has no column `progres_cod`, which line 28 of base/mapping.toml asks for (hint: did you mean `progres_code`?; cells are parted by commas)",
    ),
    (
        "base/mapping.toml",
        "name = \"language-in\"",
        "name = \"service-in\"",
        ("base/mapping.toml", "name = \"service-in\"\nfile = \"tables/service-in.csv\""),
        "two tables are called `service-in` (hint: give one of them another name)",
    ),
    (
        "base/reasons.toml",
        "missing_fields",
        "# missing_fields",
        ("base/reasons.toml", "[texts]"),
        "reason `missing_fields` has no text (hint: add `missing_fields = \"…\"` under [texts])",
    ),
    (
        "base/reasons.toml",
        ": {fields}. Please complete",
        ". Please complete",
        ("base/reasons.toml", "missing_fields"),
        "the text of `missing_fields` does not fit (hint: write {fields} where the names of the fields shall stand)",
    ),
    (
        "base/reasons.toml",
        "by the CPIMS+ focal point",
        "by {name}",
        ("base/reasons.toml", "stopped_by_focal_point"),
        "the text of `stopped_by_focal_point` has an unknown placeholder (hint: {fields} is the only one)",
    ),
    (
        "base/tables/decision-in.csv",
        ",accepted,",
        ",revoked,",
        ("base/decision.toml", "[[decision]]"),
        "`status` must be required and looked up in a table that writes only `accepted` and `rejected`, \
         with `unlisted = \"refuse\"` (hint: an unknown code is never applied)",
    ),
];

#[test]
fn changes_of_what_is_there_are_named_too() {
    for (file, from, to, (at, part), said) in CHANGES {
        let copy = if file.starts_with("dadaab/") { Copy::of("dadaab") } else { Copy::new() };
        copy.replace(file, from, to);
        let said = format!("{at}:{}: {said}", line_of(&copy.read(at), part));
        assert!(copy.problems().contains(&said), "expected:\n{said}\ngot:\n{}", copy.problems().join("\n"));
    }
}

#[test]
fn files_that_are_missing_or_that_nothing_reads_are_named() {
    let copy = Copy::new();
    copy.write("gambella/refferal.toml", "");
    copy.write("gambella/tables/old.csv", "");
    std::fs::remove_file(copy.0.path().join("base/reasons.toml")).unwrap();
    copy.write("gambella/tables/sex-out.csv", "primero_id|dtp_value\n");
    let column = |key: &str, name: &str| {
        let text = copy.read("base/mapping.toml");
        let table = text.find("name = \"sex-out\"").unwrap();
        let line = line_of(&text[..table], "") + text[..table].matches('\n').count() + line_of(&text[table..], key) - 1;
        format!(
            "gambella/tables/sex-out.csv:1: table `sex-out` has no column `{name}`, which line {line} of base/mapping.toml asks for (hint: allowed are `primero_id|dtp_value`; cells are parted by commas)"
        )
    };
    assert_eq!(
        copy.problems(),
        [
            "base/reasons.toml: cannot be read: there is no such file (hint: a mapping needs it)",
            column("write", "dtp_value").as_str(),
            column("look_up", "primero_id").as_str(),
            "gambella/refferal.toml: nothing reads this file (hint: did you mean `referral.toml`?)",
            "gambella/tables/old.csv: nothing reads this file (hint: declare it as a `[[table]]` in mapping.toml, or remove it)",
        ]
    );
    let nowhere = super::Mapping::load(std::path::Path::new("/nowhere")).unwrap_err();
    assert_eq!(nowhere.0, ["/nowhere/mapping.toml: cannot be read: there is no such file (hint: a mapping needs it)"]);
}

#[test]
fn a_request_line_that_primero_would_refuse_is_found_at_load() {
    let copy = Copy::new();
    let row = |number: usize| {
        format!(
            "[[referral]]\nto = \"x{number}\"\nof = \"case\"\nfrom = \"a_field_with_a_long_name_{number:04}\"\nform = \"not on form\"\n"
        )
    };
    let rows: String = (0..30).map(row).collect();
    let text = copy.read("base/referral.toml");
    copy.write("base/referral.toml", &(text + &rows));
    let problems = copy.problems();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].ends_with(
            "the case fields that are read need more than 600 bytes of Primero's request line of 1000 \
             (hint: exchange fewer or shorter fields)"
        ),
        "{}",
        problems[0]
    );
}
