//! The command line.

use std::sync::{Arc, Mutex};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let out = Arc::new(Mutex::new(std::io::stdout()));
    referrald::sandbox::play(true, out, tokio_util::sync::CancellationToken::new()).await?;
    Ok(())
}
