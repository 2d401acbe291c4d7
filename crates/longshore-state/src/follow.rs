//! Following: what another process wrote is entered as it comes.

use std::str;

use longshore_store::{Change, Update};

use crate::codec::CodecError;
use crate::hint::Hints;
use crate::state::State;

impl State {
    /// Does what one commit of another process did. Gives what should be looked at again, for whoever looks here.
    ///
    /// # Errors
    /// The commit has something that this program does not know or cannot read. The state may have a part of it, and
    /// must not be used any more.
    pub fn follow(&mut self, update: &Update) -> Result<Hints, CodecError> {
        let mut hints = Hints::new();
        for change in &update.changes {
            let (key, stored) = match change {
                Change::Put { key, value } => (key, Some(&value[..])),
                Change::Deleted { key } => (key, None),
            };
            let unknown = || CodecError::UnknownKind(String::from_utf8_lossy(key).into_owned());
            let text = str::from_utf8(key).map_err(|_| unknown())?;
            let (kind, parts) = self.domains().kind_of(text).ok_or_else(unknown)?;
            let (follow, parts) = (kind.follow, parts);
            follow(self, text, parts, stored, &mut hints)?;
        }
        if !update.changes.is_empty() {
            self.sequence += 1;
        }
        Ok(hints)
    }
}
