//! The program `longshore`; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    longshore::main()
}
