//! What DTP may answer. The first byte chooses the status. It is "taken" only with a success.
#![no_main]

mod answering;

use std::cell::LazyCell;

use libfuzzer_sys::fuzz_target;
use referrald::{clock::Clock, credentials, dtp::Client, mapping::Document};
use tokio::runtime::Runtime;

const STATUS: [u16; 8] = [200, 202, 204, 301, 400, 403, 429, 500];

thread_local! {
    static RUNTIME: LazyCell<Runtime> = const { LazyCell::new(answering::runtime) };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, body)) = bytes.split_first() else { return };
    let status = STATUS[usize::from(which % 8)];
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let settings = answering::settings(answering::answer(status, body).await);
            let tls = credentials::tls_client_config(None, None).expect("the roots of this machine");
            let client = Client::new(&settings.dtp, tls, "key", Some("0000"), Clock::system()).expect("a client");
            let taken = client.send_decision(&Document::default()).await;
            assert!(taken.is_err() || status < 300, "a refusal was believed to be a success");
        });
    });
});
