//! What may be typed after `referrald mapping`. The texts are the help that people read.

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub use super::written::Wanted;
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
    /// Begin a mapping for another country, with a list of everything that it has to decide
    ///
    /// Makes DIR from a mapping that is there: its rules, tables and examples, with version, approval and
    /// confirmations taken out; DECISIONS.md with each decision, who takes it, where it is written and what
    /// the other programme chose, services, protection concerns, agencies and languages first; and settings
    /// to fill in. Nothing is written over, and what cannot be made whole is not made.
    #[command(verbatim_doc_comment, after_help = "Example: referrald mapping new mappings/kakuma --from gambella")]
    New {
        /// The directory to make; the programme is called as it
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// The mapping to begin with: a directory, or the name of one beside DIR, in `mappings`, or installed
        #[arg(long, value_name = "MAPPING")]
        from: PathBuf,
    },
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
    /// Run the examples of a mapping, and show what was expected beside what came out
    ///
    /// The examples lie beside the mapping: invented people, and exactly what must come out of each. Of one
    /// that does not hold, every field that differs is shown with its origin and rule.
    #[command(verbatim_doc_comment, after_help = "Example: referrald mapping test mappings/gambella")]
    Test {
        /// Which mapping.
        #[command(flatten)]
        which: Which,
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
    /// Write the mapping as the sheet that business owners read and sign
    ///
    /// One row a field, with source, rule in words, form, required and default; each value table with
    /// the codes and labels of both sides; a cover with version, digest and signatures. A workbook and
    /// a page are ready to print. CSV holds the fields of all messages: the value tables are CSV already.
    #[command(verbatim_doc_comment, after_help = "Example: referrald mapping sheet mappings/gambella --output gambella.xlsx")]
    Sheet {
        /// Which mapping.
        #[command(flatten)]
        which: Which,
        /// Where to.
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Tell in words what changed between two states of a mapping, newly shared fields first
    ///
    /// OLD and NEW are directories, revisions of git, or REVISION:PATH. A workbook and a page also show
    /// every table with what changed marked in it. Ends with 0 whether they differ or not.
    #[command(
        verbatim_doc_comment,
        after_help = "Example: referrald mapping diff HEAD~1 mappings/gambella --output changes.xlsx"
    )]
    Diff {
        /// What was agreed before
        #[arg(value_name = "OLD")]
        old: String,
        /// What is to be agreed now
        #[arg(value_name = "NEW")]
        new: String,
        /// The mapping that is meant at a revision; without it the other side's directory, else this one
        #[arg(long, value_name = "DIR")]
        mapping: Option<PathBuf>,
        /// Where to.
        #[command(flatten)]
        wanted: Wanted,
    },
}
