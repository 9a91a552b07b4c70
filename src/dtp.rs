//! DTP's words on the wire, and its client.
//!
//! It knows UNHCR's envelope and headers and nothing of Primero; it decides nothing about what a refusal means.

mod client;
mod envelope;
mod pruned;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::{Map, Value};

pub use self::{
    client::Client,
    envelope::{DecisionItem, Envelope, Flaw, Intervention, Items, NotTaken, UnusablePost, content},
};
use crate::reason::Reason;
pub use crate::wire::Unusable;

/// A message, or an item of a post: a flat JSON object.
pub type Document = Map<String, Value>;

/// What one request met. Bodies are never looked at: they may quote what we sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Trouble {
    /// They are unwell: try again later.
    #[error("DTP is unwell: {reason}")]
    Unwell {
        /// `Unreachable`, `TimedOut`, `ConnectionLost`, `Throttled`, `ServerError`, `GatewayError` or `NotAsPromised`.
        reason: Reason,
        /// The status, if one was seen.
        status: Option<u16>,
        /// What they asked us to wait, at most one hour.
        retry_after: Option<Duration>,
        /// Whether the message may have been taken all the same.
        effect_possible: bool,
    },
    /// We are wrong: 401 (subscription key), 403 (certificate or policy), 404 and 405 (URL), TLS refused us.
    #[error("DTP does not let us in: {reason}")]
    Blocked {
        /// `Unauthorized`, `Forbidden`, `WrongUrl`, `CertificateRefused` or `CertificateExpired`.
        reason: Reason,
        /// The status, if one was seen.
        status: Option<u16>,
    },
    /// Any other 4xx, and redirects: this message is refused for good.
    #[error("DTP refused the message with {status}")]
    Refused {
        /// The status.
        status: u16,
    },
}
