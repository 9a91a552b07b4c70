//! The story from outside: a real daemon on free ports, a real SQLite in a temporary folder, faithful simulators, a clock in our hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has found something")]

mod alarms;
mod alerts;
mod bad_days;
mod cli;
mod consent_proof;
mod country;
mod crash;
mod decisions_to_dtp;
mod decisions_to_primero;
mod described;
mod dtp_door;
mod flood;
mod flow1;
mod flow2;
mod health;
mod held;
mod house;
mod inbox;
mod matrix;
mod metrics;
mod page;
mod play;
mod privacy;
mod reload;
mod sandbox;
mod sheet;
mod shutdown;
mod signals;
mod standing;
mod state;
mod timetable;
mod traps;
mod unreadable_rows;
mod walks;
mod world;
mod wrong_child;
