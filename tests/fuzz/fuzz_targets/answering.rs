//! A server that answers each request with the same bytes, and settings that point at it.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use referrald::config::Settings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::Runtime,
};

/// What stays from one input to the next: the loop that everything runs in, the server, and the settings.
pub struct Stage {
    pub runtime: Runtime,
    pub settings: Settings,
    says: Arc<Mutex<Vec<u8>>>,
}

impl Stage {
    /// A server on a free port that goes after each sentence.
    pub fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let says = Arc::new(Mutex::new(Vec::new()));
        let whole = Arc::clone(&says);
        runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 16 * 1024];
                // Whatever was asked, and however it ends: this server says its sentence and goes.
                let _ = stream.read(&mut request).await;
                let whole = whole.lock().expect("nobody panics with it").clone();
                let _ = stream.write_all(&whole).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { runtime, settings: settings(port), says }
    }

    /// From now on this is said.
    pub fn answer(&self, status: u16, body: &[u8]) {
        let head = format!(
            "HTTP/1.1 {status} So\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        *self.says.lock().expect("nobody panics with it") = [head.as_bytes(), body].concat();
    }
}

/// Gambella's example, filled in, with both systems on this port.
fn settings(port: u16) -> Settings {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/gambella.example.toml");
    let text = std::fs::read_to_string(&file).expect("the example is there");
    let text: Vec<String> = text.lines().map(filled).collect();
    let here =
        [("REFERRALD__PRIMERO__URL", format!("http://127.0.0.1:{port}")), ("REFERRALD__PRIMERO__RATE", "unlimited".to_owned())];
    let here = here.map(|(key, value)| (key.to_owned(), value));
    let mut settings = Settings::from_text(&file, &text.join("\n"), here).unwrap_or_else(|problems| panic!("{problems}"));
    // No settings that people write may name a DTP without TLS.
    let dtp = |path: &str| format!("http://127.0.0.1:{port}/{path}").parse().expect("an address");
    (settings.dtp.referral_url, settings.dtp.decision_url) = (dtp("r"), dtp("d"));
    settings
}

/// A line of the example with something invented where the site has to fill in.
fn filled(line: &str) -> String {
    let invented = match line.split(" = ").next().unwrap_or_default() {
        "valid_from" | "start_from" => "2026-01-01",
        "valid_until" => "2099-12-31",
        "sha256" => "0000000000000000000000000000000000000000000000000000000000000000",
        "email" => "cpims-duty@example.org",
        "phone" => "+000 00 000 0000",
        "url" | "referral_url" | "decision_url" => "invented.example",
        _ => "invented",
    };
    line.replace('…', invented)
}
