//! Sends a real server everything that anybody on the network could, from a seed, and checks that it holds.
//!
//! For every operation of the service models it makes requests that look valid, with names and ARNs of a world that
//! it has prepared, and breaks them: types, sizes, nesting, ARNs of others, truncated bodies, bad signatures, bytes
//! that are no HTTP, garbage on the agents' sockets. Meanwhile it holds connections open that do next to nothing,
//! and watches how a client fares that behaves.
//!
//! What must hold: never a 5xx, never silence, every error is one that the operation may answer, no panic, memory
//! within a bound, and a refused request changes nothing: the store's revision stands still, and if it moves, the
//! whole state is dumped and compared while the same requests are sent again.
//!
//! Start at `run`. A case is made from the seed and its number alone (`case`), and `verdict` judges the answer.
//!
//! It knows the server only from outside: the binary, its port, its log, its memory.

mod case;
mod chance;
mod client;
mod dump;
mod gate;
mod held;
mod model;
mod others;
mod protocols;
mod run;
mod server;
mod value;
mod verdict;
mod world;

use std::path::PathBuf;

use clap::Parser;

/// Sends a real server everything that a stranger could
#[derive(Debug, Parser)]
struct Args {
    /// Where the cases come from; equal seeds make equal cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many cases
    #[arg(long, default_value_t = 10_000)]
    requests: u64,
    /// Only the case of this number, with all that is said
    #[arg(long)]
    only: Option<u64>,
    /// How many idle and slow connections to hold open meanwhile
    #[arg(long, default_value_t = 2000)]
    held: usize,
    /// Wait at the end until the server has ended all of them
    #[arg(long)]
    see_the_end: bool,
    /// Let the server keep its state on disk
    #[arg(long)]
    durable: bool,
    /// Speak TLS, and break its handshakes
    #[arg(long)]
    tls: bool,
    /// How much the server's memory may grow
    #[arg(long, default_value_t = 256)]
    memory_mib: u64,
    /// The server's program
    #[arg(long, env = "LONGSHORE_BIN", default_value = "target/debug/longshore")]
    bin: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    run::run(&run::Options {
        binary: args.bin,
        seed: args.seed,
        requests: args.requests,
        only: args.only,
        held: args.held,
        see_the_end: args.see_the_end,
        durable: args.durable,
        tls: args.tls,
        memory_mib_max: args.memory_mib,
    })
}
