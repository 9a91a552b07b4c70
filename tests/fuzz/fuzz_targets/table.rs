//! A table of values, as a spreadsheet may have left it.
#![no_main]

mod places;

use std::{cell::LazyCell, fs};

use libfuzzer_sys::fuzz_target;

thread_local! {
    static COPY: LazyCell<places::Copy> = const { LazyCell::new(places::Copy::new) };
}

fuzz_target!(|bytes: &[u8]| {
    COPY.with(|copy| {
        fs::write(copy.file("gambella/tables/service-in.csv"), bytes).expect("the file can be written");
        copy.inspect(bytes);
    });
});
