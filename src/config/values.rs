//! How a value is written: text, numbers, durations, sizes, times, addresses.
//!
//! Each function answers with the value or with what would be right ("must be …"). It never repeats what it was given:
//! somebody may have pasted a password into the wrong line.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use bytesize::ByteSize;
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use config::ValueKind;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use ipnet::IpNet;
use reqwest::{Url, header::HeaderName};

use super::PARCEL_LIFE;
use super::{ClosedCase, ConsentException, Environment, Rate, Unapproved, alerts::MailTls, nearest::nearest};
use crate::zone::Zone;

/// What would be right, following the name of the key.
pub(super) type Wrong = String;

/// What a layer gave for a key; nothing at all is answered with what would be right, like any wrong value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    pub(super) value: Option<&'a ValueKind>,
    /// A variable is always text, so numbers and truth values are read from text then, and only then.
    pub(super) variable: bool,
}

impl<'a> Given<'a> {
    fn text(self) -> Option<&'a str> {
        match self.value {
            Some(ValueKind::String(text)) => Some(text.trim()),
            _ => None,
        }
    }

    fn number<T: TryFrom<i64> + std::str::FromStr>(self) -> Option<T> {
        match self.value {
            Some(ValueKind::I64(number)) => T::try_from(*number).ok(),
            Some(ValueKind::String(text)) if self.variable => text.trim().parse().ok(),
            _ => None,
        }
    }
}

/// Text on one line that is not blank.
pub(super) fn text(given: Given<'_>) -> Result<String, Wrong> {
    match given.text() {
        Some(text) if !text.is_empty() && !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err("must be text in quotes, on one line and not blank".to_owned()),
    }
}

/// Text that may be empty, which means none.
pub(super) fn text_or_none(given: Given<'_>) -> Result<Option<String>, Wrong> {
    match given.text() {
        Some("") => Ok(None),
        _ => text(given).map(Some).map_err(|_| "must be text in quotes; `\"\"` means none".to_owned()),
    }
}

/// A list of texts, none of them blank. A variable gives them separated by commas.
pub(super) fn list(given: Given<'_>) -> Result<Vec<String>, Wrong> {
    let items = match given.value {
        Some(ValueKind::Array(items)) => {
            items.iter().map(|item| text(Given { value: Some(&item.kind), variable: false })).collect()
        }
        Some(ValueKind::String(items)) if given.variable => {
            items.split(',').map(|item| text(Given { value: Some(&ValueKind::from(item)), variable: false })).collect()
        }
        _ => Err(Wrong::new()),
    };
    items.map_err(|_| {
        let form = if given.variable { "text separated by commas" } else { "a list of texts, such as `[\"one\", \"two\"]`" };
        format!("must be {form}, none of them blank")
    })
}

/// `true` or `false`.
pub(super) fn truth(given: Given<'_>) -> Result<bool, Wrong> {
    match (given.value, given.text()) {
        (Some(ValueKind::Boolean(truth)), _) => Ok(*truth),
        (_, Some("true")) if given.variable => Ok(true),
        (_, Some("false")) if given.variable => Ok(false),
        _ => Err("must be `true` or `false`, without quotes".to_owned()),
    }
}

/// A whole number.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> impl Fn(Given<'_>) -> Result<T, Wrong>
where
    T: TryFrom<i64> + std::str::FromStr + PartialOrd + std::fmt::Display,
{
    move |given| {
        given
            .number()
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("must be a whole number from {} to {}, without quotes", range.start(), range.end()))
    }
}

/// Requests per second, or `"unlimited"`.
pub(super) fn rate(given: Given<'_>) -> Result<Rate, Wrong> {
    let number = match given.value {
        Some(ValueKind::Float(number)) => Some(*number),
        _ => given.number::<u32>().map(f64::from).or_else(|| given.text().filter(|_| given.variable)?.parse().ok()),
    };
    match (number, given.text()) {
        (_, Some("unlimited")) => Ok(Rate::Unlimited),
        (Some(number), _) if (0.01..=1000.0).contains(&number) => Ok(Rate::PerSecond(number)),
        _ => Err("must be a number from 0.01 to 1000, or `\"unlimited\"`".to_owned()),
    }
}

/// A duration longer than nothing. The upper bound keeps every sum with a date inside the calendar.
pub(super) fn duration(given: Given<'_>) -> Result<Duration, Wrong> {
    let wrong = "must be a duration with its unit, such as `\"500ms\"`, `\"15m\"` or `\"180 days\"`, longer than nothing and \
                 at most 10 years";
    duration_or_none(given).ok().filter(|duration| !duration.is_zero()).ok_or_else(|| wrong.to_owned())
}

/// A duration that may be nothing.
pub(super) fn duration_or_none(given: Given<'_>) -> Result<Duration, Wrong> {
    const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);
    // A capital M would be months, and nobody who writes one means them.
    let text = given.text().filter(|text| !text.contains('M'));
    text.and_then(|text| humantime::parse_duration(text).ok()).filter(|duration| *duration <= LONGEST).ok_or_else(|| {
        "must be a duration with its unit, such as `\"0s\"`, `\"5m\"` or `\"2 hours\"`, at most 10 years".to_owned()
    })
}

/// A duration after which what still waits is given up: while its content is there, so that whoever asked is told why.
pub(super) fn patience(given: Given<'_>) -> Result<Duration, Wrong> {
    duration(given).ok().filter(|duration| *duration < PARCEL_LIFE).ok_or_else(|| {
        "must be a duration with its unit, such as `\"24h\"` or `\"72h\"`, longer than nothing and shorter than 7 days, after which what \
         UNHCR posted is erased in any case"
            .to_owned()
    })
}

/// A size in bytes, larger than nothing.
pub(super) fn size(given: Given<'_>) -> Result<u64, Wrong> {
    given
        .text()
        .filter(|text| text.contains(|c: char| c.is_ascii_alphabetic()))
        .and_then(|text| text.parse::<ByteSize>().ok())
        .map(|size| size.as_u64())
        .filter(|size| (1..=1 << 50).contains(size))
        .ok_or_else(|| "must be a size with its unit, such as `\"512 KiB\"`, `\"1 MiB\"` or `\"2 GiB\"`".to_owned())
}

/// The programme's time zone.
pub(super) fn time_zone(given: Given<'_>) -> Result<Zone, Wrong> {
    let text = given.text().unwrap_or_default();
    text.parse().map_err(|_| {
        let wrong = "must be a time zone of the IANA database, such as `\"UTC\"` or `\"Africa/Addis_Ababa\"`";
        match nearest(text, Zone::names().iter().map(String::as_str)) {
            Some(zone) => format!("{wrong} (hint: did you mean `{zone}`?)"),
            None => wrong.to_owned(),
        }
    })
}

/// Which moment a date alone means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge {
    /// The first of the day.
    First,
    /// The last of the day.
    Last,
}

/// A time by RFC 3339, or a date alone, which is that whole day in the programme's zone.
pub(super) fn moment(zone: Zone, edge: Edge) -> impl Fn(Given<'_>) -> Result<DateTime<Utc>, Wrong> {
    move |given| {
        let text = given.text().unwrap_or_default();
        let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).ok();
        time.or_else(|| edge_of(text, zone, edge)).ok_or_else(|| {
            "must be a date, such as `\"2027-06-30\"`, or a time with its zone, such as `\"2027-06-30T12:00:00Z\"`".to_owned()
        })
    }
}

fn edge_of(date: &str, zone: Zone, edge: Edge) -> Option<DateTime<Utc>> {
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok().filter(|_| date.len() == 10)?;
    match edge {
        Edge::First => first_moment(date, zone),
        Edge::Last => Some(first_moment(date.checked_add_days(Days::new(1))?, zone)? - TimeDelta::milliseconds(1)),
    }
}

/// The first moment of a day in a zone: midnight; where the clocks jump over it, the moment to which they jump.
pub fn first_moment(date: NaiveDate, zone: Zone) -> Option<DateTime<Utc>> {
    let midnight = NaiveDateTime::new(date, NaiveTime::MIN);
    (0..=24 * 4)
        .find_map(|quarters| zone.from_local_datetime(&(midnight + TimeDelta::minutes(15 * quarters))).earliest())
        .map(|t| t.to_utc())
}

/// Cron with six fields, seconds first, that comes at least once.
pub(super) fn cron(given: Given<'_>) -> Result<Cron, Wrong> {
    // Sloppy ranges: `5/10` (every ten, from five on) is how everybody writes it.
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).sloppy_ranges(true).build();
    given
        .text()
        .filter(|text| text.split_whitespace().count() == 6)
        .and_then(|text| parser.parse(text).ok())
        .filter(|cron| cron.find_next_occurrence(&DateTime::UNIX_EPOCH, true).is_ok())
        .ok_or_else(|| {
            "must be a cron expression of six fields that comes at least once: second, minute, hour, day, month, weekday, such as \
             `\"0 */10 * * * *\"`"
                .to_owned()
        })
}

/// Address and port.
pub(super) fn address(given: Given<'_>) -> Result<SocketAddr, Wrong> {
    let wrong = "must be an IP address and a port, such as `\"127.0.0.1:8080\"` or `\"[::1]:8080\"`";
    given.text().and_then(|text| text.parse().ok()).ok_or_else(|| wrong.to_owned())
}

/// Addresses and networks.
pub(super) fn networks(given: Given<'_>) -> Result<Vec<IpNet>, Wrong> {
    let network = |text: String| text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let wrong = "must be a list of IP addresses and networks, such as `[\"10.0.0.7\", \"192.168.0.0/16\"]`";
    list(given).ok().and_then(|items| items.into_iter().map(network).collect()).ok_or_else(|| wrong.to_owned())
}

/// The path of the inbox, which is compared letter by letter.
pub(super) fn url_path(given: Given<'_>) -> Result<String, Wrong> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'~');
    let path = given.text().filter(|path| path.starts_with('/') && path.bytes().all(plain));
    path.map(str::to_owned).ok_or_else(|| "must begin with `/` and hold only A-Z a-z 0-9 - _ . ~ /".to_owned())
}

/// The root of a Primero instance; it ends with `/`, so that paths can be joined to it.
pub(super) fn primero_url(given: Given<'_>) -> Result<Url, Wrong> {
    let wrong = "must be the https address of the Primero instance without `/api/v2`, user name and query, such as \
                 `\"https://cpims.example.org\"` (http is for this machine alone)";
    let url = given.text().and_then(|text| Url::parse(text).ok());
    let root = |url: &Url| {
        let encrypted = url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(is_this_machine));
        encrypted && names_only_a_place(url) && url.query().is_none() && !url.path().contains("/api/v2")
    };
    let mut url = url.filter(root).ok_or_else(|| wrong.to_owned())?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// An endpoint of DTP. The subscription key travels in a header, never here.
pub(super) fn dtp_url(given: Given<'_>) -> Result<Url, Wrong> {
    let wrong = "must be the whole https address that UNHCR gave, without user name and subscription key";
    let holds_key = |url: &Url| url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case("subscription-key"));
    given
        .text()
        .and_then(|text| Url::parse(text).ok())
        .filter(|url| url.scheme() == "https" && names_only_a_place(url) && !holds_key(url))
        .ok_or_else(|| wrong.to_owned())
}

/// Where messages are posted. The token travels in a header, never here.
pub(super) fn webhook_url(given: Given<'_>) -> Result<Url, Wrong> {
    let wrong = "must be an https address without user name, such as `\"https://alerts.example.org/hook\"` (http is for this \
                 machine alone)";
    let encrypted =
        |url: &Url| url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(is_this_machine));
    given
        .text()
        .and_then(|text| Url::parse(text).ok())
        .filter(|url| encrypted(url) && names_only_a_place(url))
        .ok_or_else(|| wrong.to_owned())
}

/// The name of a machine, or its address.
pub(super) fn host(given: Given<'_>) -> Result<String, Wrong> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    given
        .text()
        .filter(|host| !host.is_empty() && host.chars().all(plain))
        .map(str::to_owned)
        .ok_or_else(|| "must be the name of a machine alone, such as `\"smtp.example.org\"`".to_owned())
}

fn names_only_a_place(url: &Url) -> bool {
    url.has_host() && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
}

/// Whether a host is this machine by its name or address.
pub(super) fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The name of an HTTP header.
pub(super) fn header(given: Given<'_>) -> Result<String, Wrong> {
    let name = given.text().filter(|name| HeaderName::from_bytes(name.as_bytes()).is_ok());
    name.map(str::to_owned).ok_or_else(|| "must be the name of an HTTP header, such as `\"X-Example\"`".to_owned())
}

/// The name of an HTTP header, or `""` for none.
pub(super) fn header_or_none(given: Given<'_>) -> Result<Option<String>, Wrong> {
    match given.text() {
        Some("") => Ok(None),
        _ => header(given).map(Some).map_err(|wrong| format!("{wrong}; `\"\"` means none")),
    }
}

/// SHA-256 as 64 hex digits.
pub(super) fn sha256(given: Given<'_>) -> Result<[u8; 32], Wrong> {
    let mut digest = [0; 32];
    let decoded = hex::decode_to_slice(given.text().unwrap_or_default(), &mut digest);
    let wrong =
        "must be the SHA-256 of the key's text, 64 hex digits, never the key itself (hint: `referrald key new` prints the line)";
    decoded.map(|()| digest).map_err(|_| wrong.to_owned())
}

/// A SHA-1 thumbprint in any spelling; what comes out is 40 upper-case hex digits.
pub(super) fn thumbprint(given: Given<'_>) -> Result<String, Wrong> {
    // The certificate dialog of Windows puts an invisible U+200E in front of what is copied from it.
    let separator = |c: char| c == ':' || c == '-' || c == '\u{200e}' || c.is_whitespace();
    let digits: String = given.text().unwrap_or_default().chars().filter(|c| !separator(*c)).collect();
    if digits.len() == 40 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(digits.to_ascii_uppercase())
    } else {
        Err("must be a SHA-1 thumbprint, 40 hex digits, separators allowed (hint: `referrald certificate` prints it)".to_owned())
    }
}

/// An e-mail address, as far as a typing error can be seen.
pub(super) fn email(given: Given<'_>) -> Result<String, Wrong> {
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    let looks_right = |text: &&str| {
        text.chars().all(plain)
            && text.split_once('@').is_some_and(|(name, at)| !name.is_empty() && at.contains('.') && !at.contains('@'))
    };
    given
        .text()
        .filter(looks_right)
        .map(str::to_owned)
        .ok_or_else(|| "must be an e-mail address, such as `\"cpims@example.org\"`".to_owned())
}

/// A list of e-mail addresses; it may be empty.
pub(super) fn emails(given: Given<'_>) -> Result<Vec<String>, Wrong> {
    let wrong = "must be a list of e-mail addresses, such as `[\"cpims-duty@example.org\"]`";
    let one = |text: &String| email(Given { value: Some(&ValueKind::from(text.as_str())), variable: false });
    let items = list(given).map_err(|_| wrong.to_owned())?;
    items.iter().map(one).collect::<Result<_, _>>().map_err(|_| wrong.to_owned())
}

/// A time of the day in the programme's zone, as the cron that comes then; `""` means none.
pub(super) fn time_of_day_or_none(given: Given<'_>) -> Result<Option<Cron>, Wrong> {
    let wrong = || "must be a time of the day, such as `\"07:30\"`; `\"\"` means none".to_owned();
    let text = given.text().ok_or_else(wrong)?;
    if text.is_empty() {
        return Ok(None);
    }
    let time = NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| wrong())?;
    let daily = ValueKind::from(time.format("0 %M %H * * *").to_string());
    cron(Given { value: Some(&daily), variable: false }).map(Some).map_err(|_| wrong())
}

/// `alerts.mail.tls`
pub(super) fn mail_tls(given: Given<'_>) -> Result<MailTls, Wrong> {
    one_of(given, &[("implicit", MailTls::Implicit), ("starttls", MailTls::StartTls), ("none", MailTls::None)])
}

/// `test` or `production`.
pub(super) fn environment(given: Given<'_>) -> Result<Environment, Wrong> {
    one_of(given, &[("test", Environment::Test), ("production", Environment::Production)])
}

/// `flow1.closed_case`
pub(super) fn closed_case(given: Given<'_>) -> Result<ClosedCase, Wrong> {
    one_of(given, &[("hold", ClosedCase::Hold), ("reopen", ClosedCase::Reopen), ("refuse", ClosedCase::Refuse)])
}

/// `consent.exception`
pub(super) fn consent_exception(given: Given<'_>) -> Result<ConsentException, Wrong> {
    one_of(given, &[("hold", ConsentException::Hold), ("send", ConsentException::Send), ("never", ConsentException::Never)])
}

pub(super) fn unapproved(given: Given<'_>) -> Result<Unapproved, Wrong> {
    one_of(given, &[("refuse", Unapproved::Refuse), ("warn", Unapproved::Warn)])
}

fn one_of<T: Copy>(given: Given<'_>, words: &[(&str, T)]) -> Result<T, Wrong> {
    let found = words.iter().find(|(word, _)| given.text() == Some(word));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect();
        format!("must be one of {}", words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_text_makes_a_reader_panic(text in r"[-0-9*/,LW#?+ :TZ.a-zé\u{200e}]{0,40}|\PC{0,20}", variable: bool) {
            let value = ValueKind::from(text);
            let given = Given { value: Some(&value), variable };
            let _ = (cron(given), duration(given), size(given), rate(given), sha256(given), thumbprint(given), email(given));
            let _ = (moment("Asia/Beirut".parse().unwrap(), Edge::Last)(given), address(given), primero_url(given), dtp_url(given), list(given));
            let _ = (header(given), url_path(given), time_zone(given), whole(1..=5_usize)(given), text_or_none(given), truth(given));
        }
    }
}
