//! How much room the state takes, and how much is left on its disk.

use std::fs;

use super::Spool;

impl Spool {
    /// What the state takes on the disk, in bytes: the file and its write-ahead log.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let path = &self.shared.path;
        let log = path.with_extension("sqlite-wal");
        [path, &log].into_iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum()
    }

    /// What is free for us on the disk of the state, in bytes; `None` if it does not say.
    #[must_use]
    pub fn disk_free(&self) -> Option<u64> {
        let disk = nix::sys::statvfs::statvfs(self.shared.path.parent()?).ok()?;
        Some(disk.blocks_available().saturating_mul(disk.fragment_size()))
    }
}
