//! The state keys over time: which of them the state needs, and how others take their place while it is in use.

use std::sync::{Arc, atomic::Ordering};

use rusqlite::Connection;

use super::{Error, Spool, Tx, seal::Kind, seal::Sealer};
use crate::referral::DeliveryId;

/// Why other keys cannot take the place of those in use. They stay.
#[derive(Debug, thiserror::Error)]
pub enum KeysRefused {
    /// Content waits that was sealed with this key, and it is not among them.
    #[error(
        "the state key `{0}` that this state needs is not among state.key_files (hint: add the old key file after the new one; it may go \
         when nothing waits that it sealed)"
    )]
    Missing(String),
    /// The state failed.
    #[error(transparent)]
    State(#[from] Error),
}

impl Spool {
    /// The name of a key that waiting content needs and that is not among these.
    pub fn missing_key(&self, sealer: &Sealer) -> Result<Option<String>, Error> {
        self.read(|reading| missing_key(reading.connection, sealer))
    }

    /// From now on these keys: the first seals, all open. What else is to change with them is stored in the same transaction.
    ///
    /// Content is sealed by the writer alone, so nothing can be sealed in between with a key that is gone.
    pub async fn change_keys<F>(&self, sealer: Sealer, also: F) -> Result<(), KeysRefused>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<(), Error> + Send + 'static,
    {
        let before = self.shared.sealer();
        let both = Arc::new(before.and(&sealer));
        let sealer = Arc::new(sealer);
        let changed = self
            .write(move |tx| {
                if let Some(name) = missing_key(tx.connection, &sealer)? {
                    return Ok(Err(KeysRefused::Missing(name)));
                }
                tx.shared.exchange_sealer(Arc::clone(&sealer));
                tx.seal_identity(&sealer)?;
                also(tx)?;
                Ok(Ok(()))
            })
            .await;
        if changed.is_err() {
            // Whatever was sealed meanwhile can still be opened.
            self.shared.exchange_sealer(both);
        }
        changed?
    }

    /// From now on the state may grow to so many bytes.
    pub fn allow_size(&self, max_size: u64) {
        self.shared.max_size.store(max_size, Ordering::Relaxed);
    }
}

impl Tx<'_> {
    /// Seals the identity key with the first of these keys.
    fn seal_identity(&self, sealer: &Sealer) -> Result<(), Error> {
        store_identity(self.connection, &sealer.seal(DeliveryId(0), Kind::Identity, self.shared.identity.bytes()))
    }
}

/// Stores the sealed identity key in place of the one before.
pub(super) fn store_identity(connection: &Connection, sealed: &super::seal::Sealed) -> Result<(), Error> {
    connection.execute(
        "INSERT INTO identity VALUES (1, ?1, ?2) ON CONFLICT (one) DO UPDATE SET key_name = ?1, sealed = ?2",
        (&sealed.key_name, &sealed.bytes),
    )?;
    Ok(())
}

/// The name of a key that a waiting parcel needs and that is not configured.
pub(super) fn missing_key(connection: &Connection, sealer: &Sealer) -> Result<Option<String>, Error> {
    let mut statement = connection.prepare("SELECT DISTINCT key_name FROM parcels")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    Ok(names.into_iter().find(|name| !sealer.knows(name)))
}
