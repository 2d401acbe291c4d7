//! What the program prints. Data goes to stdout, and whoever asked for it has to hear of it when it does not get
//! there; everything else goes to stderr, where nobody is left to complain to.
//!
//! The macros of the standard library panic when they cannot print, so no module of this crate uses them.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use anyhow::Context;

use crate::keys;

/// Who reads stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    Listens,
    /// It has closed its end of the pipe, as `head` does once it has seen enough. That is no failure, but whatever
    /// prints again and again should end.
    Gone,
}

/// Prints to stdout, at once.
///
/// # Errors
/// It cannot be written, because the disk under it is full, say.
pub fn print(text: &str) -> anyhow::Result<Reader> {
    print_to(&mut io::stdout().lock(), text)
}

fn print_to(out: &mut dyn Write, text: &str) -> anyhow::Result<Reader> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error).context("cannot write to stdout; free some space there, or print elsewhere"),
    }
}

/// A path as it is typed at a shell.
pub fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@".contains(c);
    if text.chars().all(is_plain) { text } else { keys::quoted(&text) }
}

/// A line on stderr; `tell!` makes one.
pub fn tell_line(text: fmt::Arguments<'_>) {
    // The log goes to stderr as well: there is nowhere to say that it is closed or full.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// As `eprintln!`, but what cannot be printed is left out.
macro_rules! tell {
    ($($text:tt)*) => { $crate::out::tell_line(format_args!($($text)*)) };
}
pub(crate) use tell;

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        assert_eq!(print_to(&mut Vec::new(), "x").expect("it is taken"), Reader::Listens);
        assert_eq!(print_to(&mut Broken(ErrorKind::BrokenPipe), "x").expect("no failure"), Reader::Gone);
        let error = print_to(&mut Broken(ErrorKind::StorageFull), "x").expect_err("it is lost");
        assert!(error.to_string().starts_with("cannot write to stdout"), "{error}");
    }
}
