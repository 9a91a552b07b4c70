//! Values about a person, dressed so that they cannot be shown by accident.
//!
//! The wrapper does not encrypt and does not wipe: it only keeps a value out of every `Debug`.

use std::fmt;

/// A value of a record. Its `Debug` says nothing; it has no `Display`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Dresses a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that has to see it.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// Undresses the value.
    pub fn into_revealed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Personal(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?}", Personal::new("Marker-Name")), "Personal(…)");
    }
}
