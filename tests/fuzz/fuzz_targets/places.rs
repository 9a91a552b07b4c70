//! A copy of the mappings, in which one file is what the fuzzer says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use referrald::mapping::Mapping;
use tempfile::TempDir;

/// A copy of `mappings/` in memory, if this machine has a place for that.
pub struct Copy(TempDir);

impl Copy {
    /// Base and Gambella, without the examples: with nearly two hundred of them the fuzzer would try one input a second.
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let copy = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a folder");
        let mappings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../mappings");
        for below in ["base", "base/tables", "gambella", "gambella/tables"] {
            fs::create_dir_all(copy.path().join(below)).expect("a folder");
            let Ok(files) = fs::read_dir(mappings.join(below)) else { continue };
            for file in files.map(|file| file.expect("a file").path()).filter(|file| file.is_file()) {
                fs::copy(&file, copy.path().join(below).join(file.file_name().expect("a name"))).expect("a copy");
            }
        }
        Self(copy)
    }

    /// A file of it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Every finding has a sentence, and the same files give the same findings (asked of one input in sixteen: it takes twice as long).
    pub fn inspect(&self, input: &[u8]) {
        let programme = self.file("gambella");
        let found = || Mapping::inspect(&programme).1.iter().map(ToString::to_string).collect::<Vec<_>>();
        let findings = found();
        assert!(findings.iter().all(|finding| !finding.trim().is_empty()));
        if input.len().is_multiple_of(16) {
            assert_eq!(findings, found());
        }
    }
}
