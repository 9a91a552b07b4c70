//! Tables that a spreadsheet has saved: read right, or refused with the cell named.

use super::Copy;

const FILE: &str = "gambella/tables/sex-in.csv";

#[test]
fn what_loses_nothing_is_read_right() {
    let plain = Copy::new();
    let (table, version) = (plain.read(FILE), plain.load().unwrap().version().to_owned());
    for saved in [
        format!("\u{feff}{table}"),
        table.replace(',', ";"),
        table.replace(',', "\t"),
        table.replace('\n', "\r\n"),
        format!("{table},,,\n,,,\n"),
        table.lines().map(|line| format!("{line},,\n")).collect(),
        table.lines().map(|line| format!("\"{}\"\n", line.replace(',', "\",\""))).collect(),
    ] {
        let copy = Copy::new();
        copy.write(FILE, &saved);
        assert_eq!(copy.problems(), [""; 0], "{saved}");
        assert_eq!(copy.load().unwrap().version(), version, "{saved}");
    }
}

#[test]
fn what_was_lost_is_refused_with_the_cell_named() {
    for (row, said) in [
        (" 125080009,Ninth,ninth,Ninth", "the cell `progres_code` has white space around it"),
        ("125080009,Ninth\u{a0},ninth,Ninth", "the cell `progres_label` has white space around it"),
        ("1.2508E+08,Ninth,ninth,Ninth", "the cell `progres_code` says `1.2508E+08`, a number that a spreadsheet has shortened"),
        (
            "\"125,080,009\",Ninth,ninth,Ninth",
            "the cell `progres_code` says `125,080,009`, a number that a spreadsheet has written its own way",
        ),
        (
            "125080009.0,Ninth,ninth,Ninth",
            "the cell `progres_code` says `125080009.0`, a number that a spreadsheet has written its own way",
        ),
        (
            "125080009,Ninth,10-May,Ninth",
            "the cell `primero_id` says `10-May`, which looks like a date that a spreadsheet has made",
        ),
        ("125080009,Ninth,05/10/2026,Ninth", "the cell `primero_id` says `05/10/2026`, which looks like a date"),
        ("125080009,Ninth,10-mai,Ninth", "the cell `primero_id` says `10-mai`, which looks like a date"),
        ("125080009,Ninth,Okt 26,Ninth", "the cell `primero_id` says `Okt 26`, which looks like a date"),
        ("125080009,Ninth,\"October 5, 2026\",Ninth", "the cell `primero_id` says `October 5, 2026`, which looks like a date"),
        (
            "125080009,Ninth,2026-10-05 00:00:00,Ninth",
            "the cell `primero_id` says `2026-10-05 00:00:00`, which looks like a date",
        ),
        ("125080009,#NAME?,ninth,Ninth", "the cell `progres_label` says `#NAME?`, an error of a spreadsheet"),
        ("125080009,Ninth,“ninth”,Ninth", "the cell `primero_id` has typographic quotation marks"),
        ("125080009,Nin\u{fffd}th,ninth,Ninth", "the cell `progres_label` has a character that was lost"),
        (
            "125080009,Ninth,TRUE,Ninth",
            "the cell `primero_id` says `TRUE`, which a spreadsheet has made of a word in small letters",
        ),
        ("125080009,Ninth,FALSCH,Ninth", "the cell `primero_id` says `FALSCH`, which a spreadsheet has made"),
        ("125\u{202f}080\u{202f}009,Ninth,ninth,Ninth", "the cell `progres_code` says `125\u{202f}080\u{202f}009`, a number"),
        ("125080009,Ninth,,Ninth", "the cell `primero_id` is empty"),
        ("125080009,Ninth,ninth,Ninth,more", "the row has 5 cells instead of 4"),
    ] {
        let copy = Copy::new();
        let table = copy.read(FILE);
        copy.write(FILE, &format!("{table}{row}\n"));
        let problems = copy.problems();
        assert_eq!(problems.len(), 1, "{row}: {problems:?}");
        assert!(problems[0].starts_with(&format!("{FILE}:6: {said}")), "{row}: {problems:?}");
    }
}

#[test]
fn what_nobody_can_see_is_refused_where_it_is_matched() {
    for sign in [
        '\u{7}',
        '\u{a0}',
        '\u{ad}',
        '\u{61c}',
        '\u{180e}',
        '\u{2009}',
        '\u{200b}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{202e}',
        '\u{202f}',
        '\u{2060}',
        '\u{2066}',
        '\u{3000}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{e0041}',
    ] {
        let copy = Copy::new();
        let table = copy.read(FILE);
        copy.write(FILE, &format!("{table}125080009,Nin{sign}th,nin{sign}th,Ninth\n"));
        let said = "the cell `primero_id` has a character that nobody can see (hint: type the cell again)";
        assert_eq!(copy.problems(), [format!("{FILE}:6: {said}")], "{:x}", u32::from(sign));
    }
    // Persian and Bengali spell with a joiner between two letters.
    for word in ["می\u{200c}شود", "র\u{200d}্যাব", "Kiswahili cha Kenya", "Français"] {
        let copy = Copy::new();
        let table = copy.read(FILE);
        copy.write(FILE, &format!("{table}125080009,Ninth,{word},Ninth\n"));
        assert_eq!(copy.problems(), [""; 0], "{word}");
    }
}

#[test]
fn what_only_looks_like_a_date_is_read() {
    for value in ["marsabit 12", "decision 1", "market-2", "1, 2, 3", "may_5", "10"] {
        let copy = Copy::new();
        let table = copy.read(FILE);
        copy.write(FILE, &format!("{table}125080009,Ninth,\"{value}\",Ninth\n"));
        assert_eq!(copy.problems(), [""; 0], "{value}");
    }
}

#[test]
fn codes_that_lost_their_zeros_are_named() {
    let copy = Copy::new();
    copy.write(FILE, "progres_code,primero_id\n0012,female\n7,male\n0110,other\n");
    assert_eq!(copy.problems().len(), 1);
    assert!(copy.problems()[0].starts_with(&format!("{FILE}:3: the cell `progres_code` says `7`, shorter than other codes")));
}

#[test]
fn a_file_in_the_alphabet_of_one_country_is_refused() {
    let copy = Copy::new();
    std::fs::write(copy.0.path().join(FILE), b"progres_code,primero_id\n125080000,f\xe9minin\n").unwrap();
    assert_eq!(copy.problems(), [format!("{FILE}: is not UTF-8 (hint: save it as \"UTF-8\" or \"CSV UTF-8\")")]);
}

#[test]
fn a_confirmation_is_a_role_and_a_day() {
    for (cells, said) in [
        ("CP coordinator,", "a confirmation has a role and a day"),
        (",2026-11-30", "a confirmation has a role and a day"),
        ("CP coordinator,30/11/2026", "the cell `confirmed_on` is no day"),
        ("CP coordinator,46356", "the cell `confirmed_on` is no day"),
    ] {
        let copy = Copy::new();
        copy.replace("gambella/tables/service-in.csv", "Alternative Care,,,", &format!("Alternative Care,{cells},"));
        let problems = copy.problems();
        assert!(problems.len() == 1 && problems[0].contains(said), "{cells}: {problems:?}");
    }
    let copy = Copy::new();
    copy.replace("gambella/tables/service-in.csv", "confirmed_on", "confirmed");
    assert!(
        copy.problems()[0].contains(
            "table `service-in` has no column `confirmed_on`, which `confirmation = true` asks for (hint: did you mean"
        ),
        "{:?}",
        copy.problems()
    );
}
