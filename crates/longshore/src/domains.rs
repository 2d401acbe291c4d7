//! The one list of what a control plane keeps records of.

use longshore_keyring::{Holder, Keyring};
use longshore_state::Domains;
use longshore_tables_blobs::BlobTables;
use longshore_tables_ec2::Ec2Tables;
use longshore_tables_ec2::record::TemplateVersion;
use longshore_tables_ecr::EcrTables;
use longshore_tables_ecs::EcsTables;
use longshore_tables_iam::IamTables;
use longshore_tables_iam::record::{AccessKey, LoginProfile};
use longshore_tables_secrets::SecretsTables;
use longshore_tables_secrets::record::{KeyMaterial, ParameterVersion, SecretVersion};

/// Every kind of record with something sealed in it. One that is missing here would lose its secrets when the data key
/// that they are under is dropped (`tests/data_keys.rs` has one of each).
pub const HOLDERS: &[Holder] = &[
    Holder::of::<AccessKey>(),
    Holder::of::<KeyMaterial>(),
    Holder::of::<LoginProfile>(),
    Holder::of::<ParameterVersion>(),
    Holder::of::<SecretVersion>(),
    Holder::of::<TemplateVersion>(),
];

/// Every domain of this program. A store may hold records of all of them and of no others.
pub fn all() -> Domains {
    Domains::new(concat!("longshore ", env!("CARGO_PKG_VERSION")))
        .with::<BlobTables>()
        .with::<Ec2Tables>()
        .with::<EcrTables>()
        .with::<EcsTables>()
        .with::<IamTables>()
        .with::<Keyring>()
        .with::<SecretsTables>()
}
