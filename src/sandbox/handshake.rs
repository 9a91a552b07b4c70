//! What a simulated server shows in the TLS handshake, and which clients it lets in; both can go wrong on demand.
//!
//! It knows no request. A handshake under way goes on as it began; what is changed holds from the next one on.

use std::sync::{Arc, Mutex};

use rustls::{
    DEFAULT_VERSIONS, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};

use super::{
    locked,
    pki::{Authority, Wish},
    wire::TlsSource,
};

/// How the server greets whoever connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// With a good certificate.
    Good,
    /// With one that is no longer valid.
    Expired,
    /// With one of an authority that nobody knows.
    UnknownAuthority,
    /// With one for another name.
    WrongName,
    /// With a good certificate; and then it refuses the client in the handshake, whatever that shows, as TLS 1.2 does.
    Refusal,
    /// Likewise, but after the client has finished its part and may be sending already, as TLS 1.3 does: the client hears of it
    /// with its first read, or only that the connection is gone.
    LateRefusal,
}

/// The handshakes of one server.
#[derive(Clone)]
pub(super) struct Handshake {
    authority: Arc<Authority>,
    /// Whether a client must show a certificate of the same authority.
    asks_clients: bool,
    next: Arc<Mutex<Arc<ServerConfig>>>,
}

impl Handshake {
    /// A good certificate of this authority.
    pub(super) fn new(authority: Arc<Authority>, asks_clients: bool) -> Self {
        let next = Arc::new(Mutex::new(config(&authority, asks_clients.then_some(&*authority), Wish::loopback())));
        Self { authority, asks_clients, next }
    }

    /// Where the door finds the settings of the next handshake.
    pub(super) fn source(&self) -> TlsSource {
        Some(Arc::clone(&self.next))
    }

    /// Greets like this from the next handshake on.
    pub(super) fn show(&self, shows: Shows) {
        let ours = &*self.authority;
        let clients = self.asks_clients.then_some(ours);
        let config = match shows {
            Shows::Good => config(ours, clients, Wish::loopback()),
            Shows::Expired => config(ours, clients, Wish::loopback().expired()),
            Shows::UnknownAuthority => config(&Authority::new(), clients, Wish::loopback()),
            Shows::WrongName => config(ours, clients, Wish::server(&["elsewhere.example.org"])),
            Shows::Refusal => config_with(&[&TLS12], ours, Some(&Authority::new()), Wish::loopback()),
            Shows::LateRefusal => config_with(&[&TLS13], ours, Some(&Authority::new()), Wish::loopback()),
        };
        *locked(&self.next) = config;
    }
}

/// A server with a certificate of `signer`; clients must show one that `clients` has signed, if that is given.
fn config(signer: &Authority, clients: Option<&Authority>, wish: Wish) -> Arc<ServerConfig> {
    config_with(DEFAULT_VERSIONS, signer, clients, wish)
}

fn config_with(
    versions: &[&'static SupportedProtocolVersion],
    signer: &Authority,
    clients: Option<&Authority>,
    wish: Wish,
) -> Arc<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions);
    let builder = builder.expect("ring knows TLS 1.2 and 1.3");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.certificate()).expect("the authority's certificate is well formed");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("there is one root and no revocation list"))
        }
    };
    let identity = signer.issue(wish);
    Arc::new(builder.with_single_cert(vec![identity.certificate()], identity.key()).expect("the key belongs to the certificate"))
}
