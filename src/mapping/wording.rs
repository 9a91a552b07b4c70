//! A row in words: what it reads and what becomes of it, for people who sign and for people who look for a mistake.
//!
//! It describes rules; it never sees a record.

use super::rules::{Demand, Lookup, Many, Missing, Part, Reading, Record, Row, Source, Unlisted, Write};

impl Row {
    /// Where its value comes from: `individuals.progres_sex`, `case: language`, `always the same`.
    #[must_use]
    pub fn origin_in_words(&self) -> String {
        match &self.source {
            Source::Constant(_) => "always the same".to_owned(),
            Source::Setting(setting) => format!("the configured `{setting}`"),
            Source::Given(given, _) => format!("known to the program: {}", given.code().replace('_', " ")),
            Source::Part(part) => part.origin_in_words(),
            Source::Join { parts, .. } => parts.iter().map(Part::origin_in_words).collect::<Vec<_>>().join(" + "),
        }
    }

    /// What becomes of it, and what happens without a value.
    #[must_use]
    pub fn rule_in_words(&self) -> String {
        let mut words = match &self.source {
            Source::Constant(value) => vec![format!("always {value}")],
            Source::Setting(_) => vec!["as configured".to_owned()],
            Source::Given(_, lookup) => lookup.iter().map(Lookup::in_words).collect(),
            Source::Part(part) => part.in_words(),
            Source::Join { parts, separator } => {
                let mut words: Vec<String> = parts.iter().flat_map(Part::in_words).collect();
                words.dedup();
                words.push(format!("joined by {}, empty ones skipped", separator_in_words(separator)));
                words
            }
        };
        words.push(match &self.missing {
            Missing::Absent => "left out if there is none".to_owned(),
            Missing::Null => "null if there is none".to_owned(),
            Missing::Empty => "empty if there is none".to_owned(),
            Missing::Default(value) => format!("{value} if there is none"),
            Missing::Required => "required".to_owned(),
        });
        if matches!(self.source, Source::Constant(_) | Source::Setting(_)) {
            words.pop();
        }
        match self.write {
            Write::Create => words.push("only into a new case".to_owned()),
            Write::IfEmpty => words.push("also into a case that has no value there".to_owned()),
            Write::Always => {}
        }
        words.join("; ")
    }
}

impl Part {
    fn origin_in_words(&self) -> String {
        let whose = match self.record {
            Record::Intervention | Record::Decision => String::new(),
            Record::Case | Record::Service | Record::Owner => format!("{}: ", self.record),
        };
        format!("{whose}{}", self.keys.join(", else "))
    }

    fn in_words(&self) -> Vec<String> {
        let mut words = Vec::new();
        match self.reading {
            Reading::Text => {}
            Reading::TextOrNumber => words.push("text, or a number as its digits"),
            Reading::Reference => words.push("the name of the reference"),
            Reading::Plain { notes: true, html: true } => words.push("plain text of notes and HTML"),
            Reading::Plain { notes: true, html: false } => words.push("the texts of a list of notes"),
            Reading::Plain { html: true, notes: false } => words.push("plain text of HTML"),
            Reading::Plain { html: false, notes: false } => {}
            Reading::Date => words.push("the date"),
            Reading::DateTime => words.push("date and time in UTC"),
            Reading::Age => words.push("years completed today"),
            Reading::AsIs => words.push("as it is"),
        }
        match self.demand {
            Some(Demand::Identifier) => words.push("a plain identifier"),
            Some(Demand::OnlyUuid) => words.push("only if it is a UUID"),
            Some(Demand::NotAfterToday) => words.push("not after today"),
            None => {}
        }
        if self.lower_case {
            words.push("in small letters");
        }
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        words.extend(self.last_characters.map(|count| format!("the last {count} characters")));
        match &self.many {
            Many::One => {}
            Many::AllRows(separator) => words.push(several("of all rows, each once", separator.as_deref())),
            Many::List(separator) => words.push(several("each entry of the list", separator.as_deref())),
        }
        words.extend(self.agreed.map(|list| format!("must stand on `{list}`")));
        words.extend(self.uuid5.map(|_| "made into an id that is always the same".to_owned()));
        words.extend(self.lookup.iter().map(Lookup::in_words));
        if self.required {
            words.push(format!("`{}` required", self.name()));
        }
        words
    }
}

impl Lookup {
    fn in_words(&self) -> String {
        let unlisted = match &self.unlisted {
            Unlisted::Refuse => "refused".to_owned(),
            Unlisted::AsIs => "taken as it is".to_owned(),
            Unlisted::LeaveOut => "left out".to_owned(),
            Unlisted::Default(default) => format!("`{default}`"),
        };
        format!("table `{}`, any other value {unlisted}", self.table.name)
    }
}

fn several(what: &str, separator: Option<&str>) -> String {
    separator.map_or_else(|| what.to_owned(), |separator| format!("{what}, joined by {}", separator_in_words(separator)))
}

fn separator_in_words(separator: &str) -> String {
    match separator {
        " " => "a blank".to_owned(),
        "\n" => "a line break".to_owned(),
        other => format!("`{other}`"),
    }
}
