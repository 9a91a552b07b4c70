//! How a message reads: as JSON for a program, as plain text for people.
//!
//! It says what happened, how often, and our own numbers. Nothing of a case, a request or a person can get into it, because nothing
//! of them is handed in.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{
    daily::List,
    policy::{Item, News},
};
use crate::{config::Settings, referral::DeliveryId, zone::Zone};

/// How many numbers a message holds of one topic; the command line shows the others.
const MOST_NUMBERS: usize = 20;

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// What is new.
    Alert {
        /// 1 or 2.
        stage: u8,
        /// Topic by topic.
        items: Vec<Item>,
    },
    /// The list of the day.
    Daily(List),
    /// That messages arrive.
    Test,
}

/// Who says it and when.
#[derive(Clone, Debug)]
pub struct Letterhead {
    /// The programme.
    pub programme: String,
    /// Test or production.
    pub environment: &'static str,
    /// Where people read the time.
    pub zone: Zone,
    /// When.
    pub time: DateTime<Utc>,
}

impl Letterhead {
    /// Of a programme.
    #[must_use]
    pub fn of(settings: &Settings, time: DateTime<Utc>) -> Self {
        let zone = settings.schedule.time_zone;
        Self { programme: settings.programme.clone(), environment: settings.environment.code(), zone, time }
    }
}

impl Message {
    /// For a program.
    #[must_use]
    pub fn json(&self, head: &Letterhead) -> Value {
        let mut message = json!({
            "programme": head.programme,
            "environment": head.environment,
            "time": head.time.to_rfc3339_opts(SecondsFormat::Millis, true),
            "text": self.subject(head),
        });
        match self {
            Self::Alert { stage, items } => {
                message["message"] = json!("alert");
                message["stage"] = json!(stage);
                message["alerts"] = items.iter().map(alert).collect();
            }
            Self::Daily(list) => {
                message["message"] = json!("daily_list");
                message["list"] = list.json();
            }
            Self::Test => message["message"] = json!("test"),
        }
        message
    }

    /// The first line.
    #[must_use]
    pub fn subject(&self, head: &Letterhead) -> String {
        let said = match self {
            Self::Alert { stage, items } => {
                let items: Vec<String> = items.iter().map(in_short).collect();
                let still = if *stage > 1 { "still open: " } else { "" };
                format!("{still}{}", items.join(", "))
            }
            Self::Daily(_) => "daily list".to_owned(),
            Self::Test => "a test message".to_owned(),
        };
        format!("[referrald {} {}] {said}", head.programme, head.environment)
    }

    /// For people.
    #[must_use]
    pub fn text(&self, head: &Letterhead) -> String {
        let said = match self {
            Self::Alert { items, .. } => items.iter().map(in_words).collect::<Vec<_>>().join("\n"),
            Self::Daily(list) => list.text(),
            Self::Test => {
                "This is a test. Somebody wanted to know whether messages arrive here; nothing is to be done.\n".to_owned()
            }
        };
        let time = head.zone.to_the_minute(head.time);
        format!(
            "{programme} ({environment}), {time}\n\n{said}\nWhat stands behind a number is shown on the machine of referrald alone:\n  \
             referrald deliveries list\n  referrald deliveries show NUMBER\nNo name and no number of a case is ever in these \
             messages; please answer without them.\n",
            programme = head.programme,
            environment = head.environment,
        )
    }
}

fn alert(item: &Item) -> Value {
    let Item { topic, news, count, numbers, days } = item;
    let mut alert = json!({
        "event": topic.code(),
        "state": news.code(),
        "count": count,
        "numbers": first(numbers),
    });
    if let Some(days) = days {
        alert["days"] = json!(days);
    }
    alert
}

fn in_short(item: &Item) -> String {
    let over = if item.news == News::Over { " over" } else { "" };
    let count = if item.count > 1 { format!(" ({})", item.count) } else { String::new() };
    format!("{}{over}{count}", item.topic)
}

fn in_words(item: &Item) -> String {
    let Item { topic, news, count, numbers, days } = item;
    let news = match news {
        News::Open => "",
        News::StillOpen => "still open: ",
        News::Over => "over: ",
    };
    let days = match days {
        None => String::new(),
        Some(0) => ", ends today or has ended".to_owned(),
        Some(1) => ", 1 day left".to_owned(),
        Some(days) => format!(", {days} days left"),
    };
    let what = if item.news == News::Over { String::new() } else { format!("  {}\n", topic.sentence()) };
    format!("{news}{topic}: {count}{}{days}\n{what}", in_brackets(numbers))
}

/// ` (17, 23 and 4 more)`
#[must_use]
pub fn in_brackets(numbers: &[DeliveryId]) -> String {
    if numbers.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = first(numbers).iter().map(ToString::to_string).collect();
    let more = match numbers.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(" ({}{more})", shown.join(", "))
}

/// The first numbers.
#[must_use]
pub fn first(numbers: &[DeliveryId]) -> Vec<i64> {
    numbers.iter().take(MOST_NUMBERS).map(|DeliveryId(number)| *number).collect()
}

#[cfg(test)]
mod tests;
