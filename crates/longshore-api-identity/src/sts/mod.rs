//! AWS STS: who calls, and temporary credentials (identity J3).
//!
//! Start at [`Sts`] and [`OPERATIONS`]. A session is sealed into its token ([`longshore_tables_iam::session`]), so that no
//! operation here changes a record; those that issue one are commands all the same, because a transaction has the chance
//! that secrets are drawn from.
//!
//! STS answers a role that is missing and one that does not trust the caller alike.

mod assume;
mod identity;
mod issuers;
pub mod jwt;
mod limits;
mod shape;
mod tokens;
mod web;

use std::sync::Arc;

use longshore_api::{Limits, Session, SessionSource};
use longshore_service::Server;
use longshore_shapes_sts::ops;
use longshore_state::Db;
use longshore_tables_iam::session;

pub(crate) use assume::on_role;
pub use issuers::{Issuers, KeySource};
pub use web::WebSts;

/// What a token says beside whose it is, for whoever decides about its owner's calls.
pub fn facts(session: session::Session, source: SessionSource) -> Session {
    let limits = session.limits.map(|limits| Limits {
        inline: limits.inline.map(|policy| policy.shared()),
        managed: limits.managed,
    });
    Session {
        source,
        issued_at: session.issued_at,
        limits,
        tags: session.tags.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect(),
        transitive_tags: session.transitive_tags,
        source_identity: session.source_identity,
        provider: session.provider,
    }
}

/// AWS STS: what its operations have in common.
#[derive(Default)]
pub struct Sts {
    /// `None`: nobody can show a web identity.
    issuers: Option<Arc<Issuers>>,
}

longshore_service::operations! {
    /// The operations of STS that are built.
    pub static OPERATIONS: Sts = ops {
        command AssumeRole,
        command AssumeRoleWithWebIdentity,
        query GetAccessKeyInfo,
        query GetCallerIdentity,
        command GetFederationToken,
        command GetSessionToken,
    }
}

impl Sts {
    /// The API over a database with the tables of IAM and the keyring.
    pub fn server(db: Arc<Db>) -> Server<Self> {
        Server::new(&longshore_catalog::STS, &OPERATIONS, db, Self::default())
    }

    /// The same for people with web identities, whose issuers' keys are had of these. To be put into [`WebSts`].
    pub fn server_with(db: Arc<Db>, issuers: Arc<Issuers>) -> Server<Self> {
        Server::new(&longshore_catalog::STS, &OPERATIONS, db, Self { issuers: Some(issuers) })
    }
}
