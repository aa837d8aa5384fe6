//! Answers on standard output.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Print a line. Where nobody reads any more (`| head`), the process ends: there is nothing left to do.
pub(crate) fn say(line: impl Display) {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Ok(()) | Err(_) => {}
    }
}
