//! Tells people: one mail, plain text, handed to the configured server.
//!
//! TLS is required but for a server on this machine; a server that does not offer it gets no mail.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
    },
};
use uuid::Uuid;

use super::{Failed, Unfit};
use crate::{
    config::alerts::{Alerts, Mail, MailTls},
    credentials::{self, Secret},
    wire::Unusable,
};

/// A way to people.
#[derive(Clone)]
pub struct Post {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Address,
    to: Vec<Address>,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Post(…)")
    }
}

impl Post {
    /// The way to a server, to those of `alerts.mail.to`.
    pub fn of(settings: &Alerts, mail: &Mail) -> Result<Self, Unfit> {
        let tls = match mail.tls {
            MailTls::None => Tls::None,
            MailTls::StartTls => Tls::Required(parameters(mail)?),
            MailTls::Implicit => Tls::Wrapper(parameters(mail)?),
        };
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.server)
            .port(mail.port)
            .tls(tls)
            .timeout(Some(settings.timeout));
        if let Some((user_name, password_file)) = &mail.account {
            let password = Secret::read(password_file)?;
            server = server.credentials(Credentials::new(user_name.clone(), password.reveal().to_owned()));
        }
        let from = mail.from.parse().map_err(|_| unfit("`alerts.mail.from` is no address that a mail can come from"))?;
        Ok(Self { server: server.build(), from, to: addresses(&mail.to)? })
    }

    /// The same way to other people; `None` if there are none.
    pub fn to(&self, people: &[String]) -> Result<Option<Self>, Unfit> {
        Ok((!people.is_empty()).then_some(Self { to: addresses(people)?, ..self.clone() }))
    }

    /// Hands a mail to the server.
    pub async fn send(&self, subject: &str, text: String, time: DateTime<Utc>) -> Result<(), Failed> {
        let unwritable = |_| Failed("the mail cannot be written".to_owned());
        let from = Mailbox::new(Some("referrald".to_owned()), self.from.clone());
        let mail = Message::builder()
            .from(from)
            .subject(subject)
            .date(SystemTime::from(time))
            .message_id(Some(format!("<{}@{}>", Uuid::new_v4(), self.from.domain())))
            // So that no absent person's mailbox answers to a machine.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN);
        let mail = self.to.iter().fold(mail, |mail, person| mail.to(Mailbox::new(None, person.clone())));
        let mail = mail.body(text).map_err(unwritable)?;
        self.server.send(mail).await.map(drop).map_err(|error| Failed(in_words(&error)))
    }
}

/// Whom we trust, and who the server must be.
fn parameters(mail: &Mail) -> Result<TlsParameters, Unfit> {
    let mut builder = TlsParameters::builder(mail.server.clone());
    if let Some(file) = &mail.ca_file {
        builder = builder.certificate_store(CertificateStore::None);
        for authority in credentials::authorities(file)? {
            let certificate =
                Certificate::from_der(authority).map_err(|_| unfit("a certificate of `ca_file` cannot be trusted"))?;
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build_rustls().map_err(|_| unfit("TLS cannot be set up with these certificate authorities"))
}

fn addresses(people: &[String]) -> Result<Vec<Address>, Unfit> {
    let address = |text: &String| text.parse().map_err(|_| unfit("an address is none that a mail can go to"));
    people.iter().map(address).collect()
}

const fn unfit(why: &'static str) -> Unfit {
    Unfit::Client { key: "alerts.mail", source: Unusable(why) }
}

/// What went wrong; what the server said stays with it, because it may quote an address.
fn in_words(error: &lettre::transport::smtp::Error) -> String {
    if let Some(code) = error.status() {
        format!("it answered {code}")
    } else if error.is_tls() {
        "TLS failed: its certificate is not trusted, or it offers none".to_owned()
    } else if error.is_timeout() {
        "timed_out".to_owned()
    } else if error.is_response() {
        "it does not speak SMTP".to_owned()
    } else if error.is_client() {
        "it does not offer what is needed, encryption or a way to log in".to_owned()
    } else {
        "unreachable".to_owned()
    }
}
