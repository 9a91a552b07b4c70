//! A simulated Primero and a simulated DTP on real sockets, for the tests and for trying the whole thing out.
//!
//! They answer as the real systems do, traps included, and every request can be made to fail in a chosen way.
//! They share no code with the clients they stand opposite of, so that a misreading in a client is not repeated here.
//! They know nothing of deliveries; of mappings and configuration only the stage does, which sets them up for a programme.

pub mod dtp;
pub mod faults;
mod handshake;
mod log;
pub mod pki;
mod play;
pub mod primero;
mod scene;
pub mod stage;
#[cfg(test)]
mod tests;
mod wire;

pub use faults::{Endpoint, Fault, Faults, Gate, Planted, Rule};
pub use handshake::Shows;
pub use log::{Entry, Log};
pub use play::{PlayError, play};
pub use wire::Asked;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, and goes on after a panic elsewhere: a simulator must not hide the first failure of a test behind a second one.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
