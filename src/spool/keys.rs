//! The state keys over time: which of them the state needs, and how others take their place while it is in use.

use std::sync::{Arc, atomic::Ordering};

use rusqlite::Connection;

use super::{
    Error, Spool, Tx,
    seal::{Kind, Sealed, Sealer},
};
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

/// What a rotation has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// The name of the key that seals everything now.
    pub first: String,
    /// How much was sealed anew.
    pub sealed_anew: u64,
    /// What cannot be opened, and so still needs the key that it names.
    pub left: Vec<(DeliveryId, String)>,
}

/// How many parcels one transaction seals anew: posts are stored between two of them.
const AT_A_TIME: u32 = 200;

impl Spool {
    /// The name of the key that seals now.
    #[must_use]
    pub fn first_key(&self) -> String {
        self.shared.sealer().first().to_owned()
    }

    /// Seals the identity key and everything that waits with the first key, so that no other is needed any more.
    pub async fn rotate(&self, who: String) -> Result<Rotated, Error> {
        let mut rotated = Rotated { first: self.first_key(), ..Rotated::default() };
        let mut after = DeliveryId(0);
        loop {
            let (last, anew, left) = self.write(move |tx| tx.seal_anew(after)).await?;
            rotated.sealed_anew += anew;
            rotated.left.extend(left);
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        let count = Some(rotated.sealed_anew);
        self.write(move |tx| {
            let sealer = tx.shared.sealer();
            tx.seal_identity(&sealer)?;
            tx.want_checkpoint();
            tx.tell_of_operator(&who, None, count)
        })
        .await?;
        Ok(rotated)
    }
}

/// The last delivery that was looked at, how much was sealed anew, and what could not be.
type SealedAnew = (Option<DeliveryId>, u64, Vec<(DeliveryId, String)>);

impl Tx<'_> {
    fn seal_anew(&mut self, after: DeliveryId) -> Result<SealedAnew, Error> {
        let sealer = self.shared.sealer();
        let mut statement = self.connection.prepare_cached(
            "SELECT p.delivery, d.errand = 'record_decision', p.key_name, p.sealed FROM parcels p JOIN deliveries d ON d.id = p.delivery
             WHERE p.delivery > ?1 AND p.key_name <> ?2 ORDER BY p.delivery LIMIT ?3",
        )?;
        let mut rows = statement.query((after.0, sealer.first(), AT_A_TIME))?;
        let (mut last, mut anew, mut left) = (None, 0, Vec::new());
        while let Some(row) = rows.next()? {
            let id = DeliveryId(row.get(0)?);
            let kind = if row.get(1)? { Kind::Decision } else { Kind::Intervention };
            let sealed = Sealed { key_name: row.get(2)?, bytes: row.get(3)? };
            last = Some(id);
            match sealer.open(id, kind, &sealed) {
                Ok(plain) => {
                    let Sealed { key_name, bytes } = sealer.seal(id, kind, &plain);
                    self.connection
                        .prepare_cached("UPDATE parcels SET key_name = ?2, sealed = ?3 WHERE delivery = ?1")?
                        .execute((id.0, key_name, bytes))?;
                    anew += 1;
                }
                Err(_) => left.push((id, sealed.key_name)),
            }
        }
        Ok((last, anew, left))
    }
}

/// Stores the sealed identity key in place of the one before.
pub(super) fn store_identity(connection: &Connection, sealed: &Sealed) -> Result<(), Error> {
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
