//! One record of each kind, with no member left empty.

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_base::{AccountId, Timestamp};
use longshore_domain::tags::Tags;
use longshore_keyring::Sealed;
use longshore_state::Records;
use longshore_tables_iam::record::*;
use longshore_tables_iam::{AccountKey, InlineKey, OwnKey, VersionKey};

pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub const ALLOW: &str =
    r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}}"#;
pub const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
 "Principal": {"Service": "ecs-tasks.amazonaws.com", "AWS": "AIDAAAAAAAAAAAAAAAAAA"}}]}"#;

pub fn account() -> AccountId {
    AccountId::parse("111122223333").expect("twelve digits")
}

pub fn tags() -> Tags {
    [("Team".to_owned(), "red".to_owned())].into()
}

pub fn own(id: &str, name: &str) -> Own {
    Own { id: id.into(), name: name.into(), path: "/ops/".into(), created_at: NOW, tags: tags() }
}

fn grants() -> Grants {
    let attached = [PolicyRef::Aws("AdministratorAccess".into()), PolicyRef::Own("ANPA1".into())];
    Grants { attached: attached.into(), boundary: Some(PolicyRef::Own("ANPA1".into())) }
}

fn last_use() -> Option<LastUse> {
    Some(LastUse { at: NOW, region: "eu-west-1".into(), service: "ecs".into() })
}

pub fn records() -> Records {
    let mut records = Records::new();
    let key = |id: &str| OwnKey { account: account(), id: id.into() };
    let groups = BTreeSet::from([Arc::from("AGPA1")]);
    records
        .insert::<User>(key("AIDA1"), Arc::new(User { own: own("AIDA1", "Ada"), grants: grants(), groups }));
    let group = Group { own: Own { tags: Tags::new(), ..own("AGPA1", "Admins") }, grants: grants() };
    records.insert::<Group>(key("AGPA1"), Arc::new(group));
    let role = Role {
        own: own("AROA1", "web"),
        grants: grants(),
        trust: TrustPolicy::new(TRUST).expect("a policy"),
        description: Some("what it is for".into()),
        session_max: 7200,
        service: Some("ecs.amazonaws.com".into()),
        last_used: last_use(),
    };
    records.insert::<Role>(key("AROA1"), Arc::new(role));
    let policy = ManagedPolicy {
        own: own("ANPA1", "deploy"),
        description: Some("what it is for".into()),
        updated_at: NOW,
        default_version: 2,
        last_version: 3,
    };
    records.insert::<ManagedPolicy>(key("ANPA1"), Arc::new(policy));
    let document = IdentityPolicy::new(ALLOW).expect("a policy");
    records.insert::<PolicyVersion>(
        VersionKey { account: account(), policy: "ANPA1".into(), number: 2 },
        Arc::new(PolicyVersion { document: document.clone(), created_at: NOW }),
    );
    records.insert::<InlinePolicy>(
        InlineKey { account: account(), holder: "AROA1".into(), name: "own".into() },
        Arc::new(InlinePolicy { document }),
    );
    let profile = InstanceProfile { own: own("AIPA1", "web"), role: Some("AROA1".into()) };
    records.insert::<InstanceProfile>(key("AIPA1"), Arc::new(profile));
    records.insert::<AccessKey>(
        key("AKIA1"),
        Arc::new(AccessKey {
            user: "AIDA1".into(),
            secret: Sealed::from_bytes(vec![1, 2, 3]),
            active: true,
            created_at: NOW,
            last_used: last_use(),
        }),
    );
    records.insert::<LoginProfile>(
        key("AIDA1"),
        Arc::new(LoginProfile {
            hash: Sealed::from_bytes(vec![4, 5]),
            created_at: NOW,
            reset_required: true,
        }),
    );
    records.insert::<OidcProvider>(
        key("token.actions.githubusercontent.com/a"),
        Arc::new(OidcProvider {
            created_at: NOW,
            clients: BTreeSet::from([Arc::from("sts.amazonaws.com")]),
            thumbprints: vec!["0123456789012345678901234567890123456789".into()],
            tags: tags(),
        }),
    );
    let passwords = PasswordPolicy {
        length_min: 12,
        symbols: true,
        numbers: true,
        uppercase: true,
        lowercase: true,
        users_may_change: true,
        age_max: Some(90),
        reuse_prevention: Some(5),
        hard_expiry: true,
    };
    records.insert::<AccountSettings>(
        AccountKey(account()),
        Arc::new(AccountSettings { alias: Some("acme".into()), passwords: Some(passwords) }),
    );
    records.insert::<DeletionTask>(
        key("AWSServiceRoleForECS"),
        Arc::new(DeletionTask {
            task: "task/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS/1".into(),
            failure: Some("clusters".into()),
        }),
    );
    records
}
