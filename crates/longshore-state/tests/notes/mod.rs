//! A small domain: notes with names of any text, profiles that an account has everywhere, and a trap.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::{AccountId, Region, Scope, Timestamp};
use longshore_state::{
    Domains, Hints, Keep, KeyReader, KeyWriter, Kind, Kinds, Record, RecordKey, Records, State, Tables,
};
use serde::{Deserialize, Serialize};

pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub fn account() -> AccountId {
    AccountId::parse("111122223333").expect("twelve digits")
}

pub fn scope() -> Scope {
    Scope::new(account(), Region::parse("eu-west-1").expect("a region"))
}

/// A text with a name, in a region of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub text: String,
    /// Appended at level 2.
    #[serde(default)]
    pub pinned: bool,
}

/// The same as it was at level 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoteBefore {
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoteKey {
    pub scope: Scope,
    pub name: String,
}

impl NoteKey {
    pub fn new(name: impl Into<String>) -> Self {
        Self { scope: scope(), name: name.into() }
    }
}

impl RecordKey for NoteKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.scope);
        key.part(&self.name);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { scope: key.scope()?, name: key.part()?.into_owned() })
    }
}

impl Record for Note {
    type Key = NoteKey;
    type Tables = Notes;
    const KIND: Kind = Kind { name: "notes", level: 2 };

    fn weight(&self) -> usize {
        self.text.len()
    }
}

impl Record for NoteBefore {
    type Key = NoteKey;
    type Tables = OldNotes;
    const KIND: Kind = Kind { name: "notes", level: 1 };
}

/// What an account says about itself, the same in all regions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub words: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileKey(pub AccountId);

impl RecordKey for ProfileKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.account(self.0);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self(key.account()?))
    }
}

impl Record for Profile {
    type Key = ProfileKey;
    type Tables = Notes;
    const KIND: Kind = Kind { name: "profiles", level: 1 };
}

/// A record whose tables panic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trap;

impl Record for Trap {
    type Key = ProfileKey;
    type Tables = Notes;
    const KIND: Kind = Kind { name: "traps", level: 1 };
}

/// A record that somebody forgot to list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forgotten;

impl Record for Forgotten {
    type Key = ProfileKey;
    type Tables = Notes;
    const KIND: Kind = Kind { name: "forgotten", level: 1 };
}

/// A note was written or removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Changed(pub String);

/// An account has a profile, or has not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Profiled(pub AccountId);

#[derive(Debug, Default)]
pub struct Notes {
    notes: BTreeMap<NoteKey, Arc<Note>>,
    profiles: BTreeMap<ProfileKey, Arc<Profile>>,
    /// Derived: how many notes have a text.
    texts: BTreeMap<String, usize>,
    /// Derived: notes that were written while their account had a profile. So it depends on the order in which records
    /// come, and a roll-back has to go back in the order in which they came.
    profiled: BTreeMap<NoteKey, bool>,
}

impl Notes {
    pub fn note(&self, name: &str) -> Option<&Arc<Note>> {
        self.notes.get(&NoteKey::new(name))
    }

    pub fn names(&self) -> Vec<String> {
        self.notes.keys().map(|key| key.name.clone()).collect()
    }

    pub fn profiled(&self) -> Vec<bool> {
        self.profiled.values().copied().collect()
    }

    /// Makes the index wrong.
    pub fn spoil(&mut self) {
        self.texts.insert("spoilt".into(), 7);
    }
}

impl Tables for Notes {
    const DOMAIN: &'static str = "notes";

    fn new(_now: Timestamp) -> Self {
        Self::default()
    }

    fn kinds() -> Kinds<Self> {
        Kinds::new().with::<Note>().with::<Profile>().with::<Trap>()
    }

    fn records(&self, records: &mut Records) {
        for (key, note) in &self.notes {
            records.insert::<Note>(key.clone(), note.clone());
        }
        for (key, profile) in &self.profiles {
            records.insert::<Profile>(*key, profile.clone());
        }
    }

    fn compare(&self, fresh: &Self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.texts != fresh.texts {
            notes.push(format!("texts are {:?}, should be {:?}", self.texts, fresh.texts));
        }
        notes
    }

    fn all_hints(&self, hints: &mut Hints) {
        hints.extend(self.notes.keys().map(|key| Changed(key.name.clone())));
        hints.extend(self.profiles.keys().map(|key| Profiled(key.0)));
    }
}

impl Keep<Note> for Notes {
    fn replace(&mut self, key: &NoteKey, new: Option<Arc<Note>>, hints: &mut Hints) -> Option<Arc<Note>> {
        hints.insert(Changed(key.name.clone()));
        if let Some(note) = &new {
            *self.texts.entry(note.text.clone()).or_default() += 1;
            let profiled = self.profiles.contains_key(&ProfileKey(key.scope.account));
            self.profiled.insert(key.clone(), profiled);
        } else {
            self.profiled.remove(key);
        }
        let old = match new {
            Some(note) => self.notes.insert(key.clone(), note),
            None => self.notes.remove(key),
        };
        if let Some(old) = &old
            && let Some(count) = self.texts.get_mut(&old.text)
        {
            *count -= 1;
            if *count == 0 {
                self.texts.remove(&old.text);
            }
        }
        old
    }
}

impl Keep<Profile> for Notes {
    fn replace(
        &mut self,
        key: &ProfileKey,
        new: Option<Arc<Profile>>,
        hints: &mut Hints,
    ) -> Option<Arc<Profile>> {
        hints.insert(Profiled(key.0));
        match new {
            Some(profile) => self.profiles.insert(*key, profile),
            None => self.profiles.remove(key),
        }
    }
}

impl Keep<Trap> for Notes {
    fn replace(&mut self, _: &ProfileKey, _: Option<Arc<Trap>>, _: &mut Hints) -> Option<Arc<Trap>> {
        panic!("on purpose, in the tables");
    }
}

impl Keep<Forgotten> for Notes {
    fn replace(
        &mut self,
        _: &ProfileKey,
        _: Option<Arc<Forgotten>>,
        _: &mut Hints,
    ) -> Option<Arc<Forgotten>> {
        None
    }
}

/// The domain in a program that is older: no profiles, and notes of level 1.
#[derive(Debug, Default)]
pub struct OldNotes {
    notes: BTreeMap<NoteKey, Arc<NoteBefore>>,
}

impl Tables for OldNotes {
    const DOMAIN: &'static str = "notes";

    fn new(_now: Timestamp) -> Self {
        Self::default()
    }

    fn kinds() -> Kinds<Self> {
        Kinds::new().with::<NoteBefore>()
    }

    fn records(&self, records: &mut Records) {
        for (key, note) in &self.notes {
            records.insert::<NoteBefore>(key.clone(), note.clone());
        }
    }

    fn compare(&self, _fresh: &Self) -> Vec<String> {
        Vec::new()
    }

    fn all_hints(&self, _hints: &mut Hints) {}
}

impl Keep<NoteBefore> for OldNotes {
    fn replace(
        &mut self,
        key: &NoteKey,
        new: Option<Arc<NoteBefore>>,
        _: &mut Hints,
    ) -> Option<Arc<NoteBefore>> {
        match new {
            Some(note) => self.notes.insert(key.clone(), note),
            None => self.notes.remove(key),
        }
    }
}

/// The program of today, and the one before it.
pub fn domains() -> Domains {
    Domains::new("notes 2.0").with::<Notes>()
}

pub fn old_domains() -> Domains {
    Domains::new("notes 1.0").with::<OldNotes>()
}

pub fn note(text: &str) -> Note {
    Note { text: text.into(), pinned: false }
}

/// The names of the notes that there are.
pub fn names(state: &State) -> Vec<String> {
    state.of::<Notes>().names()
}
