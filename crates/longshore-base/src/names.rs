//! Names that users choose: of clusters, services, families and containers, with the characters that ECS allows.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name under which agents and their operator know the Fargate pool of a region. It is no name that
/// a cluster could have, so that nobody can make one, or reach it where a cluster is asked for.
pub const FARGATE_POOL: &str = ".fargate";

/// The longest name of a cluster, service, family or container.
pub const NAME_LEN_MAX: usize = 255;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("the name is empty")]
    Empty,
    #[error("the name is longer than {NAME_LEN_MAX} characters")]
    TooLong,
    #[error("the name contains invalid characters")]
    InvalidCharacters,
}

/// 1 to 255 of `A-Za-z0-9_-` (ecs-behaviour A3).
fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        Err(NameError::Empty)
    } else if text.len() > NAME_LEN_MAX {
        Err(NameError::TooLong)
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        Err(NameError::InvalidCharacters)
    } else {
        Ok(())
    }
}

/// What agents call the container that holds a task's network (agent-protocol G11).
const PAUSE: &str = "~internal~ecs~pause";

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Takes 1 to 255 of `A-Za-z0-9_-`.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(text.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// The name of a cluster, unique in its account and region.
    ClusterName
}
name! {
    /// The name of a service, unique in its cluster among those that are not INACTIVE.
    ServiceName
}
name! {
    /// The family of a task definition.
    Family
}
name! {
    /// The name of a container within its task definition.
    ContainerName
}

impl ContainerName {
    /// The container that holds the network of a task in awsvpc mode. No definition can have one of this name: a
    /// tilde is none of the characters that users may choose.
    pub fn pause() -> Self {
        Self(PAUSE.into())
    }

    /// Reads the name that an agent gave to a container: a user's, or its own for [`Self::pause`].
    pub fn of_agent(text: &str) -> Result<Self, NameError> {
        if text == PAUSE { Ok(Self::pause()) } else { Self::parse(text) }
    }
}

impl ClusterName {
    /// The cluster that a call means when it names none.
    pub fn default_cluster() -> Self {
        Self("default".into())
    }

    /// What stands for a cluster's name in the keys and ARNs of the Fargate pool.
    pub fn fargate_pool() -> Self {
        Self(FARGATE_POOL.into())
    }

    pub fn is_fargate_pool(&self) -> bool {
        &*self.0 == FARGATE_POOL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_agents_name_the_pause_container() {
        let pause = ContainerName::pause();
        assert_eq!(ContainerName::of_agent(pause.as_str()), Ok(pause.clone()));
        assert_eq!(ContainerName::parse(pause.as_str()), Err(NameError::InvalidCharacters));
        assert_eq!(ContainerName::of_agent("~x"), Err(NameError::InvalidCharacters));
    }

    #[test]
    fn names_keep_to_the_alphabet() {
        assert_eq!(ClusterName::parse("a_B-9").expect("valid").as_str(), "a_B-9");
        assert_eq!(ClusterName::parse(""), Err(NameError::Empty));
        assert_eq!(ClusterName::parse("a b"), Err(NameError::InvalidCharacters));
        assert_eq!(ClusterName::parse("ü"), Err(NameError::InvalidCharacters));
        assert_eq!(ClusterName::parse(&"x".repeat(256)), Err(NameError::TooLong));
        assert!(ClusterName::parse(&"x".repeat(255)).is_ok());
        assert_eq!(ClusterName::parse(FARGATE_POOL), Err(NameError::InvalidCharacters));
    }
}
