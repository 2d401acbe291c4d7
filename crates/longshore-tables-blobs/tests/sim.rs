//! Pushers, askers, mounters, deleters and the collector in any order, killed anywhere: no promise is broken, and in
//! the end nothing is left that nobody needs. Planted mistakes are found.
//!
//! Files are a set here; that they are durable in the right order is shown in `longshore-blobs`. A transaction is one
//! step, and durable; everything between two awaits of the real shells is a step of its own.

// The other tests use the rest.
#[allow(dead_code)]
mod sample;

use std::collections::BTreeSet;
use std::time::Duration;

use longshore_base::{Seed, Timestamp};
use longshore_images::Digest;
use longshore_state::{State, Tables, Tx};
use longshore_tables_blobs::collect::{self, Settings};
use longshore_tables_blobs::hold::{self, LEASE};
use longshore_tables_blobs::{BlobState, BlobTables, BlobsState, Hold, Holder, LinkKey, Locks, Taken};
use sample::{HOLDERS, NOW, Shelf, ShelfKey, Shelves, Wish, WishKey, at, digest, empty, holder};

const SEEDS: u64 = 400;
const STEPS: u64 = 400;
const ACTORS_MAX: usize = 6;
const SHELVES: u128 = 3;
const NAMES: usize = 3;
const GRACE: Duration = Duration::from_secs(4 * 3600);
const SETTINGS: Settings = Settings { grace: GRACE, upload_kept: GRACE };

/// A mistake that somebody might make in what goes around the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    /// The collector deletes files without taking their digests.
    NoLock,
    /// It does not look again when it has taken one.
    NoSecondLook,
    /// It deletes files before their records are marked.
    UnlinkFirst,
    /// A pusher holds the digest until the file is there, and no longer.
    ShortHold,
    /// It records the blob first and makes the file then.
    RecordFirst,
    /// Who asks is told without a lease.
    NoLease,
    /// A new leader believes that nobody was told anything.
    ForgetfulLeader,
    /// Files without a record are never looked for.
    NoSweep,
}

#[derive(Debug)]
enum Actor {
    Pusher {
        link: LinkKey,
        hold: Option<Hold>,
        at: Push,
    },
    /// Docker: asks whether a layer is there, and pushes the manifest if so.
    Asker {
        link: LinkKey,
        is_told: bool,
    },
    Mounter {
        from: Holder,
        link: LinkKey,
        is_done: bool,
    },
    Collector {
        at: Collect,
        going: Vec<Digest>,
        taken: Option<Taken>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Push {
    Hold,
    File,
    Record,
    Manifest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Collect {
    Lapse(Option<LinkKey>),
    Mark,
    Sweep,
    Take,
    Look,
    Unlink,
    Forget,
}

struct World {
    state: State,
    files: BTreeSet<Digest>,
    locks: Locks,
    now: Timestamp,
    actors: Vec<Actor>,
    /// What clients were told is there, and until when they may rely on it.
    promises: Vec<(LinkKey, Timestamp)>,
    bug: Option<Bug>,
    chance: Seed,
    drawn: u64,
    log: Vec<String>,
}

impl World {
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        Self {
            state: empty(SHELVES),
            files: BTreeSet::new(),
            locks: Locks::default(),
            now: NOW,
            actors: Vec::new(),
            promises: Vec::new(),
            bug,
            chance: Seed::new(u128::from(seed)),
            drawn: 0,
            log: Vec::new(),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.drawn += 1;
        self.chance.of(self.drawn).below(bound)
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn tx<T>(&mut self, f: impl FnOnce(&mut Tx<'_>) -> T) -> T {
        at(&mut self.state, self.now, f)
    }

    fn any_link(&mut self) -> LinkKey {
        let (shelf, name) = (self.below(SHELVES as usize), self.below(NAMES));
        LinkKey { holder: holder(shelf as u128), digest: digest(&name.to_string()) }
    }

    /// One step of anybody. `Err` says which promise is broken.
    fn step(&mut self) -> Result<(), String> {
        match self.below(20) {
            0 if self.actors.len() < ACTORS_MAX => {
                let link = self.any_link();
                self.actors.push(Actor::Pusher { link, hold: None, at: Push::Hold });
            }
            1 if self.actors.len() < ACTORS_MAX => {
                let link = self.any_link();
                self.actors.push(Actor::Asker { link, is_told: false });
            }
            2 if self.actors.len() < ACTORS_MAX => {
                let (from, link) = (self.any_link().holder, self.any_link());
                self.actors.push(Actor::Mounter { from, link, is_done: false });
            }
            3 if !self.actors.iter().any(|actor| matches!(actor, Actor::Collector { .. })) => {
                let at = Collect::Lapse(None);
                self.actors.push(Actor::Collector { at, going: Vec::new(), taken: None });
            }
            4 => self.forget_wish(),
            5 => self.delete_link(),
            6 => self.replace_shelf(),
            7 => {
                let hours = self.below(3) as u64;
                self.now = self.now + Duration::from_secs(600 + hours * 3600);
            }
            8 if self.below(8) == 0 => self.kill(),
            _ if !self.actors.is_empty() => {
                let chosen = self.below(self.actors.len());
                let actor = self.actors.swap_remove(chosen);
                self.log.push(format!("{actor:?}"));
                if let Some(goes_on) = self.act(actor)? {
                    self.actors.push(goes_on);
                }
            }
            _ => {}
        }
        self.check()
    }

    /// A manifest is deleted, or another one takes its tag.
    fn forget_wish(&mut self) {
        let wishes: Vec<LinkKey> = self.state.of::<Shelves>().wishes.iter().cloned().collect();
        if !wishes.is_empty() {
            let wish = wishes[self.below(wishes.len())].clone();
            self.log.push(format!("no wish for {wish:?}"));
            self.tx(|tx| tx.delete::<Wish>(WishKey(wish)));
        }
    }

    /// A client deletes a blob that nothing needs. Whoever relied on it was wrong.
    fn delete_link(&mut self) {
        let link = self.any_link();
        if !self.state.of::<Shelves>().wishes.contains(&link) {
            self.log.push(format!("delete {link:?}"));
            self.tx(|tx| hold::unlink(tx, &link.holder, &link.digest));
            self.promises.retain(|(own, _)| *own != link);
        }
    }

    /// A shelf goes, with everything on it, and another one takes its place.
    fn replace_shelf(&mut self) {
        if self.below(10) > 0 {
            return;
        }
        let own = self.any_link().holder;
        self.log.push(format!("another {own:?}"));
        let is_there = self.state.of::<Shelves>().shelves.contains(&own);
        let wishes: Vec<LinkKey> = self.state.of::<Shelves>().wishes.iter().cloned().collect();
        self.tx(|tx| {
            if is_there {
                for wish in wishes.into_iter().filter(|wish| wish.holder == own) {
                    tx.delete::<Wish>(WishKey(wish));
                }
                tx.delete::<Shelf>(ShelfKey(own.clone()));
            } else {
                tx.put::<Shelf>(ShelfKey(own.clone()), Shelf);
            }
        });
        self.promises.retain(|(link, _)| link.holder != own);
    }

    /// The process ends; what was durable is there in the next one. Clients stay, with what they were told.
    fn kill(&mut self) {
        self.log.push("kill".to_owned());
        self.actors.clear();
        self.locks = Locks::default();
        let leads = if self.has(Bug::ForgetfulLeader) { NOW } else { self.now };
        self.tx(|tx| tx.volatile(|tables: &mut BlobTables, _| tables.lead(leads)));
    }

    fn promise(&mut self, link: &LinkKey, lasts: Duration) {
        if self.state.of::<Shelves>().shelves.contains(&link.holder) {
            self.promises.push((link.clone(), self.now + lasts));
        }
    }

    /// A manifest that needs the blob. Refused if that is not there, which the check would have noticed.
    fn wish(&mut self, link: &LinkKey) {
        let is_there = hold::find(&self.state, &link.holder, &link.digest).is_some();
        if is_there && self.state.of::<Shelves>().shelves.contains(&link.holder) {
            let wish = WishKey(link.clone());
            self.tx(|tx| tx.put::<Wish>(wish, Wish));
        }
    }

    fn act(&mut self, actor: Actor) -> Result<Option<Actor>, String> {
        Ok(match actor {
            Actor::Pusher { link, hold, at } => self.push(link, hold, at),
            Actor::Asker { link, is_told: false } => {
                let is_leased = !self.has(Bug::NoLease);
                let is_told = self.tx(|tx| match is_leased {
                    true => hold::tell(tx, &link.holder, &link.digest).is_some(),
                    false => hold::find(tx.state(), &link.holder, &link.digest).is_some(),
                });
                if is_told {
                    self.promise(&link, LEASE);
                }
                is_told.then_some(Actor::Asker { link, is_told })
            }
            Actor::Asker { link, is_told: true } | Actor::Mounter { link, is_done: true, .. } => {
                self.wish(&link);
                None
            }
            Actor::Mounter { from, link, is_done: false } => {
                let is_done = self.tx(|tx| hold::mount(tx, &from, &link.holder, &link.digest));
                if is_done {
                    self.promise(&link, GRACE);
                }
                is_done.then_some(Actor::Mounter { from, link, is_done })
            }
            Actor::Collector { at, going, taken } => self.collect(at, going, taken),
        })
    }

    fn push(&mut self, link: LinkKey, hold: Option<Hold>, at: Push) -> Option<Actor> {
        let (mut hold, mut next) = (hold, at);
        match at {
            Push::Hold => {
                // Where it is taken, the pusher waits.
                if let Some(held) = self.locks.try_hold(&link.digest) {
                    hold = Some(held);
                    next = if self.has(Bug::RecordFirst) { Push::Record } else { Push::File };
                }
            }
            Push::File => {
                self.files.insert(link.digest.clone());
                if self.has(Bug::ShortHold) {
                    hold = None;
                }
                next = if self.has(Bug::RecordFirst) { Push::Manifest } else { Push::Record };
            }
            Push::Record => {
                self.tx(|tx| hold::stored(tx, &link.holder, &link.digest, 1));
                if self.has(Bug::RecordFirst) {
                    next = Push::File;
                } else {
                    hold = None;
                    self.promise(&link, GRACE);
                    next = Push::Manifest;
                }
            }
            Push::Manifest => {
                self.wish(&link);
                return None;
            }
        }
        Some(Actor::Pusher { link, hold, at: next })
    }

    fn collect(&mut self, at: Collect, mut going: Vec<Digest>, mut taken: Option<Taken>) -> Option<Actor> {
        let next = match at {
            Collect::Lapse(after) => {
                match self.tx(|tx| collect::lapse(tx, &HOLDERS, &SETTINGS, after.as_ref())) {
                    Some(after) => Collect::Lapse(Some(after)),
                    None if self.has(Bug::UnlinkFirst) => {
                        going = self.state.blobs().unheld().cloned().collect();
                        Collect::Take
                    }
                    None => Collect::Mark,
                }
            }
            Collect::Mark => {
                going = self.tx(collect::mark);
                Collect::Take
            }
            Collect::Sweep => {
                let files = self.files.iter().cloned();
                going = files.filter(|file| collect::is_unknown(&self.state, file)).collect();
                if going.is_empty() {
                    return None;
                }
                Collect::Take
            }
            Collect::Take => match going.last() {
                // The first round is over; files without a record are the second one.
                None if taken.is_none() && !self.has(Bug::NoSweep) => Collect::Sweep,
                None => return None,
                Some(_) if self.has(Bug::NoLock) => Collect::Look,
                Some(digest) => {
                    taken = self.locks.try_take(digest);
                    match taken {
                        Some(_) => Collect::Look,
                        // Somebody pushes it; another time.
                        None => {
                            going.pop();
                            Collect::Take
                        }
                    }
                }
            },
            Collect::Look => {
                let digest = going.last().expect("it was taken");
                let is_unheld = self.state.blobs().holders(digest).next().is_none();
                let goes = match self.bug {
                    Some(Bug::NoSecondLook) => true,
                    Some(Bug::UnlinkFirst) => is_unheld,
                    Some(_) | None => collect::may_unlink(&self.state, digest),
                };
                if goes {
                    Collect::Unlink
                } else {
                    going.pop();
                    taken = None;
                    Collect::Take
                }
            }
            Collect::Unlink => {
                let digest = going.last().expect("it was taken");
                self.files.remove(digest);
                Collect::Forget
            }
            Collect::Forget => {
                let digest = going.pop().expect("it was taken");
                if self.has(Bug::UnlinkFirst) {
                    self.tx(collect::mark);
                }
                self.tx(|tx| collect::forget(tx, &digest));
                taken = None;
                Collect::Take
            }
        };
        Some(Actor::Collector { at: next, going, taken })
    }

    /// What holds after each step.
    fn check(&mut self) -> Result<(), String> {
        let tables = self.state.blobs();
        for (digest, blob) in tables.blobs() {
            if blob.state == BlobState::Kept && !self.files.contains(digest) {
                return Err(format!("{digest} is kept, and has no file"));
            }
        }
        for (link, _) in tables.links_after(None) {
            if tables.blob(&link.digest).is_none_or(|blob| blob.state != BlobState::Kept) {
                return Err(format!("{link:?} is of a blob that is not kept"));
            }
        }
        for wish in &self.state.of::<Shelves>().wishes {
            if tables.link(wish).is_none() {
                return Err(format!("{wish:?} is needed, and lapsed"));
            }
        }
        let now = self.now;
        self.promises.retain(|(_, until)| *until > now);
        for (link, until) in &self.promises {
            if self.state.blobs().link(link).is_none() {
                return Err(format!("{link:?} was promised until {until:?}, and is gone at {now:?}"));
            }
        }
        Ok(())
    }

    /// When all is quiet, what is left is what somebody needs.
    fn settle(&mut self) -> Result<(), String> {
        self.actors.clear();
        self.locks = Locks::default();
        for _ in 0..3 {
            self.now = self.now + 2 * GRACE;
            self.promises.clear();
            let mut collector =
                Some(Actor::Collector { at: Collect::Lapse(None), going: Vec::new(), taken: None });
            while let Some(actor) = collector {
                collector = self.act(actor)?;
                self.check()?;
            }
        }
        let wanted: BTreeSet<Digest> =
            self.state.of::<Shelves>().wishes.iter().map(|wish| wish.digest.clone()).collect();
        if self.files != wanted {
            return Err(format!("the files are {:?}, needed are {wanted:?}", self.files));
        }
        let (blobs, bytes) = self.state.blobs().usage();
        if (blobs, bytes) != (wanted.len(), wanted.len() as u64) {
            return Err(format!("{blobs} blobs of {bytes} bytes are recorded, needed are {wanted:?}"));
        }
        let differences = self.state.check();
        if differences.is_empty() { Ok(()) } else { Err(differences.join("; ")) }
    }
}

fn run(seed: u64, bug: Option<Bug>) -> Result<(), String> {
    let mut world = World::new(seed, bug);
    let done = (0..STEPS).try_for_each(|_| world.step()).and_then(|()| world.settle());
    done.map_err(|broken| {
        let last: Vec<&str> = world.log.iter().rev().take(12).rev().map(String::as_str).collect();
        format!("seed {seed}: {broken}\n{}", last.join("\n"))
    })
}

#[test]
fn no_promise_is_broken_and_nothing_is_left() {
    for seed in 0..SEEDS {
        run(seed, None).unwrap_or_else(|broken| panic!("{broken}"));
    }
}

#[test]
fn planted_mistakes_are_found() {
    for bug in [
        Bug::NoLock,
        Bug::NoSecondLook,
        Bug::UnlinkFirst,
        Bug::ShortHold,
        Bug::RecordFirst,
        Bug::NoLease,
        Bug::ForgetfulLeader,
        Bug::NoSweep,
    ] {
        let found = (0..20 * SEEDS).find(|seed| run(*seed, Some(bug)).is_err());
        println!("{bug:?}: seed {found:?}");
        assert!(found.is_some(), "{bug:?} was not found");
    }
}
