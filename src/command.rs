//! What the command line does, as plain functions: each writes to what it is given and tells what went wrong.
//!
//! It knows no terminal and no exit code; those are the binary's.

pub mod certificate;
pub mod key;
