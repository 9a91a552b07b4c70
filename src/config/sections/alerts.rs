//! Being told: when, by which way, to whom.
//!
//! It opens no connection and reads no secret.

use super::super::{
    alerts::{Alerts, Mail, MailTls, Webhook},
    reading::Reading,
    values,
};

pub(super) fn alerts(reading: &mut Reading) -> Option<Alerts> {
    let on = reading.read("alerts.on", values::truth);
    let digest = reading.read("alerts.digest", values::duration);
    let second_stage_after = reading.read("alerts.second_stage_after", values::duration);
    let silence_after = reading.read("alerts.silence_after", values::duration_or_none);
    let disk_free = reading.read("alerts.disk_free", values::size);
    let daily_list = reading.read("alerts.daily_list", values::time_of_day_or_none);
    let timeout = reading.read("alerts.timeout", values::duration);
    let webhook = webhook(reading);
    let mail = mail(reading);
    if let (Some(true), Some(None), Some(None)) = (on, &webhook, &mail) {
        reading.refuse(
            "alerts.on",
            "is true, but nobody would be told (hint: give `alerts.webhook.url`, or `alerts.mail.server` with `from` and `to`)",
        );
    }
    Some(Alerts {
        on: on?,
        digest: digest?,
        second_stage_after: second_stage_after?,
        silence_after: silence_after?,
        disk_free: disk_free?,
        daily_list: daily_list?,
        timeout: timeout?,
        webhook: webhook?,
        mail: mail?,
    })
}

fn webhook(reading: &mut Reading) -> Option<Option<Webhook>> {
    let url = reading.read_if_given("alerts.webhook.url", values::webhook_url);
    let second_stage_url = reading.read_if_given("alerts.webhook.second_stage_url", values::webhook_url);
    let token_file = reading.secret_file_if_given("alerts.webhook.token_file");
    let ca_file = reading.path_if_given("alerts.webhook.ca_file");
    let (url, second_stage_url, token_file, ca_file) = (url?, second_stage_url?, token_file?, ca_file?);
    match url {
        Some(url) => Some(Some(Webhook { url, second_stage_url, token_file, ca_file })),
        None => {
            let alone = second_stage_url.is_some() || token_file.is_some() || ca_file.is_some();
            if alone {
                reading.refuse("alerts.webhook.url", "is missing beside the other keys of `[alerts.webhook]`");
            }
            (!alone).then_some(None)
        }
    }
}

fn mail(reading: &mut Reading) -> Option<Option<Mail>> {
    let server = reading.read_if_given("alerts.mail.server", values::host);
    let port = reading.read_if_given("alerts.mail.port", values::whole(1..=65_535_u16));
    let tls = reading.read("alerts.mail.tls", values::mail_tls);
    let user_name = reading.read_if_given("alerts.mail.user_name", values::text);
    let password_file = reading.secret_file_if_given("alerts.mail.password_file");
    let from = reading.read_if_given("alerts.mail.from", values::email);
    let to = reading.read("alerts.mail.to", values::emails);
    let second_stage_to = reading.read("alerts.mail.second_stage_to", values::emails);
    let daily_list_to = reading.read("alerts.mail.daily_list_to", values::emails);
    let ca_file = reading.path_if_given("alerts.mail.ca_file");
    let (server, port, tls, user_name, password_file) = (server?, port?, tls?, user_name?, password_file?);
    let (from, to, second_stage_to, daily_list_to, ca_file) = (from?, to?, second_stage_to?, daily_list_to?, ca_file?);
    let Some(server) = server else {
        let alone = [port.is_some(), user_name.is_some(), password_file.is_some(), from.is_some(), ca_file.is_some()]
            .contains(&true)
            || !(to.is_empty() && second_stage_to.is_empty() && daily_list_to.is_empty());
        if alone {
            reading.refuse("alerts.mail.server", "is missing beside the other keys of `[alerts.mail]`");
        }
        return (!alone).then_some(None);
    };
    let mut refused = false;
    let mut refuse = |key: &str, why: &str| {
        reading.refuse(key, why);
        refused = true;
    };
    if tls == MailTls::None && !values::is_this_machine(&server) {
        refuse(
            "alerts.mail.tls",
            "may be `\"none\"` for a server on this machine alone (hint: `\"implicit\"` with port 465, or `\"starttls\"` with 587)",
        );
    }
    if from.is_none() {
        refuse("alerts.mail.from", "is missing beside `alerts.mail.server`; it must be an e-mail address");
    }
    if to.is_empty() {
        refuse("alerts.mail.to", "must name one e-mail address at least");
    }
    let account = match (user_name, password_file) {
        (Some(user_name), Some(password_file)) => Some((user_name, password_file)),
        (None, None) => None,
        (Some(_), None) => {
            refuse("alerts.mail.password_file", "is missing beside `alerts.mail.user_name`");
            None
        }
        (None, Some(_)) => {
            refuse("alerts.mail.user_name", "is missing beside `alerts.mail.password_file`");
            None
        }
    };
    let from = from.filter(|_| !refused)?;
    let port = port.unwrap_or(match tls {
        MailTls::Implicit => 465,
        MailTls::StartTls => 587,
        MailTls::None => 25,
    });
    Some(Some(Mail { server, port, tls, account, from, to, second_stage_to, daily_list_to, ca_file }))
}
