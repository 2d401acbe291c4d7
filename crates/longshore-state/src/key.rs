//! How records are named in the store. This crate is the only one that spells a key.
//!
//! Keys are text, `<account>/<region>/<kind>/<name>...`. No part can hold a `/`, because names,
//! ids and regions cannot; the two free texts (principals and tokens) come last or are hex.

use longshore_base::{
    AccountId, ClusterName, DeploymentId, Family, InstanceId, Region, Scope, ServiceDeploymentId,
    ServiceName, TaskId,
};

/// A cluster's full name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterKey {
    pub scope: Scope,
    pub cluster: ClusterName,
}

/// A service's full name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    pub cluster: ClusterKey,
    pub service: ServiceName,
}

/// A container instance's full name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    pub cluster: ClusterKey,
    pub instance: InstanceId,
}

impl ClusterKey {
    pub fn new(scope: Scope, cluster: ClusterName) -> Self {
        Self { scope, cluster }
    }

    /// The Fargate pool of a region: instances that belong to no cluster and take tasks of every
    /// account. Nobody else has a cluster of this name (see [`longshore_base::FARGATE_POOL`]).
    pub fn pool(region: Region) -> Self {
        Self { scope: Scope::new(AccountId::OPERATOR, region), cluster: ClusterName::fargate_pool() }
    }

    pub fn is_pool(&self) -> bool {
        self.cluster.is_fargate_pool() && self.scope.account == AccountId::OPERATOR
    }

    pub fn service(&self, service: &ServiceName) -> ServiceKey {
        ServiceKey { cluster: self.clone(), service: service.clone() }
    }

    pub fn instance(&self, instance: InstanceId) -> InstanceKey {
        InstanceKey { cluster: self.clone(), instance }
    }
}

/// The name of one record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Cluster(ClusterKey),
    Instance(ClusterKey, InstanceId),
    FamilyCounter(Scope, Family),
    TaskDefinition(Scope, Family, u32),
    Task(ClusterKey, TaskId),
    Service(ClusterKey, ServiceName),
    /// The slot in the ring of the service's newest events.
    ServiceEvent(ClusterKey, ServiceName, u8),
    ServiceDeployment(ClusterKey, ServiceName, ServiceDeploymentId),
    ServiceRevision(ClusterKey, ServiceName, DeploymentId),
    TaskSet(ClusterKey, ServiceName, DeploymentId),
    CapacityProvider(Scope, String),
    /// Name and principal.
    AccountSetting(Scope, String, String),
    Token(ClusterKey, String),
}

impl Key {
    pub fn scope(&self) -> &Scope {
        match self {
            Key::Cluster(at)
            | Key::Instance(at, _)
            | Key::Task(at, _)
            | Key::Service(at, _)
            | Key::ServiceEvent(at, _, _)
            | Key::ServiceDeployment(at, _, _)
            | Key::ServiceRevision(at, _, _)
            | Key::TaskSet(at, _, _)
            | Key::Token(at, _) => &at.scope,
            Key::FamilyCounter(scope, _)
            | Key::TaskDefinition(scope, _, _)
            | Key::CapacityProvider(scope, _)
            | Key::AccountSetting(scope, _, _) => scope,
        }
    }

    /// The key's text in the store.
    pub fn encode(&self) -> String {
        let Scope { account, region } = self.scope();
        match self {
            Key::Cluster(at) => format!("{account}/{region}/c/{}", at.cluster),
            Key::Instance(at, id) => format!("{account}/{region}/i/{}/{id}", at.cluster),
            Key::FamilyCounter(_, family) => format!("{account}/{region}/f/{family}"),
            Key::TaskDefinition(_, family, revision) => {
                format!("{account}/{region}/d/{family}/{revision:010}")
            }
            Key::Task(at, id) => format!("{account}/{region}/t/{}/{id}", at.cluster),
            Key::Service(at, name) => format!("{account}/{region}/s/{}/{name}", at.cluster),
            Key::ServiceEvent(at, name, slot) => {
                format!("{account}/{region}/e/{}/{name}/{slot:03}", at.cluster)
            }
            Key::ServiceDeployment(at, name, id) => {
                format!("{account}/{region}/sd/{}/{name}/{id}", at.cluster)
            }
            Key::ServiceRevision(at, name, id) => {
                format!("{account}/{region}/sr/{}/{name}/{}", at.cluster, id.digits())
            }
            Key::TaskSet(at, name, id) => {
                format!("{account}/{region}/ts/{}/{name}/{}", at.cluster, id.digits())
            }
            Key::CapacityProvider(_, name) => format!("{account}/{region}/p/{name}"),
            Key::AccountSetting(_, name, principal) => format!("{account}/{region}/a/{name}/{principal}"),
            Key::Token(at, token) => format!("{account}/{region}/k/{}/{token}", at.cluster),
        }
    }

    /// How many bytes [`Key::encode`] would give, without making them.
    pub fn encoded_len(&self) -> usize {
        const ACCOUNT: usize = 12;
        const ID: usize = 32;
        const REVISION: usize = 10;
        const SLOT: usize = 3;
        // The kind, and a slash behind each part but the last.
        let (kind, rest) = match self {
            Key::Cluster(at) => (1, at.cluster.as_str().len()),
            Key::Instance(at, _) | Key::Task(at, _) => (1, at.cluster.as_str().len() + 1 + ID),
            Key::FamilyCounter(_, family) => (1, family.as_str().len()),
            Key::TaskDefinition(_, family, _) => (1, family.as_str().len() + 1 + REVISION),
            Key::Service(at, name) => (1, at.cluster.as_str().len() + 1 + name.as_str().len()),
            Key::ServiceEvent(at, name, _) => {
                (1, at.cluster.as_str().len() + 1 + name.as_str().len() + 1 + SLOT)
            }
            Key::ServiceDeployment(at, name, id) => {
                (2, at.cluster.as_str().len() + 1 + name.as_str().len() + 1 + id.to_string().len())
            }
            Key::ServiceRevision(at, name, id) | Key::TaskSet(at, name, id) => {
                (2, at.cluster.as_str().len() + 1 + name.as_str().len() + 1 + id.digits().to_string().len())
            }
            Key::CapacityProvider(_, name) => (1, name.len()),
            Key::AccountSetting(_, name, principal) => (1, name.len() + 1 + principal.len()),
            Key::Token(at, token) => (1, at.cluster.as_str().len() + 1 + token.len()),
        };
        ACCOUNT + 1 + self.scope().region.as_str().len() + 1 + kind + 1 + rest
    }

    /// Reads a key back; `None` if it is not one of ours.
    pub fn decode(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '/');
        let account = AccountId::parse(parts.next()?)?;
        let scope = Scope::new(account, Region::parse(parts.next()?)?);
        let (kind, rest) = (parts.next()?, parts.next()?);
        let in_cluster = |rest: &str| -> Option<(ClusterKey, String)> {
            let (cluster, rest) = rest.split_once('/')?;
            let pool = ClusterKey::pool(scope.region.clone());
            if cluster == pool.cluster.as_str() && scope == pool.scope {
                return Some((pool, rest.to_owned()));
            }
            Some((ClusterKey::new(scope.clone(), ClusterName::parse(cluster).ok()?), rest.to_owned()))
        };
        let in_service = |rest: &str| -> Option<(ClusterKey, ServiceName, String)> {
            let (at, rest) = in_cluster(rest)?;
            let (service, rest) = rest.split_once('/')?;
            Some((at, ServiceName::parse(service).ok()?, rest.to_owned()))
        };
        Some(match kind {
            "c" => Key::Cluster(ClusterKey::new(scope, ClusterName::parse(rest).ok()?)),
            "i" => {
                let (at, id) = in_cluster(rest)?;
                Key::Instance(at, InstanceId::parse(&id).ok()?)
            }
            "f" => Key::FamilyCounter(scope, Family::parse(rest).ok()?),
            "d" => {
                let (family, revision) = rest.split_once('/')?;
                Key::TaskDefinition(scope, Family::parse(family).ok()?, revision.parse().ok()?)
            }
            "t" => {
                let (at, id) = in_cluster(rest)?;
                Key::Task(at, TaskId::parse(&id).ok()?)
            }
            "s" => {
                let (at, name) = in_cluster(rest)?;
                Key::Service(at, ServiceName::parse(&name).ok()?)
            }
            "e" => {
                let (at, name, slot) = in_service(rest)?;
                Key::ServiceEvent(at, name, slot.parse().ok()?)
            }
            "sd" => {
                let (at, name, id) = in_service(rest)?;
                Key::ServiceDeployment(at, name, ServiceDeploymentId::parse(&id).ok()?)
            }
            "sr" => {
                let (at, name, id) = in_service(rest)?;
                Key::ServiceRevision(at, name, DeploymentId::parse(&id).ok()?)
            }
            "ts" => {
                let (at, name, id) = in_service(rest)?;
                Key::TaskSet(at, name, DeploymentId::parse(&id).ok()?)
            }
            "p" => Key::CapacityProvider(scope, rest.to_owned()),
            "a" => {
                let (name, principal) = rest.split_once('/')?;
                Key::AccountSetting(scope, name.to_owned(), principal.to_owned())
            }
            "k" => {
                let (at, token) = in_cluster(rest)?;
                Key::Token(at, token)
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_reads_back() {
        let scope = Scope::new(
            AccountId::parse("000000000000").expect("digits"),
            Region::parse("eu-west-1").expect("a region"),
        );
        let at = ClusterKey::new(scope.clone(), ClusterName::parse("c").expect("valid"));
        let name = ServiceName::parse("web").expect("valid");
        let family = Family::parse("f").expect("valid");
        let keys = [
            Key::Cluster(at.clone()),
            Key::Instance(at.clone(), InstanceId::from_bits(7)),
            Key::FamilyCounter(scope.clone(), family.clone()),
            Key::TaskDefinition(scope.clone(), family, 12),
            Key::Task(at.clone(), TaskId::from_bits(9)),
            Key::Service(at.clone(), name.clone()),
            Key::ServiceEvent(at.clone(), name.clone(), 99),
            Key::ServiceDeployment(at.clone(), name.clone(), ServiceDeploymentId::from_bits(5)),
            Key::ServiceRevision(at.clone(), name.clone(), DeploymentId::from_bits(5)),
            Key::TaskSet(at.clone(), name, DeploymentId::from_bits(6)),
            Key::CapacityProvider(scope.clone(), "cp".into()),
            Key::AccountSetting(scope, "awsvpcTrunking".into(), "arn:aws:iam::000000000000:user/a/b".into()),
            Key::Token(at, "a/b".into()),
            Key::Instance(
                ClusterKey::pool(Region::parse("eu-west-1").expect("a region")),
                InstanceId::from_bits(7),
            ),
        ];
        for key in keys {
            assert_eq!(key.encoded_len(), key.encode().len(), "{key:?}");
            assert_eq!(Key::decode(&key.encode()), Some(key));
        }
        assert_eq!(Key::decode("000000000000/eu-west-1/zz/x"), None);
        assert_eq!(Key::decode(""), None);
        let of_a_user = "123456789012/eu-west-1/i/.fargate/00000000000000000000000000000007";
        assert_eq!(Key::decode(of_a_user), None);
    }
}
