//! Which program can read a store: the level that the store says, and the check before anything else is read.
//!
//! Layouts of records are numbered in the order in which programs introduced them, over all kinds ([`crate::Kind`]);
//! the level of a program is the number of its newest layout. A program writes its level down before it writes anything
//! else, and refuses a store whose level is above its own: it would drop or misread what it does not know (ha M12).

use std::convert::Infallible;
use std::sync::Arc;

use longshore_base::{Ids, Seed, Timestamp};
use longshore_store::Store;
use serde::{Deserialize, Serialize};

use crate::domain::{Domains, Keep, Kinds, Tables};
use crate::hint::Hints;
use crate::key::{KeyReader, KeyWriter, RecordKey};
use crate::load::LoadError;
use crate::record::{Kind, Record, decode, key_text};
use crate::records::Records;
use crate::state::State;
use crate::time::{Moment, MomentKey};
use crate::tx::Batch;

/// The highest level of all programs that wrote to the store, and the program that brought it.
///
/// Its own layout never changes, so that every program can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    pub level: u8,
    /// Name and version.
    pub program: Arc<str>,
}

/// There is one level, of the whole store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LevelKey;

impl RecordKey for LevelKey {
    fn write(&self, _key: &mut KeyWriter<'_>) {}

    fn read(_key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self)
    }
}

impl Record for Level {
    type Key = LevelKey;
    type Tables = LevelTables;
    const KIND: Kind = Kind { name: "level", level: 1 };
}

/// The kernel's own domain.
#[derive(Debug, Default)]
pub struct LevelTables {
    level: Option<Arc<Level>>,
    pub(crate) moment: Option<Arc<Moment>>,
}

impl LevelTables {
    /// What the store says; `None`: nothing was written yet.
    pub fn level(&self) -> Option<&Level> {
        self.level.as_deref()
    }

    /// How late it was when something was last written, to the minute; `None`: no leader has written yet.
    pub fn moment(&self) -> Option<&Moment> {
        self.moment.as_deref()
    }
}

impl Tables for LevelTables {
    const DOMAIN: &'static str = "longshore";

    fn new(_now: Timestamp) -> Self {
        Self::default()
    }

    fn kinds() -> Kinds<Self> {
        Kinds::new().with::<Level>().with::<Moment>()
    }

    fn records(&self, records: &mut Records) {
        if let Some(level) = &self.level {
            records.insert::<Level>(LevelKey, level.clone());
        }
        if let Some(moment) = &self.moment {
            records.insert::<Moment>(MomentKey, moment.clone());
        }
    }

    fn compare(&self, _fresh: &Self) -> Vec<String> {
        Vec::new()
    }

    fn all_hints(&self, _hints: &mut Hints) {}
}

impl Keep<Level> for LevelTables {
    fn replace(&mut self, _: &LevelKey, record: Option<Arc<Level>>, _: &mut Hints) -> Option<Arc<Level>> {
        std::mem::replace(&mut self.level, record)
    }
}

/// Refuses a store that a newer program wrote, before anything else of it is read.
pub(crate) fn check(store: &dyn Store, domains: &Domains) -> Result<(), LoadError> {
    let key = key_text::<Level>(&LevelKey);
    let Some(entry) = store.get(key.as_bytes()).map_err(LoadError::Store)? else { return Ok(()) };
    let stored: Level = decode(&key, &entry.value)?;
    if stored.level > domains.level() {
        return Err(LoadError::Level {
            level: stored.level,
            program: stored.program.to_string(),
            known: domains.level(),
        });
    }
    Ok(())
}

/// Writes the level of this program down, unless that of the store is as high already. Gives what has to be committed.
pub(crate) fn raise(state: &mut State, now: Timestamp) -> Option<Batch> {
    let known = state.of::<LevelTables>().level().map_or(0, |known| known.level);
    let level = Level { level: state.domains().level(), program: state.domains().program().into() };
    if known >= level.level {
        return None;
    }
    // No id is drawn.
    let raised = state.transact(now, Ids::new(Seed::new(0)), |tx| {
        tx.put::<Level>(LevelKey, level);
        Ok::<_, Infallible>(())
    });
    let Ok(((), batch)) = raised.expect("one short record fits");
    Some(batch)
}
