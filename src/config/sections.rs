//! Section by section: which keys there are, and which of them contradict each other.
//!
//! How a single value is written stands in [`super::values`]; where it was given, in [`super::reading`].

mod alerts;
mod flows;
mod inbox;
mod systems;

use super::{
    Administrator, Agreement, Delivery, Environment, Flows, Schedule, Settings, StateSettings, Unapproved,
    reading::Reading,
    values::{self, Edge},
};
use crate::zone::Zone;

/// Everything. A section is `None` if one of its keys was refused; all the others are read all the same.
pub(super) fn settings(reading: &mut Reading) -> Option<Settings> {
    let programme = reading.read("programme", values::text);
    let environment = reading.read("environment", values::environment);
    let time_zone = reading.read("schedule.time_zone", values::time_zone);
    // Dates can be checked without the zone; the refused zone stops the start anyway.
    let zone = time_zone.unwrap_or(Zone::UTC);

    let agreement = agreement(reading, zone);
    let flows = flow_switches(reading);
    let inbox = inbox::inbox(reading, zone);
    let admin = inbox::admin(reading, inbox.as_ref());
    let primero = systems::primero(reading);
    let dtp = systems::dtp(reading, zone);
    let schedule = schedule(reading, time_zone, zone);
    let flow1 = flows::flow1(reading, flows);
    let referrals = flows::referrals(reading, flows);
    let consent = flows::consent(reading, flows);
    let administrator = administrator(reading);
    let mapping_directory = reading.path("mapping.directory");
    let unapproved = reading.read_if_given("mapping.unapproved", values::unapproved);
    let delivery = delivery(reading);
    let activity_file = reading.path_if_given("activity.file");
    let alerts = alerts::alerts(reading);
    // Last, because it looks at every secret file named so far.
    let state = state(reading);

    Some(Settings {
        programme: programme?,
        environment: environment?,
        agreement: agreement?,
        flows: flows?,
        inbox: inbox?,
        admin: admin?,
        primero: primero?,
        dtp: dtp?,
        schedule: schedule?,
        flow1: flow1?,
        referrals: referrals?,
        consent: consent?,
        administrator: administrator?,
        mapping_directory: mapping_directory?,
        mapping_unapproved: unapproved?.unwrap_or(match environment? {
            Environment::Production => Unapproved::Refuse,
            Environment::Test => Unapproved::Warn,
        }),
        delivery: delivery?,
        state: state?,
        activity_file: activity_file?,
        alerts: alerts?,
    })
}

fn agreement(reading: &mut Reading, zone: Zone) -> Option<Agreement> {
    let reference = reading.read("agreement.reference", values::text);
    let valid_from = reading.read("agreement.valid_from", values::moment(zone, Edge::First));
    let valid_until = reading.read("agreement.valid_until", values::moment(zone, Edge::Last));
    if let (Some(from), Some(until)) = (valid_from, valid_until)
        && from > until
    {
        reading.refuse("agreement.valid_until", "must not lie before `agreement.valid_from`");
    }
    Some(Agreement { reference: reference?, valid_from: valid_from?, valid_until: valid_until? })
}

fn flow_switches(reading: &mut Reading) -> Option<Flows> {
    let to_primero = reading.read("flows.to_primero", values::truth);
    let to_dtp = reading.read("flows.to_dtp", values::truth);
    Some(Flows { to_primero: to_primero?, to_dtp: to_dtp? })
}

fn schedule(reading: &mut Reading, time_zone: Option<Zone>, zone: Zone) -> Option<Schedule> {
    let referrals = reading.read("schedule.referrals", values::cron);
    let decisions = reading.read("schedule.decisions", values::cron);
    let at_start = reading.read("schedule.at_start", values::truth);
    let overlap = reading.read("schedule.overlap", values::duration_or_none);
    let start_from = reading.read("schedule.start_from", values::moment(zone, Edge::First));
    Some(Schedule {
        time_zone: time_zone?,
        referrals: referrals?,
        decisions: decisions?,
        at_start: at_start?,
        overlap: overlap?,
        start_from: start_from?,
    })
}

fn administrator(reading: &mut Reading) -> Option<Administrator> {
    let email = reading.read("administrator.email", values::email);
    let full_name = reading.read("administrator.full_name", values::text);
    let phone = reading.read("administrator.phone", values::text);
    Some(Administrator { email: email?, full_name: full_name?, phone: phone? })
}

fn delivery(reading: &mut Reading) -> Option<Delivery> {
    let first_pause = reading.read("delivery.first_pause", values::duration);
    let longest_pause = reading.read("delivery.longest_pause", values::duration);
    let alarm_after = reading.read("delivery.alarm_after", values::duration);
    let give_up_after = reading.read("delivery.give_up_after", values::patience);
    Some(Delivery {
        // Who shortens only the longest pause means the first one too.
        first_pause: first_pause?.min(longest_pause?),
        longest_pause: longest_pause?,
        alarm_after: alarm_after?,
        give_up_after: give_up_after?,
    })
}

fn state(reading: &mut Reading) -> Option<StateSettings> {
    let directory = reading.path("state.directory");
    let key_files = reading.secret_files("state.key_files");
    let keep_settled = reading.read("state.keep_settled", values::duration);
    let max_size = reading.read("state.max_size", values::size);
    if let Some(directory) = &directory {
        for key in reading.secret_files_inside(directory) {
            reading.refuse(
                &key,
                "must not lie inside `state.directory`: a copy of the state would carry its own key (hint: keep secrets in a \
                 directory of their own)",
            );
        }
    }
    Some(StateSettings { directory: directory?, key_files: key_files?, keep_settled: keep_settled?, max_size: max_size? })
}
