//! Text for a terminal: nothing in it moves a cursor, changes a colour or turns the direction of reading.
//!
//! What other systems say (a case number, a label, a subject) may hold anything. A pipe gets everything as it is.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Stdout, Write},
};

/// Stands for what must not reach a terminal.
const INSTEAD: char = '\u{fffd}';

/// The text without anything that a terminal would obey, line breaks and tabs aside.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let obeyed = |character: char| {
        character.is_control() && !matches!(character, '\n' | '\t')
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(obeyed) { Cow::Owned(text.replace(obeyed, &INSTEAD.to_string())) } else { Cow::Borrowed(text) }
}

/// A place to write to that keeps a terminal plain.
#[derive(Debug)]
pub struct Plain<W> {
    out: W,
    terminal: bool,
}

impl Plain<Stdout> {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        let out = io::stdout();
        let terminal = out.is_terminal();
        Self { out, terminal }
    }
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.terminal {
            return self.out.write(bytes);
        }
        // Whoever writes here writes text, piece by piece, each of them whole.
        self.out.write_all(plain(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left_and_a_pipe_gets_everything() {
        let hostile = "TEST-1\u{1b}[2J\u{9b}31m\u{7}\r\u{202e}evil\u{2066}\ttab\nn\u{e9}";
        let shown = |terminal| {
            let mut out = Vec::new();
            write!(Plain { out: &mut out, terminal }, "a {hostile} z").unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(false), format!("a {hostile} z"));
        assert_eq!(shown(true), "a TEST-1\u{fffd}[2J\u{fffd}31m\u{fffd}\u{fffd}\u{fffd}evil\u{fffd}\ttab\nn\u{e9} z");
    }
}
