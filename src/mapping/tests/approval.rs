//! Whether a mapping still says what was approved.

use super::{super::Unapproved, Copy};

fn approve(copy: &Copy) {
    let digest = copy.load().unwrap().digest().to_owned();
    let text = copy.read("gambella/mapping.toml");
    let approval =
        format!("[approval]\nagreement = \"TEST-1\"\nby_role = \"CP coordinator\"\non = \"2026-11-30\"\ndigest = \"{digest}\"\n");
    copy.write("gambella/mapping.toml", &(text + &approval));
}

fn unapproved(copy: &Copy) -> Option<Unapproved> {
    copy.load().unwrap_or_else(|problems| panic!("{problems}")).unapproved("TEST-1")
}

#[test]
fn what_was_approved_is_approved_until_it_changes() {
    let copy = Copy::new();
    assert_eq!(unapproved(&copy), Some(Unapproved::Never));
    approve(&copy);
    assert_eq!(unapproved(&copy), None);
    assert_eq!(copy.load().unwrap().unapproved("TEST-2"), Some(Unapproved::OtherAgreement));
    for (file, from, to) in [
        ("gambella/tables/sex-in.csv", "125080002,Other,", "125080002,Else,"),
        ("base/tables/decision-out.csv", "acknowledged,", "accepted,"),
        ("base/reasons.toml", "Please use another way", "Use another way"),
        ("gambella/mapping.toml", "version = \"1\"", "version = \"2\""),
        ("base/intervention.toml", "form = \"Services\"", "form = \"Service\""),
        ("gambella/referral.toml", "constant = \"UNICEF\"", "constant = \"Other\""),
        ("base/mapping.toml", "names = [\"name_first\", ", "names = ["),
        ("gambella/tables/service-in.csv", "Alternative Care,,,", "Alternative Care,CP coordinator,2026-11-30,"),
    ] {
        let before = copy.read(file);
        copy.replace(file, from, to);
        assert_eq!(unapproved(&copy), Some(Unapproved::Changed), "{file}: {from}");
        copy.write(file, &before);
    }
    assert_eq!(unapproved(&copy), None);
}

#[test]
fn a_remark_and_another_way_to_write_it_change_nothing() {
    let copy = Copy::new();
    approve(&copy);
    copy.replace(
        "base/intervention.toml",
        "[[case]]\nto = \"name_first\"\n",
        "\n# A remark.\n[[case]]\n\n'to'   = 'name_first'\n",
    );
    let table = copy.read("gambella/tables/sex-in.csv");
    copy.write("gambella/tables/sex-in.csv", &format!("\u{feff}{}", table.replace(',', ";").replace('\n', "\r\n")));
    copy.write("gambella/tables/sex-out.csv", &(copy.read("gambella/tables/sex-out.csv") + ",,\n"));
    // Whether the base or the programme says it makes no difference to those who sign.
    let texts = copy.read("base/reasons.toml");
    copy.write("gambella/reasons.toml", &texts);
    assert_eq!(unapproved(&copy), None);
    copy.replace("gambella/mapping.toml", "CP coordinator", "CP lead");
    assert_eq!(unapproved(&copy), None, "the approval is not part of what is approved");
}

#[test]
fn an_approval_that_cannot_be_read_is_named() {
    let copy = Copy::new();
    let text = copy.read("gambella/mapping.toml");
    let line = 1 + text.matches('\n').count();
    copy.write("gambella/mapping.toml", &(text + "[approval]\nagreement = \"A\"\non = \"30/11/2026\"\ndigest = \"12\"\n"));
    assert_eq!(
        copy.problems(),
        [
            format!(
                "gambella/mapping.toml:{line}: `by_role` is missing (hint: the role that approved it, never a person's name)"
            ),
            format!("gambella/mapping.toml:{}: `on` must be a day, year-month-day, as in \"2026-11-30\"", line + 2),
            format!(
                "gambella/mapping.toml:{}: `digest` must be 64 hex digits (hint: copy what `referrald mapping digest` prints)",
                line + 3
            ),
        ]
    );
}
