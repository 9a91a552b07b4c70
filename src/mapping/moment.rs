//! Dates and date-times as the two systems write them.
//!
//! Strict: four-digit years, real calendar days, nothing guessed. It knows no zone of the programme: what has no zone is UTC.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset, SecondsFormat, Utc};

/// A date, or a date-time with its offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// The date as written, in the zone it was written in.
    pub(super) date: NaiveDate,
    time: NaiveTime,
    offset: FixedOffset,
}

impl Moment {
    /// Reads `2024-05-01`, or `2024-05-01T10:00:00` with or without seconds, fraction and `Z` or an offset.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let date = date(text.get(..10)?)?;
        let utc = Utc.fix();
        let Some(rest) = text.get(10..).filter(|rest| !rest.is_empty()) else {
            return Some(Self { date, time: NaiveTime::MIN, offset: utc });
        };
        let rest = rest.strip_prefix(['T', 't', ' '])?;
        let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
        let (clock, zone) = rest.split_at(zone_at);
        let time = ["%H:%M:%S%.f", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(clock, form).ok())?;
        let offset = match zone {
            "" | "Z" | "z" => utc,
            zone => offset(zone)?,
        };
        // A clock with one digit for the hour is no date-time of either system.
        (clock.find(':') == Some(2)).then_some(Self { date, time, offset })
    }

    /// In UTC with `Z`; `None` if the year has no four digits there.
    pub(super) fn to_utc(self) -> Option<String> {
        let utc: DateTime<Utc> = NaiveDateTime::new(self.date, self.time).and_local_timezone(self.offset).single()?.to_utc();
        let text = utc.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        date(text.get(..10)?).map(|_| text)
    }
}

fn date(text: &str) -> Option<NaiveDate> {
    let digits = |from: usize, to: usize| text.get(from..to).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let dashes = text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(7) == Some(&b'-');
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let year: i32 = year.parse().ok().filter(|year| *year > 0 && dashes)?;
    NaiveDate::from_ymd_opt(year, month.parse().ok()?, day.parse().ok()?)
}

fn offset(zone: &str) -> Option<FixedOffset> {
    let (sign, digits) = (if zone.starts_with('-') { -1 } else { 1 }, zone.get(1..)?.replacen(':', "", 1));
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        2 => (digits.as_str(), "0"),
        4 => digits.split_at(2),
        _ => return None,
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    FixedOffset::east_opt(sign * (hours * 3_600 + minutes * 60)).filter(|_| minutes < 60)
}

/// Whether a text has the shape by which Primero takes it for a date or a date-time, whether or not there is such a day.
pub(super) fn looks_like_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Nearly every text ends here.
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    let shape: String = text.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
    let day = ["0000-00-00", "0000-0-00", "0000-00-0", "0000-0-0"].into_iter().find_map(|day| shape.strip_prefix(day));
    let Some(rest) = day else { return false };
    let Some(clock) = rest.strip_prefix(['T', 't', ' ', '\t']) else { return rest.is_empty() };
    let clock = clock.trim_start_matches([' ', '\t']);
    let Some(rest) = ["00:00:00", "0:00:00", "00:00", "0:00"].into_iter().find_map(|form| clock.strip_prefix(form)) else {
        return false;
    };
    let rest = rest.strip_prefix('.').map_or(rest, |fraction| fraction.trim_start_matches('0')).trim_start_matches([' ', '\t']);
    matches!(rest, "" | "Z" | "z") || rest.strip_prefix(['+', '-']).is_some_and(|zone| zone.chars().all(|c| c == '0' || c == ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_date_times_are_read_as_written() {
        for (text, date, utc) in [
            ("2022-08-22", "2022-08-22", "2022-08-22T00:00:00Z"),
            ("2022-08-22T00:00:00Z", "2022-08-22", "2022-08-22T00:00:00Z"),
            ("2022-08-22T10:20:30", "2022-08-22", "2022-08-22T10:20:30Z"),
            ("2022-08-22 10:20", "2022-08-22", "2022-08-22T10:20:00Z"),
            ("2022-08-22T10:20:30.5Z", "2022-08-22", "2022-08-22T10:20:30.500Z"),
            ("2022-08-22T01:00:00+03:00", "2022-08-22", "2022-08-21T22:00:00Z"),
            ("2022-08-22T23:00:00-0300", "2022-08-22", "2022-08-23T02:00:00Z"),
            ("2022-08-22T23:00:00+03", "2022-08-22", "2022-08-22T20:00:00Z"),
            (" 2024-02-29 ", "2024-02-29", "2024-02-29T00:00:00Z"),
        ] {
            let moment = Moment::parse(text).unwrap();
            assert_eq!((moment.date.to_string().as_str(), moment.to_utc().unwrap().as_str()), (date, utc), "{text}");
        }
        for bad in [
            "",
            "2023-02-29",
            "2022-8-22",
            "22-08-2022",
            "22/08/2022",
            "2022-08-22T",
            "2022-08-22T25:00:00",
            "2022-08-22T1:00:00",
            "2022-08-22X10:00:00",
            "2022-08-22T10:00:00+99:00",
            "2022-08-22T10:00:00+é",
            "0000-01-01",
            "+2022-08-22",
            "2022-08-2é",
            "about 2010",
        ] {
            assert_eq!(Moment::parse(bad), None, "{bad}");
        }
        assert_eq!(Moment::parse("9999-12-31T23:00:00-05:00").unwrap().to_utc(), None);
        assert_eq!(Moment::parse("0001-01-01T00:00:00+05:00").unwrap().to_utc(), None);
    }

    #[test]
    fn a_text_that_primero_takes_for_a_date_is_known_by_its_shape() {
        for date in [
            "2024-05-01",
            "2024-13-45",
            "2024-5-1 10:00:00",
            "2024-05-01T10:00:00Z",
            "2024-05-01T10:00:00.123+03:00",
            "2024-05-01 10:00:00 Z",
        ] {
            assert!(looks_like_date(date), "{date}");
        }
        for text in [
            "",
            "2024",
            "2024-05",
            "2024-05-01.",
            "on 2024-05-01",
            "2024-05-01 and",
            "2024-05-01T",
            "989-22-PRTITV-0000051",
            "1234-é",
        ] {
            assert!(!looks_like_date(text), "{text}");
        }
    }
}
