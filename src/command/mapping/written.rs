//! Where a sheet goes, and in which format.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    command::{Failure, arguments::code, plain::Plain, unwritable},
    sheet::{Book, Format},
};

/// In which format, and where to.
#[derive(Args, Clone, Debug)]
pub struct Wanted {
    /// The format; without it the one of the file's name, else markdown
    #[arg(long, value_name = "FORMAT", value_parser = code(Format::ALL, Format::code, Format::from_code))]
    pub format: Option<Format>,
    /// The file to write; without it standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl Wanted {
    fn format(&self) -> Format {
        let ending = self.output.as_deref().and_then(Path::extension).and_then(|ending| ending.to_str());
        let by_name = ending.and_then(|ending| match ending.to_ascii_lowercase().as_str() {
            "htm" => Some(Format::Html),
            "md" => Some(Format::Markdown),
            other => Format::from_code(other),
        });
        self.format.or(by_name).unwrap_or(Format::Markdown)
    }

    /// A workbook is nothing for a terminal.
    pub(super) fn possible(&self) -> Result<(), Failure> {
        if self.format() == Format::Xlsx && self.output.is_none() && io::stdout().is_terminal() {
            return Err(Failure::usage("a workbook cannot be shown on a terminal (hint: `--output sheet.xlsx`)"));
        }
        Ok(())
    }

    /// Writes the book.
    pub(super) fn write(&self, book: &Book) -> Result<(), Failure> {
        let bytes = book.written(self.format()).map_err(Failure::failed)?;
        match &self.output {
            Some(file) => fs::write(file, bytes)
                .map_err(|error| Failure::failed(format!("{} cannot be written: {}", file.display(), error.kind()))),
            None => match Plain::stdout().write_all(&bytes).and_then(|()| io::stdout().flush()) {
                // Whoever reads has read enough.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritable(&error)),
                Ok(()) | Err(_) => Ok(()),
            },
        }
    }
}

/// What people call the programme: the name of its directory.
pub(super) fn programme(directory: &Path) -> String {
    let whole = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    whole.file_name().map_or_else(|| "mapping".to_owned(), |name| name.to_string_lossy().into_owned())
}
