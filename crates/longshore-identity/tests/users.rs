//! Keys of users that have a record, beside the keyring.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use longshore_base::{AccountId, Timestamp};
use longshore_identity::{
    AccessKey, AuthError, Identity, InstanceKey, InstanceOfKey, Keyring, Mode, Principal, PrincipalKind,
    Session, SessionKey, SessionSource, SessionToken, Use, User, UserKey, Users,
};
use longshore_sigv4::{CLOCK_SKEW, Credentials, Request, Secret, ToSign, sign};

const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000);
const KEY: &str = "AKIAQWERTYUIOPASDFGH";

/// Of whatever token says `valid`.
const SESSION: &str = "ASIAQWERTYUIOPASDFGH";
const EXPIRES: Timestamp = Timestamp::from_millis(NOW.as_millis() + 1000);

/// Of a container instance.
const INSTANCE_KEY: &str = "LSCIQWERTYUIOPASDFGH";
const INSTANCE: &str = "arn:aws:ecs:eu-west-1:111122223333:container-instance/c/7";

/// One user, `ada`, with one key, and tokens that say what they are.
#[derive(Default)]
struct Book {
    is_inactive: AtomicBool,
    is_deleted: AtomicBool,
    opened: AtomicUsize,
    noted: AtomicUsize,
}

fn account() -> AccountId {
    AccountId::parse("111122223333").expect("twelve digits")
}

fn ada() -> User {
    User { id: "AIDAADA".into(), name: "ada".into(), path: "/team/a/".into() }
}

impl Users for Book {
    fn key(&self, access_key_id: &str, used: Use<'_>) -> Option<UserKey> {
        let is_active = !self.is_inactive.load(Ordering::SeqCst);
        let is_there = access_key_id == KEY && !self.is_deleted.load(Ordering::SeqCst);
        let is_news = used.region == "eu-west-1" && used.service == "ecs" && used.now == NOW;
        is_there.then(|| UserKey { account: account(), user: ada(), is_active, is_news })
    }

    fn secret(&self, access_key_id: &str) -> Option<Secret> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        (access_key_id == KEY).then(|| Secret::new("secret"))
    }

    fn instance(&self, access_key_id: &str) -> InstanceOfKey {
        match access_key_id {
            INSTANCE_KEY => {
                InstanceOfKey::Known(InstanceKey { account: account(), arn: INSTANCE.into(), id: "7".into() })
            }
            other if other.starts_with("LSCI") => InstanceOfKey::Ended,
            _ => InstanceOfKey::Foreign,
        }
    }

    fn instance_secret(&self, access_key_id: &str) -> Option<Secret> {
        (access_key_id == INSTANCE_KEY).then(|| Secret::new("own"))
    }

    fn named(&self, of: AccountId, name: &str) -> Option<User> {
        (of == account() && name == "ada").then(ada)
    }

    fn used(&self, access_key_id: &str, used: Use<'_>) {
        assert_eq!((access_key_id, used.region, used.service), (KEY, "eu-west-1", "ecs"));
        self.noted.fetch_add(1, Ordering::SeqCst);
    }

    fn session(&self, access_key_id: &str, token: &str) -> SessionToken {
        let source = match (access_key_id, token) {
            (SESSION, "role" | "guest") => SessionSource::Role,
            (SESSION, "own") => SessionSource::Token,
            (_, "foreign") => return SessionToken::Foreign,
            _ => return SessionToken::Invalid,
        };
        let is_guest = token == "guest";
        SessionToken::Valid(Box::new(SessionKey {
            account: account(),
            secret: Secret::new("hidden"),
            kind: if is_guest { PrincipalKind::Guest } else { PrincipalKind::Session },
            resource: "assumed-role/web/task-1".to_owned(),
            name: "web/task-1".into(),
            id: Some("AROAWEB".into()),
            expires: EXPIRES,
            session: Arc::new(Session {
                source,
                issued_at: NOW,
                limits: None,
                tags: Vec::new(),
                transitive_tags: BTreeSet::new(),
                source_identity: None,
                provider: None,
            }),
        }))
    }

    fn session_used(&self, key: &SessionKey, _: Use<'_>) {
        assert_eq!(&*key.name, "web/task-1");
        self.noted.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a request with this token gives, for `service`, at `now`.
fn present(
    mode: Mode,
    id: &str,
    secret: &str,
    token: &str,
    service: &str,
    now: Timestamp,
) -> (String, usize) {
    let book = Arc::new(Book::default());
    let identity = Identity::new(mode, Arc::default()).with_users(book.clone());
    let mut credentials = Credentials::new(id, secret);
    credentials.session_token = Some(Secret::new(token));
    let headers = [("host", "h")];
    let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &headers, body: b"{}" };
    let mut headers = vec![("host", "h".to_owned())];
    headers.extend(sign(&to_sign, &credentials, "eu-west-1", service, now));
    let headers = headers.as_slice();
    let request = Request { method: "POST", path: "/", query: "", headers: &headers };
    let got = match identity.authenticate(&request, b"{}", now, CLOCK_SKEW) {
        Ok(who) => format!("{:?} {}", who.kind, who.arn),
        Err(error) => error.kind().code().to_owned(),
    };
    (got, book.noted.load(Ordering::SeqCst))
}

#[test]
fn a_session_is_what_its_token_says() {
    use Mode::{Open, Strict};
    let session = "Session arn:aws:sts::111122223333:assumed-role/web/task-1";
    let guest = "Guest arn:aws:sts::111122223333:assumed-role/web/task-1";
    let unknown = "UnrecognizedClientException";
    for (mode, id, secret, token, service, now, want) in [
        (Strict, SESSION, "hidden", "role", "ecs", NOW, session),
        (Strict, SESSION, "hidden", "role", "iam", NOW, session),
        (Open, SESSION, "hidden", "role", "ecs", NOW, session),
        (Strict, SESSION, "wrong", "role", "ecs", NOW, "InvalidSignatureException"),
        (Open, SESSION, "wrong", "role", "ecs", NOW, "InvalidSignatureException"),
        (Strict, SESSION, "hidden", "role", "ecs", EXPIRES, "ExpiredTokenException"),
        // Only who can sign learns that it is over.
        (Strict, SESSION, "wrong", "role", "ecs", EXPIRES, "InvalidSignatureException"),
        (Strict, SESSION, "hidden", "damaged", "ecs", NOW, unknown),
        (Open, SESSION, "hidden", "damaged", "ecs", NOW, unknown),
        (Strict, "ASIAANOTHER", "hidden", "role", "ecs", NOW, unknown),
        (Open, "ASIAANOTHER", "hidden", "role", "ecs", NOW, unknown),
        (Strict, "ASIAANOTHER", "hidden", "foreign", "ecs", NOW, unknown),
        (Open, "ASIAANOTHER", "hidden", "foreign", "ecs", NOW, "Guest arn:aws:iam::000000000000:root"),
        (Open, SESSION, "hidden", "guest", "ecs", NOW, guest),
        (Strict, SESSION, "hidden", "guest", "ecs", NOW, unknown),
        // Without a second factor a user's own session is not for IAM.
        (Strict, SESSION, "hidden", "own", "iam", NOW, unknown),
    ] {
        let (got, noted) = present(mode, id, secret, token, service, now);
        assert_eq!(got, want, "{mode:?} {id} {secret} {token} {service}");
        let is_used = got.starts_with("Session") || got == guest;
        assert_eq!(noted, usize::from(is_used), "{mode:?} {id} {secret} {token} {service}");
    }
}

fn ask(identity: &Identity, id: &str, secret: &str) -> Result<Principal, AuthError> {
    let headers = [("host", "h")];
    let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &headers, body: b"{}" };
    let mut headers = vec![("host", "h".to_owned())];
    headers.extend(sign(&to_sign, &Credentials::new(id, secret), "eu-west-1", "ecs", NOW));
    let headers = headers.as_slice();
    let request = Request { method: "POST", path: "/", query: "", headers: &headers };
    identity.authenticate(&request, b"{}", NOW, CLOCK_SKEW)
}

fn known(name: &str) -> Keyring {
    let ring = Keyring::new();
    let key = AccessKey {
        credentials: Credentials::new("AKIAFILE", "hush"),
        account: account(),
        kind: PrincipalKind::User,
        name: name.into(),
        expires: None,
    };
    ring.add(key).expect("room");
    ring
}

#[test]
fn a_users_key_signs_as_long_as_its_record_says_so() {
    for mode in [Mode::Open, Mode::Strict] {
        let book = Arc::new(Book::default());
        let identity = Identity::new(mode, Arc::default()).with_users(book.clone());
        for _ in 0..3 {
            let who = ask(&identity, KEY, "secret").expect("the key is right");
            assert_eq!(&*who.arn, "arn:aws:iam::111122223333:user/team/a/ada");
            assert_eq!(
                (who.kind, &*who.name, who.id.as_deref()),
                (PrincipalKind::User, "ada", Some("AIDAADA"))
            );
            assert_eq!(who.scope.account, account());
        }
        assert_eq!(book.opened.load(Ordering::SeqCst), 1, "what was derived is kept");
        assert_eq!(book.noted.load(Ordering::SeqCst), 3);
        let wrong = ask(&identity, KEY, "wrong").expect_err("the signature is wrong");
        assert_eq!(wrong.kind().code(), "InvalidSignatureException", "{mode:?}");
        assert_eq!(book.noted.load(Ordering::SeqCst), 3, "who cannot sign uses no key");
        book.is_inactive.store(true, Ordering::SeqCst);
        assert_eq!(ask(&identity, KEY, "secret"), Err(AuthError::Unrecognized), "{mode:?}");
        assert_eq!(ask(&identity, KEY, "wrong"), Err(AuthError::Unrecognized), "{mode:?}");
        book.is_inactive.store(false, Ordering::SeqCst);
        assert!(ask(&identity, KEY, "secret").is_ok(), "it may come back");
    }
}

/// The cache of derived keys knows a key for longer than there is one.
#[test]
fn a_deleted_key_is_unknown_at_once() {
    let book = Arc::new(Book::default());
    let identity = Identity::new(Mode::Strict, Arc::default()).with_users(book.clone());
    assert!(ask(&identity, KEY, "secret").is_ok());
    book.is_deleted.store(true, Ordering::SeqCst);
    assert_eq!(ask(&identity, KEY, "secret"), Err(AuthError::Unrecognized));
}

/// identity J1: an entry of `--keys` names a user, whom IAM may know.
#[test]
fn a_user_of_the_ring_is_the_one_of_his_name() {
    for (name, arn, id) in
        [("ada", "user/team/a/ada", Some("AIDAADA")), ("bob", "user/bob", None), ("Ada", "user/Ada", None)]
    {
        let identity =
            Identity::new(Mode::Strict, Arc::new(known(name))).with_users(Arc::new(Book::default()));
        let who = ask(&identity, "AKIAFILE", "hush").expect("the key is right");
        assert_eq!(*who.arn, *format!("arn:aws:iam::111122223333:{arn}"));
        assert_eq!((&*who.name, who.id.as_deref()), (name, id));
    }
}

#[test]
fn the_key_of_an_instance_is_that_instance_and_never_a_guest() {
    for mode in [Mode::Open, Mode::Strict] {
        let of = |id: &str, secret: &str| {
            let identity = Identity::new(mode, Arc::default()).with_users(Arc::new(Book::default()));
            let headers = [("host", "h")];
            let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &headers, body: b"{}" };
            let mut headers = vec![("host", "h".to_owned())];
            headers.extend(sign(&to_sign, &Credentials::new(id, secret), "eu-west-1", "ecs", NOW));
            let headers = headers.as_slice();
            let request = Request { method: "POST", path: "/", query: "", headers: &headers };
            identity.authenticate(&request, b"{}", NOW, CLOCK_SKEW)
        };
        let who = of(INSTANCE_KEY, "own").expect("it is known");
        assert_eq!((who.kind, &*who.arn, who.id.as_deref()), (PrincipalKind::Instance, INSTANCE, Some("7")));
        assert_eq!(who.scope.account, account());
        let code = |answer: Result<Principal, AuthError>| answer.map(|_| ()).map_err(|e| e.kind().code());
        assert_eq!(code(of(INSTANCE_KEY, "another's")), Err("InvalidSignatureException"), "{mode:?}");
        assert_eq!(code(of("LSCIAAAAAAAAAAAAAAAA", "x")), Err("UnrecognizedClientException"), "{mode:?}");
    }
}
