//! How we speak TLS: with ring alone, TLS 1.2 and 1.3, as a client of Primero and DTP and as the inbox's server.
//!
//! It opens no connection. Whom a client trusts is either the configured authorities alone or those of the machine.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, ConfigBuilder, ConfigSide, RootCertStore, ServerConfig, WantsVerifier, WantsVersions, crypto,
    sign::SingleCertAndKey,
};

use super::{
    ClientCertificate, Error,
    certificate::{certificates, pair},
};
use crate::config::InboxTls;

/// TLS for a client, ready for reqwest's `tls_backend_preconfigured`. With `roots`, only the authorities of this PEM file are
/// trusted; without, those of the machine. A client certificate is offered whenever the server asks for one.
pub fn tls_client_config(roots: Option<&Path>, client: Option<&ClientCertificate>) -> Result<ClientConfig, Error> {
    let builder = with_our_versions(ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider())));
    let builder = builder.with_root_certificates(trusted(roots)?);
    Ok(match client {
        Some(client) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(client.pair()))),
        None => builder.with_no_client_auth(),
    })
}

/// The certificates of authorities in a PEM file, as DER.
pub fn authorities(file: &Path) -> Result<Vec<Vec<u8>>, Error> {
    Ok(certificates(file)?.into_iter().map(|certificate| certificate.to_vec()).collect())
}

/// TLS for the inbox's listener.
pub fn tls_server_config(tls: &InboxTls) -> Result<ServerConfig, Error> {
    let pair = pair(&tls.certificate_file, &tls.key_file)?;
    let builder = with_our_versions(ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider())));
    let resolver = Arc::new(SingleCertAndKey::from(pair));
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn with_our_versions<Side: ConfigSide>(builder: ConfigBuilder<Side, WantsVersions>) -> ConfigBuilder<Side, WantsVerifier> {
    builder.with_safe_default_protocol_versions().expect("ring has cipher suites for TLS 1.2 and 1.3")
}

fn trusted(roots: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(file) => {
            for certificate in certificates(file)? {
                store.add(certificate).map_err(|_| Error::Content {
                    file: file.to_owned(),
                    what: "holds a certificate that cannot be trusted as an authority",
                    hint: "only certificates of authorities belong here",
                })?;
            }
        }
        None => {
            // Single files that the machine cannot read are its own affair, as long as some authority is left.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if store.is_empty() { Err(Error::NoRoots) } else { Ok(store) }
}

#[cfg(test)]
mod tests;
