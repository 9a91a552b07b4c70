//! What we say to people: for every reason what happened and what to do, for every activity a sentence.
//!
//! Pure. It knows codes, numbers and times, never a value of a record, and it decides nothing.
//! The words are those of the people who do this work; a referral from UNHCR is called that, whatever we call it inside.

pub mod names;
mod reasons;
mod sentences;

pub use reasons::{Words, words};
pub use sentences::sentence;
