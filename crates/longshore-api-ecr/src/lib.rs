//! Amazon ECR's API, as far as it needs nothing but records (registry I2 to I5, I7). The bytes of images are the
//! registry's (`longshore-registry`), over the same tables.
//!
//! Start at [`EcrApi`] and [`OPERATIONS`]. Most operations are of the table; GetAuthorizationToken has to see the
//! credentials that it stands for, and so the request itself.
//!
//! Repositories can be named from other accounts, by `registryId`. Whether the caller may have them is asked by the guard,
//! who is given their policy with each question.
//!
//! Invariants: what a repository was made with is always shown, so that Terraform's second plan is empty; a denial does
//! not depend on whether something is there; `repositoryUri` can be pushed to as it stands.
//!
//! It does not know: signatures, OCI's protocol, where bytes are.

#[macro_use]
mod macros;

mod find;
mod images;
mod input;
mod lifecycle;
mod operations;
mod permission;
mod policies;
mod repositories;
mod shape;
mod tagging;
mod texts;
mod token;

use std::sync::Arc;

use longshore_base::Scope;
use longshore_images::RepositoryName;

pub use operations::OPERATIONS;
pub use token::EcrApi;

/// ECR: what its operations have in common.
#[derive(Clone, Debug)]
pub struct Ecr {
    pub host: RegistryHost,
}

/// How clients reach the registry: the host of `repositoryUri` and of `proxyEndpoint`, which have to be the same, or
/// credentials do not find their images (registry I9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryHost {
    /// Ours, with its port: `127.0.0.1:8722`. Account and region follow from the credentials.
    Own { host: Arc<str>, is_secure: bool },
    /// As at AWS, for machines on which these names lead here.
    Aws,
}

impl RegistryHost {
    /// Where the registry of an account is, for a caller of this scope. Another account's is named before the repository.
    fn uri(&self, registry: &Scope, caller: &Scope, name: &RepositoryName) -> String {
        match self {
            Self::Own { host, .. } if registry == caller => format!("{host}/{name}"),
            Self::Own { host, .. } => format!("{host}/{}/{name}", aws(registry)),
            Self::Aws => format!("{}/{name}", aws(registry)),
        }
    }

    fn endpoint(&self, registry: &Scope) -> String {
        match self {
            Self::Own { host, is_secure: true } => format!("https://{host}"),
            Self::Own { host, is_secure: false } => format!("http://{host}"),
            Self::Aws => format!("https://{}", aws(registry)),
        }
    }
}

fn aws(registry: &Scope) -> String {
    let Scope { account, region } = registry;
    let suffix = match registry.partition() {
        longshore_base::Partition::AwsCn => "amazonaws.com.cn",
        longshore_base::Partition::Aws | longshore_base::Partition::AwsUsGov => "amazonaws.com",
    };
    format!("{account}.dkr.ecr.{region}.{suffix}")
}
