//! A configuration file: settings, or every reason why not.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use referrald::config::Settings;

fuzz_target!(|text: &str| {
    if let Err(problems) = Settings::from_text(Path::new("/etc/referrald/referrald.toml"), text, []) {
        assert!(!problems.to_string().trim().is_empty(), "refused without a reason");
    }
});
