//! Login profiles, the password policy and the alias.

use longshore_api::PrincipalKind;
use longshore_api_identity::is_password;

use crate::support::{ACCOUNT, World, all, one};

#[test]
fn a_password_is_known_by_its_hash_alone() {
    let world = World::new();
    let id = one(&world.ok("CreateUser", &[("UserName", "ada")]), "UserId");
    let (user, password) = (("UserName", "ada"), "correct-Horse-7");
    let made =
        world.ok("CreateLoginProfile", &[user, ("Password", password), ("PasswordResetRequired", "true")]);
    assert_eq!(one(&made, "PasswordResetRequired"), "true");
    assert!(!made.contains(password) && !format!("{:?}", world.records()).contains(password));
    let is =
        |text: &str| world.db.peek(|state| is_password(state, world.account(), &id, text)).expect("unlocked");
    assert!(is(password) && !is("correct-Horse-8") && !is(""));
    assert_eq!(
        world.refused("CreateLoginProfile", &[user, ("Password", password)]),
        "EntityAlreadyExists: Login Profile for user ada already exists."
    );
    world.ok(
        "UpdateLoginProfile",
        &[user, ("Password", "another-Horse-7"), ("PasswordResetRequired", "false")],
    );
    assert!(is("another-Horse-7") && !is(password));
    assert_eq!(one(&world.ok("GetLoginProfile", &[user]), "PasswordResetRequired"), "false");
    world.ok("DeleteLoginProfile", &[user]);
    assert!(!is("another-Horse-7"));
    for action in ["GetLoginProfile", "DeleteLoginProfile", "UpdateLoginProfile"] {
        assert_eq!(
            world.refused(action, &[user]),
            "NoSuchEntity: Login Profile for User ada cannot be found."
        );
    }
}

#[test]
fn passwords_look_as_the_account_says() {
    let world = World::new();
    world.ok("CreateUser", &[("UserName", "ada")]);
    let with =
        |password: &str| world.refused("CreateLoginProfile", &[("UserName", "ada"), ("Password", password)]);
    assert_eq!(with("aB3!"), "PasswordPolicyViolation: Password should have a minimum length of 8");
    assert!(
        with("abcdefgh1")
            .starts_with("PasswordPolicyViolation: Password should have characters of at least three")
    );
    let none = format!("NoSuchEntity: The Password Policy with domain name {ACCOUNT} cannot be found.");
    assert_eq!(world.refused("GetAccountPasswordPolicy", &[]), none);
    world.ok(
        "UpdateAccountPasswordPolicy",
        &[("MinimumPasswordLength", "12"), ("RequireSymbols", "true"), ("MaxPasswordAge", "90")],
    );
    let shown = world.ok("GetAccountPasswordPolicy", &[]);
    assert_eq!(
        (one(&shown, "MinimumPasswordLength"), one(&shown, "ExpirePasswords")),
        ("12".into(), "true".into())
    );
    assert_eq!((one(&shown, "RequireNumbers"), one(&shown, "MaxPasswordAge")), ("false".into(), "90".into()));
    assert_eq!(with("abcdefgh1!"), "PasswordPolicyViolation: Password should have a minimum length of 12");
    assert_eq!(with("abcdefghijklm"), "PasswordPolicyViolation: Password should have at least one symbol");
    world.ok("CreateLoginProfile", &[("UserName", "ada"), ("Password", "abcdefghijkl!")]);
    world.ok("DeleteAccountPasswordPolicy", &[]);
    assert_eq!(world.refused("DeleteAccountPasswordPolicy", &[]), none);
}

#[test]
fn an_alias_is_one_accounts() {
    let mut world = World::new();
    for bad in ["-ab", "ab-", "a--b", "A-b", "123456789012"] {
        let told = world.refused("CreateAccountAlias", &[("AccountAlias", bad)]);
        assert!(
            told.starts_with("ValidationError: The specified value for accountAlias is invalid."),
            "{told}"
        );
    }
    world.ok("CreateAccountAlias", &[("AccountAlias", "acme")]);
    world.ok("CreateAccountAlias", &[("AccountAlias", "acme-2")]);
    assert_eq!(all(&world.ok("ListAccountAliases", &[]), "member"), ["acme-2"]);
    assert!(world.refused("DeleteAccountAlias", &[("AccountAlias", "acme")]).starts_with("NoSuchEntity: "));
    world.act_as("444455556666", PrincipalKind::Root, "arn:aws:iam::444455556666:root");
    assert_eq!(
        world.refused("CreateAccountAlias", &[("AccountAlias", "acme-2")]),
        "EntityAlreadyExists: The account alias acme-2 already exists."
    );
    world.act_as(ACCOUNT, PrincipalKind::Root, "arn:aws:iam::111122223333:root");
    world.ok("DeleteAccountAlias", &[("AccountAlias", "acme-2")]);
    assert!(world.records().ops().iter().all(|op| !format!("{op:?}").contains("account-settings")));
}
