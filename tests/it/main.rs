//! The story from outside: a real daemon on free ports, a real SQLite in a temporary folder, faithful simulators, a clock in our hand.

mod flow1;
mod inbox;
mod world;
