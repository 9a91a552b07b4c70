//! What may be configured about being told: when, by which way, to whom.
//!
//! Shapes only. How they are read stands in `sections/alerts.rs`.

use std::{path::PathBuf, time::Duration};

use croner::Cron;
use reqwest::Url;

/// Being told.
#[derive(Clone, Debug)]
pub struct Alerts {
    /// Whether messages are sent. On, there is a target at least.
    pub on: bool,
    /// What comes after the first of its kind is told together, once in this time.
    pub digest: Duration,
    /// What is open for so long is told to the second stage.
    pub second_stage_after: Duration,
    /// A flow in which nothing was taken or told for so long is silent; nothing means that silence is no matter.
    pub silence_after: Duration,
    /// Less free room than this beside the state is too little, in bytes.
    pub disk_free: u64,
    /// When the daily list is sent, in the programme's zone; `None`: never.
    pub daily_list: Option<Cron>,
    /// Time for one message.
    pub timeout: Duration,
    /// A program that is told by HTTP.
    pub webhook: Option<Webhook>,
    /// People who are told by mail.
    pub mail: Option<Mail>,
}

/// A program that is told by HTTP.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where messages are posted.
    pub url: Url,
    /// Where the second stage is.
    pub second_stage_url: Option<Url>,
    /// File with the token that it asks for.
    pub token_file: Option<PathBuf>,
    /// Roots to trust, PEM; `None`: those of the machine.
    pub ca_file: Option<PathBuf>,
}

/// People who are told by mail.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The server that takes our mail.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: MailTls,
    /// Who we are there, with the file of the password.
    pub account: Option<(String, PathBuf)>,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// To whom if it stays open.
    pub second_stage_to: Vec<String>,
    /// To whom the daily list goes.
    pub daily_list_to: Vec<String>,
    /// Roots to trust, PEM; `None`: those of the machine.
    pub ca_file: Option<PathBuf>,
}

/// How the connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// From the first byte (port 465).
    Implicit,
    /// After STARTTLS (port 587); a server that does not offer it gets no mail.
    StartTls,
    /// Not at all; for this machine alone.
    None,
}
