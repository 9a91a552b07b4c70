//! The story from outside: a real daemon on free ports, a real SQLite in a temporary folder, faithful simulators, a clock in our hand.

mod decisions_to_dtp;
mod decisions_to_primero;
mod flow1;
mod flow2;
mod walks;
mod world;
