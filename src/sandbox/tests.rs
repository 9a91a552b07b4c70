//! The simulators over their real sockets: one test for each fact a client must be able to rely on, or to survive.

mod faults;
mod gateway;
mod harness;
mod people;
mod referring;
mod searching;
mod writing;
