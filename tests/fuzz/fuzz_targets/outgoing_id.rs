//! `progres_orgreferralid`: what is read is written as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use referrald::referral::{InterventionNumber, OutgoingId};

fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<OutgoingId>() {
        let written = id.to_string();
        assert_eq!(written, written.to_lowercase());
        assert!(written.parse::<OutgoingId>().is_ok_and(|again| again == id), "it is not the same when it is read again");
    }
    if let Ok(number) = text.parse::<InterventionNumber>() {
        assert!(number.as_str().len() <= 64 && number.as_str().is_ascii());
    }
});
