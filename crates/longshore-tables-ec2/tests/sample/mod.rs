//! One record of each kind, with no member left empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::{AccountId, Cidr, Region, Scope, Timestamp};
use longshore_domain::tags::Tags;
use longshore_keyring::Sealed;
use longshore_state::Records;
use longshore_tables_ec2::record::*;
use longshore_tables_ec2::{OwnKey, RealmKey, VersionKey};

pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub fn scope() -> Scope {
    let account = AccountId::parse("111122223333").expect("twelve digits");
    Scope::new(account, Region::parse("eu-west-1").expect("a region"))
}

pub fn tags() -> Tags {
    [("Name".to_owned(), "net".to_owned())].into()
}

pub fn cidr(text: &str) -> Cidr {
    text.parse().expect("a network")
}

pub fn vpc() -> Vpc {
    Vpc {
        cidr: cidr("10.1.0.0/16"),
        is_default: true,
        is_dedicated: true,
        dns_support: true,
        dns_hostnames: true,
        usage_metrics: true,
        dhcp_options: "dopt-1".into(),
        main_table: "rtb-1".into(),
        main_association: "rtbassoc-1".into(),
        tags: tags(),
    }
}

fn rule(n: u32, peer: Peer) -> Rule {
    Rule {
        id: format!("sgr-{n}").into(),
        permission: Permission { is_egress: n == 1, protocol: "tcp".into(), from: 80, to: 443, peer },
        description: Some("web".into()),
        tags: tags(),
    }
}

pub fn records() -> Records {
    let mut records = Records::new();
    let key = |id: &str| OwnKey { scope: scope(), id: id.into() };
    records.insert::<Settled>(RealmKey(scope()), Arc::new(Settled { at: NOW }));
    records.insert::<Vpc>(key("vpc-1"), Arc::new(vpc()));
    let subnet = Subnet {
        vpc: "vpc-1".into(),
        cidr: cidr("10.1.2.0/24"),
        zone: "eu-west-1a".into(),
        is_default: true,
        public_addresses: true,
        hostnames: Hostnames { by_resource: true, a_records: true, aaaa_records: true },
        tags: tags(),
    };
    records.insert::<Subnet>(key("subnet-1"), Arc::new(subnet));
    let rules = vec![
        rule(1, Peer::Ipv4(cidr("0.0.0.0/0"))),
        rule(2, Peer::Ipv6("::/0".into())),
        rule(3, Peer::Group("sg-1".into())),
    ];
    let group = SecurityGroup {
        vpc: "vpc-1".into(),
        name: "web".into(),
        description: "what it is for".into(),
        rules,
        tags: tags(),
    };
    records.insert::<SecurityGroup>(key("sg-1"), Arc::new(group));
    let gateway = InternetGateway { vpc: Some("vpc-1".into()), tags: tags() };
    records.insert::<InternetGateway>(key("igw-1"), Arc::new(gateway));
    let routes = BTreeMap::from([
        (Destination::Ipv4(cidr("0.0.0.0/0")), Arc::from("igw-1")),
        (Destination::Ipv6("::/0".into()), Arc::from("igw-1")),
    ]);
    let subnets = BTreeMap::from([(Arc::from("rtbassoc-2"), Arc::from("subnet-1"))]);
    let table = RouteTable { vpc: "vpc-1".into(), routes, subnets, tags: tags() };
    records.insert::<RouteTable>(key("rtb-1"), Arc::new(table));
    let acl = NetworkAcl { vpc: "vpc-1".into(), tags: tags() };
    records.insert::<NetworkAcl>(key("acl-1"), Arc::new(acl));
    records.insert::<DhcpOptions>(key("dopt-1"), Arc::new(DhcpOptions { tags: tags() }));
    let pair = KeyPair {
        name: "ada".into(),
        kind: KeyKind::Ed25519,
        fingerprint: "c29tZXRoaW5n=".into(),
        public_key: "ssh-ed25519 AAAA ada".into(),
        created_at: NOW,
        tags: tags(),
    };
    records.insert::<KeyPair>(key("key-1"), Arc::new(pair));
    let template = LaunchTemplate {
        name: "web".into(),
        created_at: NOW,
        created_by: "arn:aws:iam::111122223333:root".into(),
        default_version: 2,
        last_version: 3,
        tags: tags(),
    };
    records.insert::<LaunchTemplate>(key("lt-1"), Arc::new(template));
    let version = TemplateVersion {
        data: Sealed::from_bytes(vec![1, 2, 3]),
        description: Some("the second".into()),
        created_at: NOW,
        created_by: "arn:aws:iam::111122223333:root".into(),
    };
    records.insert::<TemplateVersion>(
        VersionKey { scope: scope(), template: "lt-1".into(), number: 2 },
        Arc::new(version),
    );
    records
}
