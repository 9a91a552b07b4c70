//! How a programme stands, on one screen.

use std::io::{self, Write};

use super::Shown;
use crate::control::status::{EndRow, StatusRow, SystemRow, WaitingRow, WalkRow};

impl<W: Write> Shown<W> {
    pub(super) fn status(&mut self, row: &StatusRow) -> io::Result<()> {
        let runs = row.runs_since.map_or_else(|| "no daemon runs".to_owned(), |since| format!("runs since {}", self.time(since)));
        writeln!(self.out, "{} ({}), referrald {}: {runs}", row.programme, row.environment, row.version)?;
        match row.needs_a_person.as_slice() {
            [] => writeln!(self.out, "Nothing needs a person.")?,
            needs => {
                writeln!(self.out, "This needs a person:")?;
                needs.iter().try_for_each(|need| writeln!(self.out, "  - {need}"))?;
            }
        }
        writeln!(self.out)?;
        row.systems.iter().try_for_each(|system| self.system(system))?;
        writeln!(self.out)?;
        row.flows.iter().try_for_each(|flow| self.flow(flow))?;
        writeln!(self.out)?;
        self.waiting(&row.waiting)?;
        if !row.list.is_empty() {
            let list: Vec<String> = row.list.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            writeln!(self.out, "Operator's list: {}", list.join(", "))?;
        }
        writeln!(self.out)?;
        row.walks.iter().try_for_each(|walk| self.walk(walk))?;
        row.cursors.iter().try_for_each(|cursor| self.cursor(cursor))?;
        writeln!(self.out)?;
        row.ends.iter().try_for_each(|end| self.end_of(end))?;
        let mapping = row.mapping.as_deref().unwrap_or("cannot be loaded");
        let approved = if row.mapping_approved { "approved" } else { "not approved as it stands" };
        writeln!(self.out, "{:<12}{mapping}, {approved}", "mapping")?;
        let (size, most) = (mebibytes(row.state_size), mebibytes(row.state_max_size));
        writeln!(self.out, "{:<12}{size} of {most} MiB", "state")
    }

    fn system(&mut self, row: &SystemRow) -> io::Result<()> {
        let reason = row.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let since = row.since.map_or_else(String::new, |since| format!(", since {}", self.time(since)));
        let next = row.next_probe.map_or_else(String::new, |next| format!(", tried again {}", self.time(next)));
        writeln!(self.out, "{:<12}{}{reason}{since}{next}", row.system, row.state)
    }

    fn waiting(&mut self, rows: &[WaitingRow]) -> io::Result<()> {
        if rows.is_empty() {
            return writeln!(self.out, "Nothing waits.");
        }
        writeln!(self.out, "{:<20}{:>8}{:>8}{:>8}  oldest", "", "waiting", "held", "late")?;
        for row in rows {
            let oldest = self.time(row.oldest);
            writeln!(self.out, "{:<20}{:>8}{:>8}{:>8}  {oldest}", row.errand, row.waiting, row.held, row.late)?;
        }
        Ok(())
    }

    fn walk(&mut self, row: &WalkRow) -> io::Result<()> {
        let last = match (row.under_way, row.unfinished_since, row.ended) {
            (true, ..) => "under way".to_owned(),
            (false, Some(since), _) => format!("none has come to its end since {}", self.time(since)),
            (false, None, Some(ended)) => format!("last ended {}", self.time(ended)),
            (false, None, None) => "not read yet".to_owned(),
        };
        let next = row.next.map_or_else(|| "none while its flow rests".to_owned(), |next| self.time(next));
        writeln!(self.out, "{:<12}{last}; next {next}", row.walk)
    }

    fn end_of(&mut self, row: &EndRow) -> io::Result<()> {
        let name = row.name.as_ref().map_or_else(String::new, |name| format!("{name}: "));
        let left = match (row.until, row.days_left) {
            (Some(until), Some(days @ 0..)) => format!("until {}, {days} days left", self.time(until)),
            (Some(until), _) => format!("ended {}", self.time(until)),
            (None, _) if row.what == "key" => "without an end".to_owned(),
            (None, _) => "not known".to_owned(),
        };
        writeln!(self.out, "{:<12}{name}{left}", row.what)
    }
}

const fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
