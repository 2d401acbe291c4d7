//! The one list of what a control plane keeps records of.

use longshore_keyring::Keyring;
use longshore_state::Domains;
use longshore_tables_ec2::Ec2Tables;
use longshore_tables_ecs::EcsTables;
use longshore_tables_iam::IamTables;
use longshore_tables_secrets::SecretsTables;

/// Every domain of this program. A store may hold records of all of them and of no others.
pub fn all() -> Domains {
    Domains::new(concat!("longshore ", env!("CARGO_PKG_VERSION")))
        .with::<Ec2Tables>()
        .with::<EcsTables>()
        .with::<IamTables>()
        .with::<Keyring>()
        .with::<SecretsTables>()
}
