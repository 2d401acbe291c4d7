//! Which key each record has, and since when it looks as it does.

use longshore_state::{Kind, Record};

use super::{
    AccessKey, AccountSettings, DeletionTask, Group, InlinePolicy, InstanceProfile, LoginProfile,
    ManagedPolicy, OidcProvider, PolicyVersion, Role, User,
};
use crate::key::{AccountKey, InlineKey, OwnKey, VersionKey};
use crate::tables::IamTables;

macro_rules! kinds {
    ($($record:ty: $key:ty = $name:literal $level:literal,)*) => {$(
        impl Record for $record {
            type Key = $key;
            type Tables = IamTables;
            const KIND: Kind = Kind { name: $name, level: $level };
        }
    )*};
}

kinds! {
    AccessKey: OwnKey = "access-keys" 1,
    AccountSettings: AccountKey = "account-settings" 1,
    DeletionTask: OwnKey = "deletion-tasks" 1,
    Group: OwnKey = "groups" 1,
    InlinePolicy: InlineKey = "inline-policies" 1,
    InstanceProfile: OwnKey = "instance-profiles" 1,
    LoginProfile: OwnKey = "login-profiles" 1,
    ManagedPolicy: OwnKey = "managed-policies" 1,
    OidcProvider: OwnKey = "oidc-providers" 1,
    PolicyVersion: VersionKey = "policy-versions" 1,
    Role: OwnKey = "roles" 1,
    User: OwnKey = "users" 1,
}
