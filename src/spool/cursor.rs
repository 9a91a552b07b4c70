//! How far changed cases were read, as a person sees and moves it. Walks move it themselves, with the looks that they make.

use chrono::{DateTime, Utc};

use super::{Error, Reading, Tx, row::Cells};
use crate::referral::{Walk, codes};

codes! {
    /// Why a person moves a cursor.
    Moving {
        /// The state was restored from a copy.
        Restored = "restored",
        /// Changes were missed.
        Missed = "missed",
        /// Mapping, lists or rights were put right.
        Corrected = "corrected",
        /// Another system did this work until then.
        CutOver = "cut_over",
    }
}

/// How far one module was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// By which walk.
    pub walk: Walk,
    /// Primero's module.
    pub module: String,
    /// Primero's time up to which every change was read.
    pub position: DateTime<Utc>,
}

impl Reading<'_> {
    /// Every cursor that was ever stored.
    pub fn cursors(&self) -> Result<Vec<Cursor>, Error> {
        let mut statement =
            self.connection.prepare_cached("SELECT walk, module, position FROM cursors ORDER BY walk DESC, module")?;
        let rows = statement.query_map([], |row| {
            let mut cells = Cells::of(row);
            Ok(Cursor {
                walk: cells.code(Walk::from_code)?.ok_or_else(|| cells.unreadable())?,
                module: cells.get()?,
                position: cells.time()?.ok_or_else(|| cells.unreadable())?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Tx<'_> {
    /// Sets the cursor of a walk for these modules. What is read again is looked at again, also where nothing has changed since.
    pub fn move_cursor(&mut self, walk: Walk, modules: &[String], to: DateTime<Utc>) -> Result<(), Error> {
        for module in modules {
            self.connection.execute("DELETE FROM seen WHERE walk = ?1 AND module = ?2", (walk.code(), module))?;
            self.set_cursor(walk, module, to)?;
        }
        Ok(())
    }
}
