//! What may be typed after `referrald mapping`. The texts are the help that people read.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Which mapping.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// The programme's directory; without it the one that the configuration names, else this one
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// The configuration of the programme
    #[arg(long, value_name = "FILE", env = "REFERRALD_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
}

/// What to do with a mapping.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Tell everything that is wrong with a mapping, in file order, with the remedy
    ///
    /// Reads the programme's files with their base and runs the examples. Problems keep the daemon from
    /// starting; warnings are for somebody to look at; notes say what the programme changed.
    #[command(verbatim_doc_comment, after_help = "Example: referrald mapping check mappings/gambella")]
    Check {
        /// Which mapping.
        #[command(flatten)]
        which: Which,
    },
    /// Print version and digest of what is in force, with the lines that record an approval
    #[command(after_help = "Example: referrald mapping digest mappings/gambella")]
    Digest {
        /// Which mapping.
        #[command(flatten)]
        which: Which,
    },
}
