//! Which key each record has, and since when it looks as it does.

use longshore_state::{Kind, Record};

use super::{Alias, KeyMaterial, KmsKey, Parameter, ParameterVersion, Secret, SecretVersion};
use crate::key::{NumberKey, ScopedKey, VersionKey};
use crate::tables::SecretsTables;

macro_rules! kinds {
    ($($record:ty: $key:ty = $name:literal $level:literal,)*) => {$(
        impl Record for $record {
            type Key = $key;
            type Tables = SecretsTables;
            const KIND: Kind = Kind { name: $name, level: $level };
        }
    )*};
}

kinds! {
    Alias: ScopedKey = "aliases" 1,
    KeyMaterial: NumberKey = "key-materials" 1,
    KmsKey: ScopedKey = "keys" 1,
    ParameterVersion: NumberKey = "parameter-versions" 1,
    Parameter: ScopedKey = "parameters" 1,
    SecretVersion: VersionKey = "secret-versions" 1,
    Secret: ScopedKey = "secrets" 1,
}
