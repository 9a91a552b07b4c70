//! The tests from outside, in one binary.

mod cli;
