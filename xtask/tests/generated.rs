//! The committed generated code is what `cargo xtask codegen` makes of the committed models; and xtask refuses what it
//! does not know.

use std::process::Command;

#[test]
fn codegen_is_up_to_date() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_xtask")).args(["codegen", "--check"]).output().expect("xtask runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_unknown_command_fails_with_the_help() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_xtask")).arg("no-such-command").output().expect("xtask runs");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("codegen"));
}
