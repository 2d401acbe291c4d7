//! The run: case after case, with what must hold between them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use longshore_base::Seed;

use crate::case::{Case, Class, Maker};
use crate::chance::Chance;
use crate::client::{Connection, Outcome};
use crate::dump::dump;
use crate::held::{HeldConnections, SLOW_LIFE_MAX, Witness};
use crate::model::Model;
use crate::others;
use crate::server::Server;
use crate::verdict::{Verdict, judge};
use crate::world::World;

/// After how many cases at most the state is compared.
const COMPARE_EVERY: usize = 50;

/// How often a change of the state is looked at again before refused requests are blamed for it: the control
/// plane works by itself too, for a moment after something was accepted.
const COMPARE_TRIES: usize = 4;

/// After how many cases the world is put in order again, because what looked valid may have deleted it.
const PREPARE_EVERY: u64 = 2000;

/// How many more files may be open after a run than before it: the store's, and connections of this program.
const FILES_SLACK: u64 = 32;

#[derive(Clone, Debug)]
pub struct Options {
    pub binary: PathBuf,
    pub seed: u64,
    pub requests: u64,
    /// Only this case.
    pub only: Option<u64>,
    /// Connections that are held open meanwhile.
    pub held: usize,
    /// Wait until the server has ended every held connection.
    pub see_the_end: bool,
    pub durable: bool,
    pub tls: bool,
    /// How much memory the server may take above what it had before the run.
    pub memory_mib_max: u64,
}

/// How the cases of one class ended.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    cases: u64,
    done: u64,
    refused: u64,
    closed: u64,
    slowest: Duration,
}

struct Run<'m> {
    options: &'m Options,
    server: Server,
    maker: Maker<'m>,
    connection: Option<Connection>,
    tallies: BTreeMap<Class, Tally>,
    /// What was sent since the state was last compared and must not have changed it.
    since: Vec<Case<'m>>,
    /// The state's revision and its dump, then.
    revision: u64,
    memory_before_kib: u64,
    files_before: u64,
    files_most: u64,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let (model, others) = (Model::ecs()?, others::all()?);
    let server = Server::start(&options.binary, options.durable, options.tls)?;
    let world = World::prepare(&server.caller).context("the world could not be prepared")?;
    let caller = server.caller.clone();
    let maker = Maker { model: &model, others: &others, world, caller: caller.clone() };
    let (memory_before_kib, _) = server.memory_kib()?;
    let files_before = server.files()?;
    let mut run = Run {
        options,
        revision: 0,
        server,
        maker,
        connection: None,
        tallies: BTreeMap::new(),
        since: Vec::new(),
        memory_before_kib,
        files_before,
        files_most: files_before,
    };
    run.settle()?;
    if let Some(number) = options.only {
        return run.explain(number);
    }
    let mut held = HeldConnections::open_all(run.server.gate(), options.held, options.seed);
    eprintln!("{} connections are held open; {} KiB were resident before", held.count(), memory_before_kib);
    let witness = Witness::start(caller);
    let began = Instant::now();
    let mut ticked = Instant::now();
    for number in 0..options.requests {
        if number % PREPARE_EVERY == PREPARE_EVERY - 1 {
            run.compare()?;
            run.maker.world =
                World::repair(&run.maker.caller).context("the world could not be put in order")?;
            run.settle()?;
            progress(number, options.requests, began, run.server.memory_kib()?.0);
        }
        run.one(number)?;
        if ticked.elapsed() > Duration::from_secs(1) {
            ticked = Instant::now();
            held.tick();
            held.break_handshakes();
            run.check_process()?;
        }
    }
    run.compare()?;
    let took = began.elapsed();
    eprintln!();
    // The well-behaved client's, this one's, and the one that asks.
    let served = 3;
    let patience = SLOW_LIFE_MAX.max(took + Duration::from_secs(5));
    while options.see_the_end && (held.count() > 0 || run.server.metric("longshore_connections")? > served) {
        ensure!(
            held.age() < patience,
            "{} connections that do nothing are still open after {SLOW_LIFE_MAX:?}, the server counts {}",
            held.count(),
            run.server.metric("longshore_connections")?
        );
        std::thread::sleep(Duration::from_millis(500));
        held.tick();
    }
    let times = witness.finish()?;
    if options.see_the_end {
        let files = run.server.files()?;
        let limit = run.files_before + FILES_SLACK;
        ensure!(
            files <= limit,
            "{files} files are open although all connections have ended, more than {limit}"
        );
    }
    run.check_process()?;
    run.check_quiet()?;
    run.report(took, &held, &times)
}

fn progress(number: u64, of: u64, began: Instant, memory_kib: u64) {
    let rate = number as f64 / began.elapsed().as_secs_f64();
    eprint!("\r{number} of {of}, {rate:.0}/s, {} MiB resident  ", memory_kib / 1024);
    // Progress that cannot be shown is no reason to stop.
    let _ = std::io::stderr().flush();
}

impl<'m> Run<'m> {
    fn case(&self, number: u64) -> Case<'m> {
        let mut chance = Chance::new(Seed::new(self.options.seed.into()).of(number));
        self.maker.case(&mut chance, number)
    }

    /// Sends one case and judges what comes back.
    fn one(&mut self, number: u64) -> anyhow::Result<()> {
        let case = self.case(number);
        let began = Instant::now();
        let verdict = self.send(&case).with_context(|| {
            let seed = self.options.seed;
            format!(
                "case {number} ({}, {}); see it with --seed {seed} --only {number}\nthe server's log ends with:\n{}",
                case.class.name(),
                case.operation.name,
                self.server.log_tail()
            )
        })?;
        let tally = self.tallies.entry(case.class).or_default();
        tally.cases += 1;
        tally.slowest = tally.slowest.max(began.elapsed());
        match verdict {
            Verdict::Done => tally.done += 1,
            Verdict::Refused => tally.refused += 1,
            Verdict::Closed => tally.closed += 1,
        }
        // A socket connects an instance, which is a change; and what was closed without an answer may have been done.
        let is_done = matches!(verdict, Verdict::Done | Verdict::Closed);
        let may_change = is_done && !case.operation.only_reads() || !case.frames.is_empty();
        if may_change {
            self.compare()?;
            self.since.clear();
            self.settle()
        } else {
            self.since.push(case);
            if self.since.len() >= COMPARE_EVERY { self.compare() } else { Ok(()) }
        }
    }

    /// Sends the bytes and reads as many answers as they ask for. All of them count as the worst.
    fn send(&mut self, case: &Case<'m>) -> anyhow::Result<Verdict> {
        if !case.frames.is_empty() {
            return self.send_frames(case);
        }
        let mut connection = match self.connection.take() {
            Some(open) => open,
            None => Connection::open(self.server.gate()).context("cannot connect")?,
        };
        // The server may close before it has read everything; what it said before that still counts.
        let is_sent = connection.send(&case.bytes).is_ok();
        if case.half_close {
            connection.half_close();
        }
        let mut verdict = Verdict::Refused;
        for _ in 0..case.answers {
            let outcome = connection.answer();
            verdict = judge(case, &outcome).map_err(anyhow::Error::msg)?;
            match outcome {
                Outcome::Answer(answer)
                    if is_sent && !case.half_close && !answer.closes() && answer.status != 101 => {}
                _ended => return Ok(verdict),
            }
        }
        self.connection = Some(connection);
        Ok(verdict)
    }

    fn send_frames(&mut self, case: &Case<'m>) -> anyhow::Result<Verdict> {
        let mut connection = Connection::open(self.server.gate())?;
        connection.send(&case.bytes)?;
        let Outcome::Answer(answer) = connection.answer() else { return Ok(Verdict::Closed) };
        if answer.status != 101 {
            // The instance was deregistered by something that looked valid.
            return judge(case, &Outcome::Answer(answer)).map_err(anyhow::Error::msg);
        }
        for frame in &case.frames {
            if connection.send(frame).is_err() {
                break;
            }
        }
        connection.half_close();
        ensure!(
            connection.drain(Duration::from_secs(15)),
            "an agent's socket stays open although its client is gone"
        );
        Ok(Verdict::Done)
    }

    fn revision(&self) -> anyhow::Result<u64> {
        self.server.metric("longshore_store_revision")
    }

    /// Waits until the control plane has finished what an accepted request gave it to do.
    fn settle(&mut self) -> anyhow::Result<()> {
        self.revision = self.revision()?;
        self.since.clear();
        Ok(())
    }

    /// Nothing that was refused since the last comparison may have changed the state.
    fn compare(&mut self) -> anyhow::Result<()> {
        if self.since.is_empty() {
            return Ok(());
        }
        let revision = self.revision()?;
        if revision != self.revision {
            self.blame()?;
        }
        self.settle()
    }

    /// The revision has moved. Sends the same again until it stands still; if it never does, they are to blame.
    fn blame(&mut self) -> anyhow::Result<()> {
        let mut cases = std::mem::take(&mut self.since);
        let mut moved = String::new();
        for round in 0..COMPARE_TRIES {
            // The control plane may have work of its own left.
            std::thread::sleep(Duration::from_millis(100 << round));
            let (before, state) = (self.revision()?, dump(&self.maker.caller)?);
            moved.clear();
            let mut refused = Vec::with_capacity(cases.len());
            for case in cases {
                let from = self.revision()?;
                // Judged already; here the effect counts. What was accepted meanwhile may have made the cluster, say,
                // that this one needs: then it is no refused request any more.
                if !matches!(self.send(&case), Ok(Verdict::Refused)) && !case.operation.only_reads() {
                    continue;
                }
                if self.revision()? != from {
                    let name = case.class.name();
                    moved.push_str(&format!(" {} ({name}, {})", case.number, case.operation.name));
                }
                refused.push(case);
            }
            cases = refused;
            if self.revision()? == before && dump(&self.maker.caller)? == state {
                return Ok(());
            }
        }
        let seed = self.options.seed;
        bail!(
            "requests that were refused have changed the state; suspects:{moved}; see one with --seed {seed} --only N"
        )
    }

    fn check_process(&mut self) -> anyhow::Result<()> {
        self.server.check_alive()?;
        self.files_most = self.files_most.max(self.server.files()?);
        let (now, _) = self.server.memory_kib()?;
        let limit = self.memory_before_kib + self.options.memory_mib_max * 1024;
        ensure!(now <= limit, "{now} KiB are resident, more than {limit}");
        Ok(())
    }

    /// No handler panicked, and no line of the log tells of a fault of the server.
    fn check_quiet(&self) -> anyhow::Result<()> {
        let panics = self.server.metric("longshore_panics_total")?;
        ensure!(panics == 0, "{panics} handlers panicked:\n{}", self.server.log_tail());
        let faults = self.server.log_faults();
        ensure!(faults.is_empty(), "the log says:\n{}", faults.join("\n"));
        Ok(())
    }

    fn report(&self, took: Duration, held: &HeldConnections, times: &[Duration]) -> anyhow::Result<()> {
        println!(
            "{:<42} {:>9} {:>9} {:>9} {:>9} {:>10}",
            "class", "cases", "done", "refused", "closed", "slowest"
        );
        for (class, tally) in &self.tallies {
            let Tally { cases, done, refused, closed, slowest } = tally;
            println!("{:<42} {cases:>9} {done:>9} {refused:>9} {closed:>9} {slowest:>10.1?}", class.name());
        }
        let (now, most) = self.server.memory_kib()?;
        let rate = self.options.requests as f64 / took.as_secs_f64();
        println!("{} cases in {took:.1?}, {rate:.0} per second", self.options.requests);
        println!(
            "resident: {} MiB before, {} MiB at the end, {} MiB at most",
            self.memory_before_kib / 1024,
            now / 1024,
            most / 1024
        );
        println!(
            "open files: {} before, {} at the end, {} at most",
            self.files_before,
            self.server.files()?,
            self.files_most
        );
        if held.broken > 0 {
            println!("broken handshakes: {} besides those that were held", held.broken);
        }
        println!(
            "held connections: {} ended by the server, the longest after {:.1?}; {} open",
            held.ended,
            held.longest,
            held.count()
        );
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        println!(
            "a well-behaved client meanwhile: {} calls, median {:.1?}, p99 {:.1?}, longest {:.1?}",
            times.len(),
            at(50),
            at(99),
            times.last().copied().unwrap_or_default()
        );
        Ok(())
    }

    /// Shows one case and what the server says to it.
    fn explain(&mut self, number: u64) -> anyhow::Result<()> {
        let case = self.case(number);
        println!("case {number}: {}, {}", case.class.name(), case.operation.name);
        let shown = &case.bytes[..case.bytes.len().min(4000)];
        println!("{}\n({} bytes)", String::from_utf8_lossy(shown), case.bytes.len());
        let before = dump(&self.maker.caller)?;
        let from = self.revision()?;
        let mut connection = Connection::open(self.server.gate())?;
        let _ = connection.send(&case.bytes);
        if case.half_close {
            connection.half_close();
        }
        println!("{:?}", connection.answer());
        println!("judged: {:?}", self.send(&case));
        println!(
            "revision {from} became {}; the dump is {}",
            self.revision()?,
            if dump(&self.maker.caller)? == before { "the same" } else { "another" }
        );
        println!("the server's log ends with:\n{}", self.server.log_tail());
        Ok(())
    }
}
