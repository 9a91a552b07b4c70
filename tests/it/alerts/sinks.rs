//! Whom we tell: a program that takes posts and a mail server, as faithful as is needed, on free ports of this machine.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU16, Ordering},
};

use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use reqwest::StatusCode;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// A program that takes posts.
pub struct Hook {
    /// Where.
    pub url: String,
    taken: Arc<Taken>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Taken {
    status: AtomicU16,
    asked: Mutex<Vec<(Option<String>, Value)>>,
}

impl Hook {
    /// Listens and takes everything.
    pub async fn new() -> Self {
        let taken = Arc::new(Taken { status: AtomicU16::new(204), asked: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(Arc::clone(&taken));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, taken, server }
    }

    /// Answers with this status from now on.
    pub fn answer_with(&self, status: u16) {
        self.taken.status.store(status, Ordering::SeqCst);
    }

    /// How often it was asked, whatever it answered.
    pub fn asked(&self) -> usize {
        self.taken.asked.lock().unwrap().len()
    }

    /// The tokens that came.
    pub fn tokens(&self) -> Vec<Option<String>> {
        self.taken.asked.lock().unwrap().iter().map(|(token, _)| token.clone()).collect()
    }

    /// The messages since the last time.
    pub fn messages(&self) -> Vec<Value> {
        std::mem::take(&mut *self.taken.asked.lock().unwrap()).into_iter().map(|(_, message)| message).collect()
    }

    /// What alerts said since the last time: event, state, count and numbers.
    pub fn said(&self) -> Vec<String> {
        let alerts = |message: &Value| message["alerts"].as_array().cloned().unwrap_or_default();
        let line = |alert: Value| {
            let text = |key: &str| alert[key].as_str().unwrap_or_default().to_owned();
            let numbers = &alert["numbers"];
            let days = alert.get("days").map_or_else(String::new, |days| format!(" {days} days"));
            format!("{} {} {} {numbers}{days}", text("event"), text("state"), alert["count"])
        };
        self.messages().iter().flat_map(alerts).map(line).collect()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(taken): State<Arc<Taken>>, headers: HeaderMap, Json(message): Json<Value>) -> StatusCode {
    let token = headers.get("authorization").map(|token| token.to_str().unwrap().to_owned());
    taken.asked.lock().unwrap().push((token, message));
    StatusCode::from_u16(taken.status.load(Ordering::SeqCst)).unwrap()
}

/// How a mail server speaks.
#[derive(Clone)]
pub enum Speaks {
    /// Without encryption.
    Plain,
    /// After STARTTLS; before it, it takes nothing.
    StartTls(Arc<ServerConfig>),
    /// Encrypted from the first byte.
    Implicit(Arc<ServerConfig>),
}

/// A mail that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Whether it came encrypted.
    pub encrypted: bool,
    /// The account that logged in, and its password.
    pub account: Option<(String, String)>,
    /// To whom.
    pub to: Vec<String>,
    /// Header and text, decoded.
    pub text: String,
}

/// A mail server.
pub struct MailServer {
    /// Its port.
    pub port: String,
    mails: Arc<Mutex<Vec<Mail>>>,
    server: JoinHandle<()>,
}

impl MailServer {
    /// Listens and takes everything.
    pub async fn new(speaks: Speaks) -> Self {
        let mails = Arc::<Mutex<Vec<Mail>>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let taken = Arc::clone(&mails);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (speaks, taken) = (speaks.clone(), Arc::clone(&taken));
                tokio::spawn(async move {
                    // Who breaks off has not sent a mail.
                    match speaks {
                        Speaks::Plain => drop(serve(BufReader::new(stream), true, false, None, &taken).await),
                        Speaks::Implicit(tls) => {
                            if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                                drop(serve(BufReader::new(stream), true, true, None, &taken).await);
                            }
                        }
                        Speaks::StartTls(tls) => {
                            if let Some(stream) = serve(BufReader::new(stream), true, false, Some(()), &taken).await
                                && let Ok(stream) = TlsAcceptor::from(tls).accept(stream.into_inner()).await
                            {
                                drop(serve(BufReader::new(stream), false, true, None, &taken).await);
                            }
                        }
                    }
                });
            }
        });
        Self { port, mails, server }
    }

    /// The mails since the last time.
    pub fn mails(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mails.lock().unwrap())
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Speaks SMTP to the end, or until STARTTLS is wanted: then it gives the connection back.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: BufReader<S>,
    greet: bool,
    encrypted: bool,
    start_tls: Option<()>,
    taken: &Mutex<Vec<Mail>>,
) -> Option<BufReader<S>> {
    let (mut account, mut to) = (None, Vec::new());
    if greet {
        stream.write_all(b"220 mail.example.org\r\n").await.ok()?;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" if start_tls.is_some() => "250-mail.example.org\r\n250 STARTTLS",
            "EHLO" => "250-mail.example.org\r\n250 AUTH PLAIN LOGIN",
            "STARTTLS" if start_tls.is_some() => {
                stream.write_all(b"220 go on\r\n").await.ok()?;
                return Some(stream);
            }
            "MAIL" if start_tls.is_some() => "530 STARTTLS first",
            "AUTH" => {
                account = line.strip_prefix("AUTH PLAIN ").map(plain);
                "235 welcome"
            }
            "RCPT" => {
                to.push(line.split(['<', '>']).nth(1).unwrap_or_default().to_owned());
                "250 ok"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.ok()?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut text).await.ok()? == 0 {
                        return None;
                    }
                }
                let mail = Mail { encrypted, account: account.clone(), to: std::mem::take(&mut to), text: readable(&text) };
                taken.lock().unwrap().push(mail);
                "250 taken"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await.ok()?;
                return None;
            }
            _ => "250 ok",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
}

fn plain(credentials: &str) -> (String, String) {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let credentials = String::from_utf8(BASE64_STANDARD.decode(credentials).unwrap()).unwrap();
    let mut parts = credentials.split('\0').skip(1).map(str::to_owned);
    (parts.next().unwrap(), parts.next().unwrap())
}

/// Without the line breaks that the transport puts in.
fn readable(text: &str) -> String {
    let text = text.strip_suffix(".\r\n").unwrap_or(text);
    let text = text.replace("=\r\n", "").replace("\r\n", "\n");
    let (header, body) = text.split_once("\n\n").unwrap();
    format!("{}\n\n{body}", header.replace("\n ", " "))
}
