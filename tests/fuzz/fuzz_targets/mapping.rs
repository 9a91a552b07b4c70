//! The files of rules of a mapping. The first byte chooses which.
#![no_main]

mod places;

use std::{cell::LazyCell, fs};

use libfuzzer_sys::fuzz_target;

const FILES: [&str; 6] = [
    "base/intervention.toml",
    "base/referral.toml",
    "base/feedback.toml",
    "base/reasons.toml",
    "gambella/mapping.toml",
    "gambella/intervention.toml",
];

thread_local! {
    static COPY: LazyCell<places::Copy> = const { LazyCell::new(places::Copy::new) };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    COPY.with(|copy| {
        let file = copy.file(FILES[usize::from(*which) % FILES.len()]);
        let whole = fs::read(&file).expect("the file is there");
        fs::write(&file, text).expect("the file can be written");
        copy.inspect(text);
        fs::write(&file, whole).expect("the file can be written");
    });
});
