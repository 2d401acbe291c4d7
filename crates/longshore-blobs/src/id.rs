//! The ids of uploads.

use std::fmt;

use longshore_base::ContainerId;
use longshore_base::ids::IdError;

/// An upload: a random UUID, drawn by us. It names a file, so a text from outside has to be one exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(ContainerId);

impl UploadId {
    pub fn new(uuid: ContainerId) -> Self {
        Self(uuid)
    }

    /// Takes the 36 characters in lower case.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let id = ContainerId::parse(text)?;
        // The 32 digits alone would name the same upload twice.
        if text.len() == 36 { Ok(Self(id)) } else { Err(IdError) }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_has_one_spelling() {
        let text = "0f9d8c7b-1111-4222-8333-444455556666";
        assert_eq!(UploadId::parse(text).expect("a UUID").to_string(), text);
        for bad in ["", "../x", &text.replace('-', ""), &text.to_uppercase(), &format!("{text}/..")] {
            assert!(UploadId::parse(bad).is_err(), "{bad}");
        }
    }
}
