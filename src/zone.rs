//! Time zones by their names in the IANA database, whose tables are part of the program: it needs none of the machine.
//!
//! Times are chrono's, as the cron crates speak it. Only the rules of a zone come from elsewhere: jiff keeps them as packed bytes
//! and reads those of one zone, where chrono-tz holds all of them unpacked, two megabytes on disk and in memory.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc};
use jiff::{
    Timestamp,
    tz::{self, AmbiguousOffset, TimeZoneDatabase},
};

/// A time zone.
#[derive(Clone, Copy)]
pub struct Zone(&'static Rules);

/// The rules of a zone and its name.
struct Rules {
    name: &'static str,
    rules: tz::TimeZone,
}

/// Every zone that was ever asked for; they are few, and stay.
static ASKED_FOR: Mutex<BTreeMap<&'static str, Zone>> = Mutex::new(BTreeMap::new());
static UTC: Rules = Rules { name: "UTC", rules: tz::TimeZone::UTC };

/// No such time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no time zone of the IANA database")]
pub struct Unknown;

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(&UTC);

    /// Its name, as in `Africa/Addis_Ababa`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// The names of all zones, in their order.
    #[must_use]
    pub fn names() -> Vec<String> {
        TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()).collect()
    }

    /// A time as people read it, to the minute: `2026-06-01 11:00 EAT`.
    #[must_use]
    pub fn to_the_minute(self, time: DateTime<Utc>) -> String {
        time.with_timezone(&self).format("%Y-%m-%d %H:%M %Z").to_string()
    }

    /// The same to the second: `2026-06-01 11:00:30 EAT`.
    #[must_use]
    pub fn to_the_second(self, time: DateTime<Utc>) -> String {
        time.with_timezone(&self).format("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// How far it is ahead of UTC at a moment.
    fn at(self, moment: DateTime<Utc>) -> Ahead {
        // Beyond the years that jiff knows, the rules of the last one hold.
        let seconds = moment.timestamp().clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        let moment = Timestamp::from_second(seconds).unwrap_or_default();
        Ahead { zone: self, moment, seconds: self.0.rules.to_offset(moment).seconds() }
    }
}

/// Names as they are written: a machine whose files tell upper from lower case would not know others.
impl FromStr for Zone {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Self, Unknown> {
        if name == UTC.name {
            return Ok(Self::UTC);
        }
        let mut asked_for = ASKED_FOR.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = asked_for.get(name) {
            return Ok(*known);
        }
        let rules = TimeZoneDatabase::bundled().get(name).map_err(|_| Unknown)?;
        if rules.iana_name() != Some(name) {
            return Err(Unknown);
        }
        let name: &'static str = Box::leak(name.into());
        let zone = Self(Box::leak(Box::new(Rules { name, rules })));
        asked_for.insert(name, zone);
        Ok(zone)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far a zone is ahead of UTC at a moment. Shown, it is the abbreviation that people there use then, as in `EAT`.
#[derive(Clone, Copy)]
pub struct Ahead {
    zone: Zone,
    moment: Timestamp,
    seconds: i32,
}

impl Offset for Ahead {
    fn fix(&self) -> FixedOffset {
        // No zone of the database was ever a whole day ahead or behind.
        FixedOffset::east_opt(self.seconds).unwrap_or_else(|| Utc.fix())
    }
}

impl fmt::Display for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.zone.0.rules.to_offset_info(self.moment).abbreviation())
    }
}

impl fmt::Debug for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.zone.name(), self.fix())
    }
}

impl TimeZone for Zone {
    type Offset = Ahead;

    fn from_offset(offset: &Ahead) -> Self {
        offset.zone
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> Ahead {
        self.at(utc.and_utc())
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> Ahead {
        self.offset_from_utc_datetime(&utc.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<Ahead> {
        let civil = civil(local);
        let ahead = |offset: tz::Offset| {
            let moment = offset.to_timestamp(civil).unwrap_or(Timestamp::MAX);
            Ahead { zone: *self, moment, seconds: offset.seconds() }
        };
        match self.0.rules.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => MappedLocalTime::Single(ahead(offset)),
            AmbiguousOffset::Fold { before, after } => MappedLocalTime::Ambiguous(ahead(before), ahead(after)),
            AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
        }
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<Ahead> {
        self.offset_from_local_datetime(&local.and_time(NaiveTime::MIN))
    }
}

/// The same time of a calendar and a clock, to the second; beyond the years that jiff knows, their first or last.
fn civil(local: &NaiveDateTime) -> jiff::civil::DateTime {
    let unix = local.and_utc().timestamp().clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    tz::Offset::UTC.to_datetime(Timestamp::from_second(unix).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        name.parse().unwrap()
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_is_shown_with_the_abbreviation_of_its_season() {
        for (name, time, shown) in [
            ("Africa/Addis_Ababa", "2026-07-01T22:30:15Z", "2026-07-02 01:30:15 EAT +03:00"),
            ("Europe/Berlin", "2026-07-01T12:00:00Z", "2026-07-01 14:00:00 CEST +02:00"),
            ("Europe/Berlin", "2026-12-01T12:00:00Z", "2026-12-01 13:00:00 CET +01:00"),
            ("Asia/Kathmandu", "2026-12-01T12:00:00Z", "2026-12-01 17:45:00 +0545 +05:45"),
            ("UTC", "2026-12-01T12:00:00Z", "2026-12-01 12:00:00 UTC +00:00"),
            // Long after the last row of any table.
            ("Europe/Berlin", "2399-07-01T12:00:00Z", "2399-07-01 14:00:00 CEST +02:00"),
        ] {
            assert_eq!(utc(time).with_timezone(&zone(name)).format("%F %T %Z %:z").to_string(), shown);
        }
    }

    #[test]
    fn a_time_that_the_clocks_jump_over_is_none_and_one_that_they_repeat_is_two() {
        let of = |local: &str| {
            let found = zone("Europe/Berlin").from_local_datetime(&local.parse().unwrap());
            found.map(|time| time.with_timezone(&Utc).to_rfc3339())
        };
        assert_eq!(of("2026-03-29T02:30:00"), MappedLocalTime::None);
        let twice = MappedLocalTime::Ambiguous("2026-10-25T00:30:00+00:00".to_owned(), "2026-10-25T01:30:00+00:00".to_owned());
        assert_eq!(of("2026-10-25T02:30:00"), twice);
        assert_eq!(of("2026-10-25T03:30:00"), MappedLocalTime::Single("2026-10-25T02:30:00+00:00".to_owned()));
    }

    #[test]
    fn there_and_back_is_the_same_moment_in_every_zone() {
        for name in Zone::names() {
            let zone = zone(&name);
            assert_eq!(zone.name(), name);
            for time in ["1970-01-01T00:00:00Z", "2026-02-28T23:59:59Z", "2026-08-15T10:00:00Z", "2100-01-01T00:00:00Z"] {
                let there = utc(time).with_timezone(&zone);
                let back = zone.from_local_datetime(&there.naive_local());
                assert!([back.earliest(), back.latest()].contains(&Some(there)), "{name}");
            }
        }
    }

    #[test]
    fn no_moment_is_too_early_or_too_late() {
        for name in ["UTC", "Africa/Nairobi", "America/New_York"] {
            for moment in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
                assert!(zone(name).offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc().abs() < 86_400);
                let _ = zone(name).offset_from_local_datetime(&moment.naive_utc());
            }
        }
    }

    #[test]
    fn only_names_of_the_database_are_zones() {
        for wrong in ["", "Addis Ababa", "africa/addis_ababa", "EAT", "../etc/passwd", "+03:00"] {
            assert_eq!(wrong.parse::<Zone>(), Err(Unknown), "{wrong}");
        }
        assert_eq!("Africa/Asmara".parse(), Ok(zone("Africa/Asmara")));
        assert_ne!(zone("Africa/Asmara"), zone("Africa/Addis_Ababa"));
    }
}
