//! Sealed content: bound to its row, opened with whichever key sealed it; there is no unsealed mode.
//!
//! It also keeps the identity key, from which every keyed hash and every id that we make comes.
//! Not promised: that bytes are unreadable on the device after they were erased here, if somebody also has the key.

use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{credentials::StateKey, referral::DeliveryId};

const NONCE_BYTES: usize = 24;

/// What a sealed text is; part of the associated data, so that one kind never opens as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The rows of an intervention, cut to the keys that the mapping reads.
    Intervention,
    /// A decision of DTP, cut likewise.
    Decision,
    /// The identity key.
    Identity,
}

impl Kind {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Intervention => b"intervention",
            Self::Decision => b"decision",
            Self::Identity => b"identity",
        }
    }
}

/// Sealed bytes and the name of the key that sealed them.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Which state key.
    pub key_name: String,
    /// Nonce and cipher text.
    pub bytes: Vec<u8>,
}

/// Why sealed bytes could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The key that sealed them is not configured.
    #[error("the state key that sealed this is not among state.key_files")]
    KeyMissing,
    /// They were changed, or belong to another row.
    #[error("sealed content does not belong here or was damaged")]
    Damaged,
}

/// The state keys: the first seals, all open.
pub struct Sealer {
    keys: Vec<(String, XChaCha20Poly1305)>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// From the configured keys, of which there is at least one.
    #[must_use]
    pub fn new(keys: &[StateKey]) -> Self {
        Self { keys: keys.iter().map(|key| (key.name.clone(), XChaCha20Poly1305::new(&Key::from(*key.key)))).collect() }
    }

    /// These keys, and after them those of another that only open.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let others = other.keys.iter().filter(|(name, _)| !self.knows(name));
        Self { keys: self.keys.iter().chain(others).cloned().collect() }
    }

    /// The name of the key that seals.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.keys[0].0
    }

    /// Whether a key of this name is there.
    #[must_use]
    pub fn knows(&self, key_name: &str) -> bool {
        self.keys.iter().any(|(name, _)| name == key_name)
    }

    /// Seals `plain` for this row with the first key.
    #[must_use]
    pub fn seal(&self, row: DeliveryId, kind: Kind, plain: &[u8]) -> Sealed {
        let (key_name, cipher) = &self.keys[0];
        let nonce = XNonce::generate();
        let mut bytes = nonce.to_vec();
        let payload = Payload { msg: plain, aad: &associated(row, kind) };
        // Sealing fails only above 256 GiB, and an inbox body is at most a few MiB.
        bytes.extend(cipher.encrypt(&nonce, payload).expect("content is far smaller than the cipher's limit"));
        Sealed { key_name: key_name.clone(), bytes }
    }

    /// Opens what was sealed for this row.
    pub fn open(&self, row: DeliveryId, kind: Kind, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (_, cipher) = self.keys.iter().find(|(name, _)| *name == sealed.key_name).ok_or(OpenError::KeyMissing)?;
        let (nonce, text) = sealed.bytes.split_at_checked(NONCE_BYTES).ok_or(OpenError::Damaged)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| OpenError::Damaged)?;
        let payload = Payload { msg: text, aad: &associated(row, kind) };
        cipher.decrypt(&nonce, payload).map(Zeroizing::new).map_err(|_| OpenError::Damaged)
    }
}

fn associated(row: DeliveryId, kind: Kind) -> Vec<u8> {
    [&row.0.to_be_bytes(), kind.label()].concat()
}

/// A keyed hash of a value, 16 bytes. Without the identity key nobody can count through person numbers to find it.
pub type Digest = [u8; 16];

/// The identity key: random, made at first start, never changed.
pub struct Identity(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(Key::generate().into()))
    }

    /// From the bytes that were sealed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpenError> {
        bytes.try_into().map(|key| Self(Zeroizing::new(key))).map_err(|_| OpenError::Damaged)
    }

    /// For sealing only.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// A keyed hash; `purpose` keeps a number used in two places from giving one hash.
    #[must_use]
    pub fn digest(&self, purpose: &str, value: &[u8]) -> Digest {
        let mut digest = [0; 16];
        digest.copy_from_slice(&self.mac(purpose, value)[..16]);
        digest
    }

    /// The id that we give a new case of this person: always the same, and nobody can tell the number from it.
    #[must_use]
    pub fn case_key(&self, person_number: &str) -> Uuid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.mac("case", person_number.as_bytes())[..16]);
        uuid::Builder::from_sha1_bytes(bytes).into_uuid()
    }

    fn mac(&self, purpose: &str, value: &[u8]) -> [u8; 32] {
        // HMAC takes a key of any length.
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(self.bytes()).expect("HMAC takes any key");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(value);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(fill: u8) -> StateKey {
        StateKey::new(zeroize::Zeroizing::new([fill; 32]))
    }

    #[test]
    fn a_parcel_opens_only_for_its_own_row_and_kind() {
        let sealer = Sealer::new(&[key(1)]);
        let sealed = sealer.seal(DeliveryId(7), Kind::Intervention, b"text");
        assert_eq!(sealer.open(DeliveryId(7), Kind::Intervention, &sealed).unwrap().as_slice(), b"text");
        assert_eq!(sealer.open(DeliveryId(8), Kind::Intervention, &sealed), Err(OpenError::Damaged));
        assert_eq!(sealer.open(DeliveryId(7), Kind::Decision, &sealed), Err(OpenError::Damaged));
        let cut = Sealed { bytes: sealed.bytes[..10].to_vec(), ..sealed };
        assert_eq!(sealer.open(DeliveryId(7), Kind::Intervention, &cut), Err(OpenError::Damaged));
    }

    #[test]
    fn the_first_key_seals_and_every_key_opens() {
        let old = Sealer::new(&[key(1)]);
        let sealed = old.seal(DeliveryId(1), Kind::Decision, b"text");
        let rotated = Sealer::new(&[key(2), key(1)]);
        assert_eq!(rotated.open(DeliveryId(1), Kind::Decision, &sealed).unwrap().as_slice(), b"text");
        assert_ne!(rotated.seal(DeliveryId(1), Kind::Decision, b"text").key_name, sealed.key_name);
        assert_eq!(Sealer::new(&[key(2)]).open(DeliveryId(1), Kind::Decision, &sealed), Err(OpenError::KeyMissing));
    }

    #[test]
    fn two_sealings_of_one_text_differ() {
        let sealer = Sealer::new(&[key(1)]);
        let seal = || sealer.seal(DeliveryId(1), Kind::Intervention, b"text").bytes;
        assert_ne!(seal(), seal());
    }

    #[test]
    fn a_digest_depends_on_key_purpose_and_value() {
        let one = Identity::from_bytes(&[1; 32]).unwrap();
        let other = Identity::from_bytes(&[2; 32]).unwrap();
        assert_eq!(one.digest("number", b"a"), one.digest("number", b"a"));
        assert_ne!(one.digest("number", b"a"), one.digest("number", b"b"));
        assert_ne!(one.digest("number", b"a"), one.digest("person", b"a"));
        assert_ne!(one.digest("number", b"a"), other.digest("number", b"a"));
        assert_eq!(one.case_key("a"), one.case_key("a"));
        assert_ne!(one.case_key("a"), other.case_key("a"));
    }
}
