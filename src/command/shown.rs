//! How an answer looks: to a terminal in words and in the programme's zone, to a pipe one JSON object a line, times in UTC.

mod status;

use std::{
    io::{self, Write},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Failure, unwritable};
use crate::{
    activity::Line,
    control::{
        Row,
        rows::{CursorRow, DeliveryRow, EntryRow, FlowRow, NoticeRow, ToldRow},
    },
    words::sentence,
    zone::Zone,
};

/// Shows rows as they come.
pub struct Shown<W> {
    out: W,
    terminal: bool,
    zone: Zone,
    rows: u64,
    broken: Option<io::Error>,
}

impl<W: Write> Shown<W> {
    /// Shows on `out`.
    pub const fn new(out: W, terminal: bool, zone: Zone) -> Self {
        Self { out, terminal, zone, rows: 0, broken: None }
    }

    /// Shows a row; `false` if nothing more can be shown.
    pub fn show(&mut self, row: &Row) -> bool {
        self.rows += 1;
        let shown = if self.terminal { self.in_words(row) } else { self.as_json(row) };
        match shown.and_then(|()| self.out.flush()) {
            Ok(()) => true,
            Err(error) => {
                self.broken = Some(error);
                false
            }
        }
    }

    /// Says what there is to say at the end.
    pub fn end(mut self, said: Option<&str>) -> Result<(), Failure> {
        match self.broken {
            // Whoever reads has read enough.
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Some(error) => return Err(unwritable(&error)),
            None => {}
        }
        let last = match said {
            // A pipe gets rows; what a command did is a row of its own.
            Some(said) if self.terminal => writeln!(self.out, "{said}"),
            Some(_) if self.rows > 0 => Ok(()),
            Some(said) => json(&mut self.out, &serde_json::json!({ "done": said })),
            None if self.terminal && self.rows == 0 => writeln!(self.out, "nothing"),
            None => Ok(()),
        };
        match last {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritable(&error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn as_json(&mut self, row: &Row) -> io::Result<()> {
        match row {
            Row::Entry(row) => json(&mut self.out, row),
            Row::Delivery(row) => json(&mut self.out, row),
            Row::Line(line) => writeln!(self.out, "{line}"),
            Row::Poll(row) => json(&mut self.out, row),
            Row::Notice(row) => json(&mut self.out, row),
            Row::Told(row) => json(&mut self.out, row),
            Row::Status(row) => json(&mut self.out, row),
            Row::Flow(row) => json(&mut self.out, row),
            Row::Cursor(row) => json(&mut self.out, row),
        }
    }

    fn in_words(&mut self, row: &Row) -> io::Result<()> {
        match row {
            Row::Entry(row) => self.entry(row),
            Row::Delivery(row) => self.delivery(row),
            Row::Line(text) => match Line::read(text) {
                Some(line) => {
                    let time = self.zone.to_the_second(line.time);
                    writeln!(self.out, "{time}  {}", sentence(&line.activity, self.zone))
                }
                // A newer daemon may know events that this command line does not.
                None => writeln!(self.out, "{text}"),
            },
            // The sentence at the end says it all.
            Row::Poll(_) => Ok(()),
            Row::Notice(row) => self.notice(row),
            Row::Told(ToldRow { target, why, .. }) => match why {
                None => writeln!(self.out, "{target:<22}took it"),
                Some(why) => writeln!(self.out, "{target:<22}did not take it: {why}"),
            },
            Row::Status(row) => self.status(row),
            Row::Flow(row) => self.flow(row),
            Row::Cursor(row) => self.cursor(row),
        }
    }

    fn flow(&mut self, row: &FlowRow) -> io::Result<()> {
        let state = match (row.paused_since, row.state.as_str()) {
            (Some(since), _) => {
                let by = row.paused_by.as_ref().map_or_else(String::new, |by| format!(", by {by}"));
                let why = row.paused_because.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
                format!("paused since {}{by}{why}", self.time(since))
            }
            (None, "off") => format!("off in the configuration (`flows.{}`)", row.flow),
            (None, "no_agreement") => "rests, because the agreement is not valid now".to_owned(),
            (None, state) => state.to_owned(),
        };
        writeln!(self.out, "{:<12}{state}; {} unsettled", row.flow, row.waiting)
    }

    fn cursor(&mut self, row: &CursorRow) -> io::Result<()> {
        let read = match (row.read_up_to, row.age_s) {
            (Some(position), Some(age)) => {
                let age = humantime::format_duration(Duration::from_secs(u64::try_from(age).unwrap_or_default()));
                format!("read up to {} ({age} ago)", self.time(position))
            }
            (_, _) => format!("not read yet; begins at {}", self.time(row.start_from)),
        };
        let unfinished = row
            .unfinished_since
            .map_or_else(String::new, |since| format!("; no walk has come to its end since {}", self.time(since)));
        writeln!(self.out, "{:<12}{:<20}{read}{unfinished}", row.walk, row.module)
    }

    fn entry(&mut self, row: &EntryRow) -> io::Result<()> {
        let times = if row.count > 1 { format!(", {} times", row.count) } else { String::new() };
        writeln!(self.out, "{:<6}{}", row.entry, row.title)?;
        let since = self.time(row.since);
        writeln!(self.out, "      since {since}{times}")?;
        if let Some(closed) = row.closed {
            let closed = self.time(closed);
            writeln!(self.out, "      off the list since {closed}")?;
        }
        let status = row.status.map(|status| status.to_string());
        self.references(&[
            ("delivery", row.delivery.map(|id| id.to_string()).as_deref()),
            ("errand", row.errand.as_deref()),
            ("intervention", row.intervention.as_deref()),
            ("case", row.case.as_deref()),
            ("status", status.as_deref()),
            ("reason", row.reason.as_deref()),
        ])?;
        if !row.fields.is_empty() {
            writeln!(self.out, "      fields: {}", row.fields.join(", "))?;
        }
        writeln!(self.out, "      What happened: {}", row.what_happened)?;
        writeln!(self.out, "      What to do:    {}", row.what_to_do)?;
        writeln!(self.out)
    }

    fn delivery(&mut self, row: &DeliveryRow) -> io::Result<()> {
        let reason = row.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        writeln!(self.out, "{:<6}{} {}{reason}", row.delivery, row.errand, row.state)?;
        let attempts = match row.attempts {
            0 => "not attempted".to_owned(),
            1 => "1 attempt".to_owned(),
            many => format!("{many} attempts"),
        };
        let made = self.time(row.made);
        let next = match (row.settled, row.due) {
            (Some(settled), _) => format!(", settled {}", self.time(settled)),
            (None, Some(due)) => format!(", due {}", self.time(due)),
            (None, None) => String::new(),
        };
        writeln!(self.out, "      made {made}, {attempts}{next}")?;
        self.references(&[
            ("intervention", row.intervention.as_deref()),
            ("case", row.case.as_deref()),
            ("referral", row.referral.as_deref()),
            ("known to DTP as", row.outgoing.as_deref()),
            ("decision", row.decision.as_deref()),
            ("basis", row.basis.as_deref()),
            ("waits behind", row.behind.map(|id| id.to_string()).as_deref()),
        ])?;
        if row.may_have_acted {
            writeln!(self.out, "      Careful: something of it may stand on the other side")?;
        }
        if let (Some(happened), Some(to_do)) = (&row.what_happened, &row.what_to_do) {
            writeln!(self.out, "      What happened: {happened}")?;
            writeln!(self.out, "      What to do:    {to_do}")?;
        }
        writeln!(self.out)
    }

    fn notice(&mut self, row: &NoticeRow) -> io::Result<()> {
        const UNKNOWN: &str = "not known";
        let case = match (&row.case_number, &row.case) {
            (Some(number), Some(case)) => format!("{number} (case id {case})"),
            (None, Some(case)) => format!("{UNKNOWN} (case id {case})"),
            (number, None) => number.clone().unwrap_or_else(|| UNKNOWN.to_owned()),
        };
        let service = match (&row.service, &row.service_type) {
            (Some(name), Some(service_type)) => format!("{name} ({service_type})"),
            (None, Some(service_type)) => service_type.clone(),
            (_, None) => UNKNOWN.to_owned(),
        };
        let time = |time: Option<DateTime<Utc>>| time.map_or_else(|| UNKNOWN.to_owned(), |time| self.time(time));
        let (sent, noticed) = (time(row.sent), time(row.noticed));
        let lines = [
            ("Case number", case),
            ("Service", service),
            ("Referral id", row.outgoing.clone().unwrap_or_else(|| UNKNOWN.to_owned())),
            ("Sent to UNHCR", sent),
            ("Reason", row.reason.clone().unwrap_or_else(|| UNKNOWN.to_owned())),
            ("Noticed by this system", noticed),
            ("Date of withdrawal", "____________________ (from the case worker; not the day when it was noticed)".to_owned()),
        ];
        writeln!(self.out, "Withdrawal of a referral to UNHCR. UNHCR has NOT been told by this system.")?;
        writeln!(self.out)?;
        for (name, value) in lines {
            writeln!(self.out, "{name:<24}{value}")?;
        }
        writeln!(self.out)?;
        if let Some(remark) = &row.remark {
            writeln!(self.out, "Note: {remark}.")?;
        }
        let id = row.entry.unwrap_or(row.delivery);
        writeln!(self.out, "When UNHCR has been informed: referrald deliveries resolve {id} --informed-on DATE --by ROLE")
    }

    /// One line of references, those that are there.
    fn references(&mut self, references: &[(&str, Option<&str>)]) -> io::Result<()> {
        let there: Vec<String> =
            references.iter().filter_map(|(name, value)| value.map(|value| format!("{name} {value}"))).collect();
        if there.is_empty() { Ok(()) } else { writeln!(self.out, "      {}", there.join(", ")) }
    }

    fn time(&self, time: DateTime<Utc>) -> String {
        self.zone.to_the_minute(time)
    }
}

fn json(out: &mut impl Write, row: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(row).map_err(io::Error::other)?;
    line.push(b'\n');
    out.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::rows::PollRow;

    fn entry() -> Row {
        Row::Entry(Box::new(EntryRow {
            entry: 13,
            kind: "held".to_owned(),
            title: "waits for a person".to_owned(),
            reason: Some("identity_differs".to_owned()),
            delivery: Some(12),
            errand: Some("open_intervention".to_owned()),
            state: Some("held".to_owned()),
            intervention: Some("989-TEST-1".to_owned()),
            case: None,
            referral: None,
            status: None,
            fields: vec!["sex".to_owned(), "date_of_birth".to_owned()],
            count: 1,
            since: "2026-06-01T08:00:00Z".parse().unwrap(),
            closed: None,
            what_happened: "Something happened.".to_owned(),
            what_to_do: "Do something.".to_owned(),
        }))
    }

    fn notice() -> Row {
        Row::Notice(Box::new(NoticeRow {
            delivery: 12,
            entry: Some(13),
            case_number: Some("TEST-0001".to_owned()),
            case: Some("case-1".to_owned()),
            service: Some("Alternative Care".to_owned()),
            service_type: Some("alternative_care".to_owned()),
            outgoing: Some("case-1#0123456789ab".to_owned()),
            sent: Some("2026-06-01T08:00:00Z".parse().unwrap()),
            sent_for_sure: true,
            reason: Some("The referral was revoked.".to_owned()),
            noticed: Some("2026-06-02T21:30:00Z".parse().unwrap()),
            date_of_withdrawal: None,
            remark: None,
        }))
    }

    fn shown(rows: &[Row], terminal: bool, said: Option<&str>) -> String {
        let mut out = Vec::new();
        let mut shown = Shown::new(&mut out, terminal, "Africa/Addis_Ababa".parse().unwrap());
        assert!(rows.iter().all(|row| shown.show(row)));
        shown.end(said).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_terminal_gets_words_in_the_programmes_zone() {
        let line = r#"{"time":"2026-06-01T08:00:00.000Z","programme":"test","environment":"test","event":"started"}"#;
        let rows = [entry(), Row::Line(line.to_owned()), notice(), Row::Poll(PollRow::default())];
        insta::assert_snapshot!(shown(&rows, true, Some("done")));
        assert_eq!(shown(&[], true, None), "nothing\n");
    }

    #[test]
    fn a_pipe_gets_one_json_object_a_line_with_times_in_utc() {
        insta::assert_snapshot!(shown(&[entry(), notice()], false, Some("done")));
        assert_eq!(shown(&[], false, Some("delivery 12 is due now")), "{\"done\":\"delivery 12 is due now\"}\n");
        assert_eq!(shown(&[], false, None), "");
    }

    #[test]
    fn whoever_reads_may_stop_reading() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut shown = Shown::new(Closed, false, Zone::UTC);
        assert!(!shown.show(&entry()));
        assert_eq!(shown.end(Some("done")), Ok(()));
    }
}
