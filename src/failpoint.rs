//! Fail points: where a test may break the process off, between any two things that it does outside itself.
//!
//! They stand where the outside begins: before and after each request, and inside and after each transaction. So a new request
//! or a new transaction has its fail points without anybody thinking of them, named after what it is.
//! They are compiled only where debug assertions and the sandbox are: a package for production has neither, and holds none.

pub use inner::{Step, pass};

/// Where in a step the process stands.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// A request is about to be made.
    Asking,
    /// A request was answered, and nothing was made of the answer yet.
    Answered,
    /// A transaction is written and not yet committed.
    Written,
    /// It is committed, and nobody knows yet.
    Committed,
    /// The log and the agenda know; whoever waits for it does not.
    Told,
}

#[cfg(all(feature = "sandbox", debug_assertions))]
mod inner {
    use std::{
        collections::HashMap,
        fs,
        io::Write,
        path::PathBuf,
        sync::{LazyLock, Mutex, PoisonError},
    };

    use super::Moment;

    /// The variable that names the directory of a test. There, `passed` gets a line for each fail point passed; while `armed` is
    /// there and reads `3 NAME`, the third passing of that fail point since the file was written aborts the process; with a second
    /// line it panics there with that line instead.
    const VARIABLE: &str = "REFERRALD_FAILPOINTS";

    static TEST: LazyLock<Option<Mutex<Test>>> = LazyLock::new(|| {
        let directory = PathBuf::from(std::env::var_os(VARIABLE)?);
        Some(Mutex::new(Test { directory, armed: String::new(), passed: HashMap::new() }))
    });

    struct Test {
        directory: PathBuf,
        armed: String,
        passed: HashMap<String, u32>,
    }

    /// What is done: a request, or a transaction.
    #[derive(Clone, Debug)]
    pub struct Step(String);

    impl Step {
        /// A transaction, named after the function that wants it.
        pub fn of<Work>() -> Self {
            Self(std::any::type_name::<Work>().replace("referrald::", "").replace("::{{closure}}", ""))
        }

        /// A request, named by method and path; ids in the path are left out.
        pub fn request(system: &str, method: &str, path: &str) -> Self {
            let path = path.split('?').next().unwrap_or_default();
            let parts = path.split('/').map(|part| if part.len() == 36 { "*" } else { part });
            Self(format!("{system} {method} {}", parts.collect::<Vec<_>>().join("/")))
        }
    }

    /// Passes a fail point, or ends here.
    pub fn pass(step: &Step, moment: Moment) {
        let Some(test) = &*TEST else { return };
        let mut test = test.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{} {moment:?}", step.0);
        let armed = fs::read_to_string(test.directory.join("armed")).unwrap_or_default();
        if armed != test.armed {
            test.passed.clear();
            test.armed.clone_from(&armed);
        }
        let times = test.passed.entry(name.clone()).or_default();
        *times += 1;
        let (order, payload) = armed.split_once('\n').map_or((armed.as_str(), None), |(order, payload)| (order, Some(payload)));
        let ends = order.split_once(' ').is_some_and(|(which, what)| what == name && which.parse() == Ok(*times));
        let passed = fs::OpenOptions::new().create(true).append(true).open(test.directory.join("passed"));
        // Without its directory a test sees that nothing was passed.
        let _ = passed.and_then(|mut file| writeln!(file, "{name}"));
        match payload {
            Some(payload) if ends => std::panic::panic_any(payload.to_owned()),
            None if ends => std::process::abort(),
            Some(_) | None => {}
        }
    }
}

#[cfg(not(all(feature = "sandbox", debug_assertions)))]
mod inner {
    /// Nothing.
    #[derive(Clone, Debug)]
    pub struct Step;

    impl Step {
        /// Nothing.
        #[expect(clippy::extra_unused_type_parameters, reason = "the other one tells its name")]
        pub const fn of<Work>() -> Self {
            Self
        }

        /// Nothing.
        pub const fn request(_: &str, _: &str, _: &str) -> Self {
            Self
        }
    }

    /// Does nothing.
    pub const fn pass(_: &Step, _: super::Moment) {}
}
