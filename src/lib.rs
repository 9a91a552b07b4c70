//! `referrald` carries child-protection referrals between Primero v2 (CPIMS+) and proGres v4 (UNHCR, behind DTP).
//!
//! Four flows pass through it:
//!
//! 1. DTP posts an **intervention** → a case and a service in Primero → **feedback** to DTP.
//! 2. A case worker decides in Primero → the **decision** is reported to DTP.
//! 3. A case worker refers in Primero → the **referral** is sent to DTP.
//! 4. DTP posts a **decision** → it is recorded on the referral in Primero.
//!
//! What comes in is put on disk before it is answered ([`inbox`], [`spool`]); what we owe is attempted by the
//! [`courier`]; what changes in Primero is noticed by the [`schedule`].
//! The wire words of each side stay in its own room ([`primero`], [`dtp`]); what translates between them is data ([`mapping`]).
//! The pure rooms ([`referral`], [`consent`], [`mapping`], [`activity`]) know no network, no disk and no clock.

pub mod activity;
pub mod admin;
pub mod agenda;
pub mod alerts;
pub mod clock;
pub mod command;
pub mod config;
pub mod consent;
pub mod control;
pub mod courier;
pub mod credentials;
pub mod daemon;
pub mod decisions;
pub mod dtp;
mod failpoint;
pub mod health;
pub mod inbox;
pub mod mapping;
pub mod matching;
pub mod meters;
pub mod page;
pub mod personal;
pub mod primero;
pub mod programme;
pub mod reason;
pub mod referral;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod schedule;
pub mod sheet;
pub mod spool;
pub mod standing;
pub mod upkeep;
pub mod walk;
pub mod walks;
mod wire;
pub mod words;
pub mod zone;
