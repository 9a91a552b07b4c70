//! Tells a program: one POST of JSON.

use reqwest::Url;
use serde_json::Value;

use super::{Failed, Unfit};
use crate::{
    config::alerts::{Alerts, Webhook},
    credentials::{self, Secret},
    wire::{self, Fault},
};

/// A way to a program.
#[derive(Debug)]
pub struct Hook {
    http: reqwest::Client,
    url: Url,
    token: Option<Secret>,
}

impl Hook {
    /// The ways that are configured: to the first and to the second stage.
    pub fn of(settings: &Alerts, hook: &Webhook) -> Result<(Self, Option<Self>), Unfit> {
        let unusable = |source| Unfit::Client { key: "alerts.webhook", source };
        let token = hook.token_file.as_deref().map(Secret::read).transpose()?;
        let encrypted =
            [Some(&hook.url), hook.second_stage_url.as_ref()].into_iter().flatten().any(|url| url.scheme() == "https");
        let tls = if encrypted { Some(credentials::tls_client_config(hook.ca_file.as_deref(), None)?) } else { None };
        let tls = wire::tls_for(&hook.url, tls).map_err(unusable)?;
        let http = wire::client(settings.timeout, tls).map_err(unusable)?;
        let way = |url: &Url| Self { http: http.clone(), url: url.clone(), token: token.clone() };
        Ok((way(&hook.url), hook.second_stage_url.as_ref().map(way)))
    }

    /// Posts a message; it is taken with any 2xx.
    pub async fn send(&self, message: &Value) -> Result<(), Failed> {
        let request = self.http.post(self.url.clone()).json(message);
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        };
        let response = request.send().await.map_err(|error| {
            Failed(match wire::fault_of(&error) {
                Fault::Unwell { reason, .. } | Fault::Tls(reason) => reason.code().to_owned(),
            })
        })?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(Failed(format!("it answered {}", status.as_u16()))) }
    }
}
