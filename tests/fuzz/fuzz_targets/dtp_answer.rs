//! What DTP may answer. The first byte chooses the status. It is "taken" only with a success.
#![no_main]

mod answering;

use std::cell::LazyCell;

use answering::Stage;
use libfuzzer_sys::fuzz_target;
use referrald::{clock::Clock, credentials, dtp::Client, mapping::Document};

const STATUS: [u16; 8] = [200, 202, 204, 301, 400, 403, 429, 500];

thread_local! {
    static STAGE: LazyCell<(Stage, Client)> = const { LazyCell::new(set) };
}

fn set() -> (Stage, Client) {
    let stage = Stage::new();
    let tls = credentials::tls_client_config(None, None).expect("the roots of this machine");
    let client = Client::new(&stage.settings.dtp, tls, "key", Some("0000"), Clock::system()).expect("a client");
    (stage, client)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, body)) = bytes.split_first() else { return };
    let status = STATUS[usize::from(which % 8)];
    STAGE.with(|set| {
        let (stage, client) = &**set;
        stage.answer(status, body);
        let taken = stage.runtime.block_on(client.send_decision(&Document::default()));
        assert!(taken.is_err() || status < 300, "a refusal was believed to be a success");
    });
});
