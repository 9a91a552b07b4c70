//! What may be typed after `referrald mapping`. The texts are the help that people read.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{command::arguments::code, mapping::examples::Kind};

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
        /// Also compare it with Primero: fields, options with their labels, users; needs `--config`
        #[arg(long)]
        live: bool,
    },
    /// Show what the mapping makes of one document
    ///
    /// Reads a document as the other side gives it, and prints what becomes of it: each field with its
    /// origin and rule, and everything that is missing. Nothing is sent, stored or logged; what is
    /// printed is the document's content, so mind who looks over your shoulder.
    #[command(
        verbatim_doc_comment,
        after_help = "Example: referrald mapping try intervention post.json --mapping mappings/gambella"
    )]
    Try {
        /// What kind of document it is
        #[arg(value_name = "FLOW", value_parser = code(Kind::ALL, Kind::code, Kind::from_code))]
        kind: Kind,
        /// The document as JSON; without it, or with `-`, standard input
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The programme's directory; without it the one that the configuration names, else this one
        #[arg(long, value_name = "DIR")]
        mapping: Option<PathBuf>,
        /// The configuration of the programme
        #[arg(long, value_name = "FILE", env = "REFERRALD_CONFIG", hide_env_values = true)]
        config: Option<PathBuf>,
    },
    /// List which data elements are exchanged, from where, for which services and under which agreement
    #[command(after_help = "Example: referrald mapping fields mappings/gambella")]
    Fields {
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
