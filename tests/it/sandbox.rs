//! `referrald sandbox` as a newcomer meets it: every flow in words, the right exit code, and no trace afterwards.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// The sandbox in a process of its own, whose temporary folders lie in this one.
fn sandbox(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_referrald"));
    command.arg("sandbox").args(arguments).env_clear().env("TMPDIR", folder);
    command
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

fn is_empty(folder: &TempDir) -> bool {
    fs::read_dir(folder.path()).expect("it is ours").next().is_none()
}

/// What whoever watches has to be told.
const TOLD: [&str; 18] = [
    "was opened in Primero: a new case was made",
    "was opened in Primero: the service was added to the case that was there",
    "SANDBOX-0004 was refused: required fields are missing.",
    "SANDBOX-0004 was refused: the service type is not on the agreed list.",
    "SANDBOX-0006 waits for a person: several cases carry this UNHCR number",
    "1 item of post ",
    "SANDBOX-0001 came again, unchanged; nothing was done.",
    "The decision on the referral from UNHCR SANDBOX-0003 was sent to UNHCR.",
    "was sent to UNHCR, with consent.",
    "was not sent to UNHCR: consent or assent to share with UNHCR is not recorded.",
    "waits for a person: the referral was made by exception, without consent.",
    "was recorded in Primero.",
    "was withdrawn after it was sent",
    "   3  Referral from UNHCR: delivered\n",
    "   2  Referral to UNHCR: delivered\n",
    ": not sent to UNHCR: waits for a person\n",
    ": not sent to UNHCR: withheld\n",
    ": withdrawn after it was sent: UNHCR has NOT been told by this system\n",
];

#[test]
fn every_flow_is_played_and_told_in_words_and_nothing_is_left_behind() {
    for programme in ["gambella", "dadaab"] {
        let folder = folder();
        let output =
            sandbox(&["--once", "--programme", programme], folder.path()).output().expect("it was built beside this test");
        let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
        let (told, said) = (text(output.stdout), text(output.stderr));
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{told}");
        for sentence in TOLD {
            assert!(told.contains(sentence), "{programme}: {sentence}\n{told}");
        }
        assert!(told.ends_with("All errands are settled, or wait on the operator's list as they should.\n"), "{told}");
        assert!(is_empty(&folder), "{programme}: something is left behind");
    }
}

/// Ends with the test, whatever becomes of that.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_stays_up_takes_the_post_that_it_prints_and_leaves_nothing_behind() {
    let folder = folder();
    let process = sandbox(&[], folder.path()).stdout(Stdio::piped()).spawn().expect("it was built beside this test");
    let mut running = Running(process);
    let mut lines = BufReader::new(running.0.stdout.take().expect("it was piped")).lines();
    let mut until = |text: &str| loop {
        let line = lines.next().expect("it goes on").expect("it speaks UTF-8");
        if line.contains(text) {
            return line;
        }
    };
    let inbox = until("Inbox: ");
    let key = until("Key: ");
    let line = until("curl -si ");

    // A shell takes the line apart at its quotes.
    let parts: Vec<&str> = line.split('\'').collect();
    let [command, key_header, _, content_type, _, body, ""] = parts[..] else { panic!("{line}") };
    let url = command.split_whitespace().nth(2).expect("an address");
    assert!(inbox.ends_with(url), "{inbox}");
    let (name, value) = key_header.split_once(": ").expect("a header");
    assert!(key.ends_with(value), "{key}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let post = reqwest::Client::new().post(url).header(name, value).body(body.to_owned());
    let (content, json) = content_type.split_once(": ").expect("a header");
    let answer = runtime.block_on(post.header(content, json).send()).expect("it answers");
    assert_eq!(answer.status().as_u16(), 202);
    assert!(until("SANDBOX-0099 was opened in Primero").contains("a new case was made"));

    let interrupted = Command::new("kill").args(["-s", "INT", &running.0.id().to_string()]).status().expect("there is a kill");
    assert!(interrupted.success());
    assert_eq!(running.0.wait().expect("it ends").code(), Some(0));
    assert!(is_empty(&folder), "something is left behind");
}
