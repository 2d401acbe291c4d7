//! What has to hold for any bytes that a stranger sends.
//!
//! Each [`Target`] takes bytes and panics if a promise about one parser is broken: not only that it survives, but
//! that printing undoes parsing, that what is decoded encodes to the same again, that a genuine signature stops
//! being one when anything changes, that answers stay in proportion to questions. Who finds the bytes is another
//! matter: libFuzzer does, guided by coverage, in the workspace `fuzz/`; `tests/corpus.rs` replays what it found,
//! with every `cargo test`.
//!
//! Start at [`TARGETS`]. To add one: a module with a function here, a line in the table, the three lines of
//! `fuzz/fuzz_targets/NAME.rs`, and a few seeds in `fuzz/corpus/NAME/`.
//!
//! Invariants: a target is a pure function of its input; it allocates in proportion to it; crates that do I/O are no
//! dependencies here, because the instrumented build has to stay light.

mod bodies;
mod chunks;
mod ciphertexts;
mod definition;
mod identities;
mod link;
mod names;
mod policies;
mod protocols;
mod query;
mod route;
mod selectors;
mod sessions;
mod settings;
mod signature;
mod tokens;

/// Something that strangers' bytes reach, with what is promised about it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Also the name of its program and of its corpus.
    pub name: &'static str,
    /// Panics if a promise is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "bodies", run: bodies::run },
    Target { name: "chunks", run: chunks::run },
    Target { name: "ciphertexts", run: ciphertexts::run },
    Target { name: "definition", run: definition::run },
    Target { name: "identities", run: identities::run },
    Target { name: "link", run: link::run },
    Target { name: "names", run: names::run },
    Target { name: "policies", run: policies::run },
    Target { name: "protocols", run: protocols::run },
    Target { name: "query", run: query::run },
    Target { name: "route", run: route::run },
    Target { name: "selectors", run: selectors::run },
    Target { name: "sessions", run: sessions::run },
    Target { name: "settings", run: settings::run },
    Target { name: "signature", run: signature::run },
    Target { name: "tokens", run: tokens::run },
];

/// Runs the target of this name.
///
/// # Panics
/// If a promise is broken, and if there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the name of a target");
    (target.run)(bytes);
}

/// Splits off the first line, as text: targets that have several things to try let it choose.
fn first_line(bytes: &[u8]) -> (&str, &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let rest = bytes.get(end + 1..).unwrap_or_default();
    (std::str::from_utf8(&bytes[..end]).unwrap_or_default(), rest)
}
