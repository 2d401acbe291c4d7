//! Ids: a prefix, and 17 hexadecimal digits of which the first is 0 (observe-and-scale K14).

use std::sync::Arc;

use longshore_base::{Scope, Seed};
use sha2::{Digest, Sha256};

/// What an id says about itself.
pub mod prefix {
    pub const VPC: &str = "vpc-";
    pub const CIDR_ASSOCIATION: &str = "vpc-cidr-assoc-";
    pub const SUBNET: &str = "subnet-";
    pub const GROUP: &str = "sg-";
    pub const RULE: &str = "sgr-";
    pub const GATEWAY: &str = "igw-";
    pub const ROUTE_TABLE: &str = "rtb-";
    pub const ROUTE_ASSOCIATION: &str = "rtbassoc-";
    pub const ACL: &str = "acl-";
    pub const ACL_ASSOCIATION: &str = "aclassoc-";
    pub const DHCP_OPTIONS: &str = "dopt-";
    pub const KEY_PAIR: &str = "key-";
    pub const TEMPLATE: &str = "lt-";
    pub const INTERFACE: &str = "eni-";
    pub const ATTACHMENT: &str = "eni-attach-";
    pub const RESERVATION: &str = "r-";
}

/// A new id out of a seed. It goes through a digest, so that an id, which everybody may see, does not tell the seed.
pub fn drawn(prefix: &str, seed: Seed) -> Arc<str> {
    of_digest(prefix, Sha256::new().chain_update(seed.to_bytes()))
}

/// The id of something that a realm has without anybody having made it: the same every time.
pub fn fixed(prefix: &str, scope: &Scope, what: &str) -> Arc<str> {
    of_digest(prefix, Sha256::new().chain_update(format!("{}\0{}\0{what}", scope.account, scope.region)))
}

/// The id of something that comes with another thing, and goes with it.
pub fn derived(prefix: &str, from: &str) -> Arc<str> {
    of_digest(prefix, Sha256::new().chain_update(from))
}

fn of_digest(prefix: &str, digest: Sha256) -> Arc<str> {
    let digest = <[u8; 32]>::from(digest.finalize());
    let digits: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}0{digits}").into()
}

#[cfg(test)]
mod tests {
    use longshore_base::{AccountId, Region};

    use super::*;

    #[test]
    fn ids_have_their_form_and_do_not_meet() {
        let scope = |region| {
            let account = AccountId::parse("111122223333").expect("twelve digits");
            Scope::new(account, Region::parse(region).expect("a region"))
        };
        let id = fixed(prefix::VPC, &scope("eu-west-1"), "default");
        assert_eq!((id.len(), &id[..5]), (4 + 17, "vpc-0"), "{id}");
        assert_eq!(id, fixed(prefix::VPC, &scope("eu-west-1"), "default"));
        assert_ne!(id, fixed(prefix::VPC, &scope("eu-west-2"), "default"));
        assert_ne!(id, fixed(prefix::VPC, &scope("eu-west-1"), "other"));
        assert_ne!(drawn(prefix::VPC, Seed::new(1)), drawn(prefix::VPC, Seed::new(2)));
        assert_ne!(derived(prefix::ACL, "vpc-1"), derived(prefix::ACL, "vpc-2"));
    }
}
