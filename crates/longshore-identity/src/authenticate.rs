//! From the signature of a request to the principal who signed it. Start at [`Identity::authenticate`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use longshore_api::{Principal, PrincipalKind, SessionSource};
use longshore_base::{AccountId, Region, Scope, Timestamp};
use longshore_sigv4::{BodyReader, Form, Presented, Request, Secret, SigError, SigningKey};
use longshore_wire::GenericErrorKind;

use crate::derived::Derived;
use crate::{
    AccessKey, InstanceKey, InstanceOfKey, Keyring, SessionKey, SessionToken, Use, User, UserKey, Users,
};

/// The account of unknown keys in open mode: the number that other local tools use, so that
/// ARNs in existing fixtures keep their meaning.
pub const DEFAULT_ACCOUNT: &str = "000000000000";

/// The region of who names none, as its partition decides what ARNs look like.
const ANONYMOUS_REGION: &str = "us-east-1";

/// Which keys are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Any key; signatures are verified where the secret is known. For loopback.
    Open,
    /// Only known keys with valid signatures.
    Strict,
}

/// Why a request is refused before it is known who sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error(transparent)]
    Signature(#[from] SigError),
    #[error("The security token included in the request is invalid.")]
    Unrecognized,
    #[error("The security token included in the request is expired.")]
    Expired,
    #[error("Credential should be scoped to a valid region.")]
    Region,
    /// Every web page can send a URL or a form with an invented signature in the query (decision 25).
    #[error(
        "In open mode a URL is signed with a key that this server knows. The signature of another key counts in the \
         Authorization header alone."
    )]
    Unproven,
}

impl AuthError {
    /// The error to answer with. Its name depends on the protocol (identity J2).
    pub fn kind(&self) -> GenericErrorKind {
        use GenericErrorKind as K;
        match self {
            AuthError::Signature(SigError::Missing) => K::MissingAuthenticationToken,
            AuthError::Signature(SigError::Incomplete(_)) => K::IncompleteSignature,
            AuthError::Signature(SigError::Expired(_) | SigError::NotYetCurrent(_)) => K::ClockSkew,
            AuthError::Signature(
                SigError::NotSigned(_) | SigError::ScopeDate | SigError::ExpiresRange | SigError::Mismatch,
            )
            | AuthError::Region => K::InvalidSignature,
            AuthError::Signature(SigError::Payload) => K::PayloadMismatch,
            AuthError::Unrecognized => K::UnrecognizedClient,
            AuthError::Expired => K::ExpiredToken,
            AuthError::Unproven => K::ForeignPage,
        }
    }
}

/// What a request says of its credentials, but their secret.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    pub access_key_id: &'a str,
    pub session_token: Option<&'a str>,
    /// The service that the signature is scoped to.
    pub service: &'a str,
}

impl<'a> Claim<'a> {
    fn of(presented: &'a Presented<'_>) -> Self {
        Self {
            access_key_id: presented.access_key_id(),
            session_token: presented.session_token(),
            service: presented.service(),
        }
    }
}

/// Decides who is calling. Shared by every connection.
pub struct Identity {
    mode: Mode,
    default_account: AccountId,
    keyring: Arc<Keyring>,
    users: Option<Arc<dyn Users>>,
    /// Unknown keys are guests, if the mode says so; else guests are those whom a token says so of.
    takes_unknown: bool,
    /// For the users' keys. Those of the ring are with the ring.
    derived: Derived,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, default_account, keyring, .. } = self;
        write!(f, "Identity({mode:?}, {default_account}, {keyring:?})")
    }
}

impl Identity {
    pub fn new(mode: Mode, keyring: Arc<Keyring>) -> Self {
        let default_account = AccountId::parse(DEFAULT_ACCOUNT).expect("the constant has twelve digits");
        Self { mode, default_account, keyring, users: None, takes_unknown: true, derived: Derived::default() }
    }

    /// The same with the users of IAM and their keys.
    #[must_use]
    pub fn with_users(mut self, users: Arc<dyn Users>) -> Self {
        self.users = Some(users);
        self
    }

    /// The same without a place for keys that nobody knows, also in open mode: for where strangers can call, as containers do.
    #[must_use]
    pub fn knowing_all(self) -> Self {
        Self { takes_unknown: false, ..self }
    }

    #[must_use]
    pub fn with_default_account(mut self, account: AccountId) -> Self {
        self.default_account = account;
        self
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Who signed `request` with this `body`, at most `window` ago.
    ///
    /// The body is hashed only where a secret is known. Errors tell apart what a client can act
    /// on, and nothing about the secret.
    pub fn authenticate(
        &self,
        request: &Request<'_>,
        body: &[u8],
        now: Timestamp,
        window: Duration,
    ) -> Result<Principal, AuthError> {
        let verify = |presented: &Presented<'_>, key: Option<&SigningKey>| match key {
            Some(key) => presented.verify(request, key, body),
            None => Ok(()),
        };
        self.decide(request, now, window, verify).map(|(principal, ())| principal)
    }

    /// The same before the body is there, and what verifies it as it comes: until that has seen its end, what it holds
    /// is a claim. Of a guest's, no signature can be verified.
    pub fn authenticate_head(
        &self,
        request: &Request<'_>,
        now: Timestamp,
        window: Duration,
    ) -> Result<(Principal, BodyReader), AuthError> {
        self.decide(request, now, window, |presented, key| match key {
            Some(key) => presented.reader(request, key),
            None => presented.unproven_reader(request),
        })
    }

    /// Who calls an operation that needs no signature, and gives none.
    pub fn anonymous(&self, service: &str) -> Principal {
        let region = Region::parse(ANONYMOUS_REGION).expect("the constant is a region");
        Principal {
            scope: Scope::new(self.default_account, region),
            access_key_id: "".into(),
            arn: "anonymous".into(),
            kind: PrincipalKind::Anonymous,
            name: "".into(),
            id: None,
            session: None,
            service: service.into(),
        }
    }

    /// `verify` gets the signing key if the secret is known.
    fn decide<'r, T>(
        &self,
        request: &Request<'r>,
        now: Timestamp,
        window: Duration,
        verify: impl FnOnce(&Presented<'r>, Option<&SigningKey>) -> Result<T, SigError>,
    ) -> Result<(Principal, T), AuthError> {
        let presented = Presented::parse(request)?;
        let region = Region::parse(presented.region()).ok_or(AuthError::Region)?;
        let claim = Claim::of(&presented);
        let id = claim.access_key_id;
        if let Some(key) = self.keyring.get(id) {
            presented.check_time(now, window)?;
            let body = verify(&presented, Some(&self.keyring.signing_key(&presented, &key)))?;
            check_ends(&key, claim, now)?;
            return Ok((self.of_key(&key, region, claim), body));
        }
        let used = Use { now, region: region.as_str(), service: claim.service };
        if let Some(users) = &self.users
            && let Some(key) = users.key(id, used)
        {
            // Nobody learns of an inactive key more than of one that was never there.
            if !key.is_active {
                return Err(AuthError::Unrecognized);
            }
            presented.check_time(now, window)?;
            let body = verify(&presented, Some(&self.signing_key(&presented, |id| users.secret(id))?))?;
            if claim.session_token.is_some() {
                return Err(AuthError::Unrecognized);
            }
            if key.is_news {
                users.used(id, used);
            }
            return Ok((of_user(&key, region.clone(), claim), body));
        }
        if let Some(users) = &self.users {
            match users.instance(id) {
                InstanceOfKey::Foreign => {}
                // Who was somebody does not become a guest by having ended.
                InstanceOfKey::Ended => return Err(AuthError::Unrecognized),
                InstanceOfKey::Known(key) => {
                    presented.check_time(now, window)?;
                    let secret = |id: &str| users.instance_secret(id);
                    let body = verify(&presented, Some(&self.signing_key(&presented, secret)?))?;
                    if claim.session_token.is_some() {
                        return Err(AuthError::Unrecognized);
                    }
                    return Ok((of_instance(key, region, claim), body));
                }
            }
        }
        if let (Some(users), Some(token)) = (&self.users, claim.session_token) {
            match users.session(id, token) {
                SessionToken::Valid(key) => {
                    presented.check_time(now, window)?;
                    // The secret comes with each request, so that there is nothing to keep in a cache: two sessions whose
                    // ids are the same by chance have two secrets.
                    let body = verify(&presented, Some(&presented.signing_key(&key.secret)))?;
                    self.check_session(&key, claim, now)?;
                    users.session_used(&key, used);
                    return Ok((of_session(&key, region.clone(), claim), body));
                }
                // Who was somebody does not become a guest by having ended.
                SessionToken::Invalid => return Err(AuthError::Unrecognized),
                SessionToken::Foreign => {}
            }
        }
        match self.mode {
            Mode::Strict => Err(AuthError::Unrecognized),
            Mode::Open if !self.takes_unknown => Err(AuthError::Unrecognized),
            Mode::Open if presented.form != Form::Header => Err(AuthError::Unproven),
            Mode::Open => {
                let body = verify(&presented, None)?;
                Ok((self.guest(region, claim), body))
            }
        }
    }

    /// Who has these credentials, of which a signature was right when something was made of them that stands for them (the
    /// password of a registry). Whether they are still good is asked anew.
    pub fn recognise(
        &self,
        claim: Claim<'_>,
        region: Region,
        now: Timestamp,
    ) -> Result<Principal, AuthError> {
        if let Some(key) = self.keyring.get(claim.access_key_id) {
            check_ends(&key, claim, now)?;
            return Ok(self.of_key(&key, region, claim));
        }
        if let Some(users) = &self.users {
            let used = Use { now, region: region.as_str(), service: claim.service };
            if let Some(key) = users.key(claim.access_key_id, used) {
                let is_good = key.is_active && claim.session_token.is_none();
                return if is_good { Ok(of_user(&key, region, claim)) } else { Err(AuthError::Unrecognized) };
            }
            match users.instance(claim.access_key_id) {
                InstanceOfKey::Foreign => {}
                InstanceOfKey::Known(key) if claim.session_token.is_none() => {
                    return Ok(of_instance(key, region, claim));
                }
                InstanceOfKey::Known(_) | InstanceOfKey::Ended => return Err(AuthError::Unrecognized),
            }
            match claim.session_token.map(|token| users.session(claim.access_key_id, token)) {
                Some(SessionToken::Valid(key)) => {
                    self.check_session(&key, claim, now)?;
                    return Ok(of_session(&key, region, claim));
                }
                Some(SessionToken::Invalid) => return Err(AuthError::Unrecognized),
                Some(SessionToken::Foreign) | None => {}
            }
        }
        match self.mode {
            Mode::Open if self.takes_unknown => Ok(self.guest(region, claim)),
            Mode::Open | Mode::Strict => Err(AuthError::Unrecognized),
        }
    }

    /// Somebody whose key nobody knows.
    fn guest(&self, region: Region, claim: Claim<'_>) -> Principal {
        let account = AccountId::parse(claim.access_key_id).unwrap_or(self.default_account);
        principal(account, region, claim, PrincipalKind::Guest, Name::none())
    }

    /// What the signature of a session cannot show: that it is not over, and may be used for this.
    fn check_session(&self, key: &SessionKey, claim: Claim<'_>, now: Timestamp) -> Result<(), AuthError> {
        if key.kind == PrincipalKind::Guest && self.mode == Mode::Strict {
            return Err(AuthError::Unrecognized);
        }
        if now >= key.expires {
            return Err(AuthError::Expired);
        }
        // Without a second factor they are not for IAM (identity J3).
        let may_call_iam = match key.session.source {
            SessionSource::Role => true,
            SessionSource::Token | SessionSource::Federation => false,
        };
        if !may_call_iam && claim.service == "iam" { Err(AuthError::Unrecognized) } else { Ok(()) }
    }

    /// No key of a user or an instance changes its secret, so that whatever was derived for it stays right.
    fn signing_key(
        &self,
        presented: &Presented<'_>,
        secret: impl FnOnce(&str) -> Option<Secret>,
    ) -> Result<SigningKey, AuthError> {
        if let Some(found) = self.derived.get(presented) {
            return Ok(found);
        }
        // It may have been deleted meanwhile.
        let secret = secret(presented.access_key_id()).ok_or(AuthError::Unrecognized)?;
        Ok(self.derived.derive(presented, &secret, || true))
    }

    /// Who has a key of the ring: if it is a user's, the one whom IAM knows by this name.
    fn of_key(&self, key: &AccessKey, region: Region, claim: Claim<'_>) -> Principal {
        let known = match (key.kind, &self.users) {
            (PrincipalKind::User, Some(users)) => users.named(key.account, &key.name),
            (
                PrincipalKind::Root
                | PrincipalKind::User
                | PrincipalKind::Session
                | PrincipalKind::Instance
                | PrincipalKind::Guest
                | PrincipalKind::Anonymous,
                _,
            ) => None,
        };
        let name = match &known {
            Some(user) => Name::of(user),
            None => Name { path: "/", name: &key.name, id: None },
        };
        principal(key.account, region, claim, key.kind, name)
    }
}

/// What a signature cannot show: that the session goes with the key, and is not over.
fn check_ends(key: &AccessKey, claim: Claim<'_>, now: Timestamp) -> Result<(), AuthError> {
    // The token is looked at after the signature, so that only the owner learns about it.
    match (&key.credentials.session_token, claim.session_token) {
        (None, None) => {}
        (Some(expected), Some(token)) if expected.matches(token) => {}
        (None, Some(_)) | (Some(_), None | Some(_)) => return Err(AuthError::Unrecognized),
    }
    if key.expires.is_some_and(|end| now >= end) {
        return Err(AuthError::Expired);
    }
    Ok(())
}

/// What a principal is called.
struct Name<'a> {
    /// Of a user; begins and ends with a slash.
    path: &'a str,
    name: &'a str,
    id: Option<&'a Arc<str>>,
}

impl<'a> Name<'a> {
    fn none() -> Self {
        Self { path: "/", name: "", id: None }
    }

    fn of(user: &'a User) -> Self {
        Self { path: &user.path, name: &user.name, id: Some(&user.id) }
    }
}

fn of_session(key: &SessionKey, region: Region, claim: Claim<'_>) -> Principal {
    let partition = region.partition().as_str();
    let service = match key.session.source {
        SessionSource::Role | SessionSource::Federation => "sts",
        SessionSource::Token => "iam",
    };
    Principal {
        arn: format!("arn:{partition}:{service}::{}:{}", key.account, key.resource).into(),
        scope: Scope::new(key.account, region),
        access_key_id: claim.access_key_id.into(),
        kind: key.kind,
        name: key.name.clone(),
        id: key.id.clone(),
        session: Some(key.session.clone()),
        service: claim.service.into(),
    }
}

fn of_instance(key: InstanceKey, region: Region, claim: Claim<'_>) -> Principal {
    Principal {
        scope: Scope::new(key.account, region),
        access_key_id: claim.access_key_id.into(),
        arn: key.arn,
        kind: PrincipalKind::Instance,
        name: "".into(),
        id: Some(key.id),
        session: None,
        service: claim.service.into(),
    }
}

fn of_user(key: &UserKey, region: Region, claim: Claim<'_>) -> Principal {
    principal(key.account, region, claim, PrincipalKind::User, Name::of(&key.user))
}

fn principal(
    account: AccountId,
    region: Region,
    claim: Claim<'_>,
    kind: PrincipalKind,
    Name { path, name, id }: Name<'_>,
) -> Principal {
    let partition = region.partition().as_str();
    let arn = match kind {
        PrincipalKind::Root | PrincipalKind::Guest => format!("arn:{partition}:iam::{account}:root"),
        PrincipalKind::User => format!("arn:{partition}:iam::{account}:user{path}{name}"),
        PrincipalKind::Instance | PrincipalKind::Anonymous => "anonymous".to_owned(),
        PrincipalKind::Session => format!("arn:{partition}:sts::{account}:assumed-role/{name}"),
    };
    Principal {
        scope: Scope::new(account, region),
        access_key_id: claim.access_key_id.into(),
        arn: arn.into(),
        kind,
        name: name.into(),
        id: id.cloned(),
        session: None,
        service: claim.service.into(),
    }
}

#[cfg(test)]
mod tests {
    use longshore_sigv4::{CLOCK_SKEW, Credentials, Secret, ToSign, presign, sign};

    use super::*;
    use crate::{AccessKey, generate};

    const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000);

    fn known(id: &str, account: &str) -> AccessKey {
        AccessKey {
            credentials: Credentials::new(id, "secret"),
            account: AccountId::parse(account).expect("twelve digits"),
            kind: PrincipalKind::User,
            name: "ada".into(),
            expires: None,
        }
    }

    fn ask(identity: &Identity, credentials: &Credentials, now: Timestamp) -> Result<Principal, AuthError> {
        let headers = [("host", "h")];
        let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &headers, body: b"{}" };
        let mut headers = vec![("host", "h".to_owned())];
        headers.extend(sign(&to_sign, credentials, "eu-west-1", "ecs", NOW));
        let headers = headers.as_slice();
        identity.authenticate(
            &Request { method: "POST", path: "/", query: "", headers: &headers },
            b"{}",
            now,
            CLOCK_SKEW,
        )
    }

    /// What a request signed with this id and secret gives: `region arn kind` of its principal, or the error's code.
    fn check(mode: Mode, id: &str, secret: &str, want: &str) {
        let ring = Keyring::new();
        ring.add(known("AKIAKNOWN", "111122223333")).expect("room");
        ring.add(known("444455556666", "111122223333")).expect("room");
        let identity = Identity::new(mode, Arc::new(ring));
        let got = match ask(&identity, &Credentials::new(id, secret), NOW) {
            Ok(who) => format!("{} {} {:?}", who.scope.region, who.arn, who.kind),
            Err(error) => error.kind().code().to_owned(),
        };
        assert_eq!(got, want, "{mode:?} {id}");
    }

    #[test]
    fn accounts_follow_from_keys() {
        use Mode::{Open, Strict};
        let ada = "eu-west-1 arn:aws:iam::111122223333:user/ada User";
        check(Open, "test", "anything", "eu-west-1 arn:aws:iam::000000000000:root Guest");
        check(Open, "123456789012", "anything", "eu-west-1 arn:aws:iam::123456789012:root Guest");
        check(Open, "AKIAKNOWN", "secret", ada);
        check(Open, "AKIAKNOWN", "wrong", "InvalidSignatureException");
        check(Open, "444455556666", "secret", ada);
        check(Open, "444455556666", "wrong", "InvalidSignatureException");
        check(Strict, "test", "anything", "UnrecognizedClientException");
        check(Strict, "123456789012", "anything", "UnrecognizedClientException");
        check(Strict, "AKIAKNOWN", "secret", ada);
        check(Strict, "AKIAKNOWN", "wrong", "InvalidSignatureException");
    }

    #[test]
    fn an_unsigned_request_is_refused_in_open_mode_too() {
        let identity = Identity::new(Mode::Open, Arc::default());
        let headers: &[(&str, &str)] = &[("host", "h")];
        let request = Request { method: "POST", path: "/", query: "", headers: &headers };
        let code = |request: &Request<'_>| {
            identity.authenticate(request, b"", NOW, CLOCK_SKEW).map_err(|e| e.kind().code())
        };
        assert_eq!(code(&request), Err("MissingAuthenticationTokenException"));
        let headers: &[(&str, &str)] = &[("host", "h"), ("authorization", "AWS4-HMAC-SHA256 x")];
        assert_eq!(code(&Request { headers: &headers, ..request }), Err("IncompleteSignatureException"));
    }

    /// A page can make a browser send any URL, with any signature in it; a header it cannot.
    #[test]
    fn guests_sign_in_the_header() {
        let ring = Keyring::new();
        ring.add(known("AKIAKNOWN", "111122223333")).expect("room");
        let identity = Identity::new(Mode::Open, Arc::new(ring));
        let ask = |id: &str| {
            let headers: &[(&str, &str)] = &[("host", "h")];
            let to_sign = ToSign { method: "GET", path: "/", query: "Action=X", headers, body: b"" };
            let credentials = Credentials::new(id, "secret");
            let query = presign(&to_sign, &credentials, "eu-west-1", "sts", NOW, Duration::from_secs(60));
            let request = Request { method: "GET", path: "/", query: &query, headers: &headers };
            identity.authenticate(&request, b"", NOW, CLOCK_SKEW).map(|who| who.kind)
        };
        assert_eq!(ask("AKIAKNOWN"), Ok(PrincipalKind::User));
        assert_eq!(ask("test"), Err(AuthError::Unproven));
        assert_eq!(ask("444455556666"), Err(AuthError::Unproven));
    }

    /// What stands for credentials is worth what they are worth.
    #[test]
    fn credentials_are_recognised_as_long_as_they_are_good() {
        let identity = Identity::new(Mode::Strict, Arc::default());
        let mut key = known("ASIA1", "111122223333");
        key.credentials.session_token = Some(Secret::new("token"));
        key.expires = Some(NOW + Duration::from_secs(60));
        identity.keyring().add(key).expect("room");
        let region = || Region::parse("eu-west-1").expect("a region");
        let recognise = |access_key_id, session_token, now| {
            identity.recognise(Claim { access_key_id, session_token, service: "ecr" }, region(), now)
        };
        let who = recognise("ASIA1", Some("token"), NOW).expect("all is right");
        assert_eq!((&*who.arn, &*who.service), ("arn:aws:iam::111122223333:user/ada", "ecr"));
        for (token, now, error) in [
            (None, NOW, AuthError::Unrecognized),
            (Some("other"), NOW, AuthError::Unrecognized),
            (Some("token"), NOW + Duration::from_secs(60), AuthError::Expired),
        ] {
            assert_eq!(recognise("ASIA1", token, now), Err(error));
        }
        assert_eq!(recognise("444455556666", None, NOW), Err(AuthError::Unrecognized));
        let open = Identity::new(Mode::Open, Arc::default());
        let claim = Claim { access_key_id: "444455556666", session_token: None, service: "ecr" };
        let guest = open.recognise(claim, region(), NOW).expect("anybody");
        assert_eq!((guest.kind, &*guest.arn), (PrincipalKind::Guest, "arn:aws:iam::444455556666:root"));
        let closed = open.knowing_all();
        assert_eq!(closed.recognise(claim, region(), NOW), Err(AuthError::Unrecognized));
    }

    #[test]
    fn session_tokens_have_to_match_and_keys_end() {
        let identity = Identity::new(Mode::Strict, Arc::default());
        let mut key = known("ASIA1", "111122223333");
        key.credentials.session_token = Some(Secret::new("token"));
        key.kind = PrincipalKind::Session;
        key.name = "role/task".into();
        key.expires = Some(NOW + Duration::from_secs(60));
        let mut credentials = key.credentials.clone();
        identity.keyring().add(key).expect("room");

        let who = ask(&identity, &credentials, NOW).expect("all is right");
        assert_eq!(&*who.arn, "arn:aws:sts::111122223333:assumed-role/role/task");
        let late = NOW + Duration::from_secs(60);
        assert_eq!(ask(&identity, &credentials, late), Err(AuthError::Expired));
        credentials.session_token = Some(Secret::new("other"));
        assert_eq!(ask(&identity, &credentials, NOW), Err(AuthError::Unrecognized));
        credentials.session_token = None;
        assert_eq!(ask(&identity, &credentials, NOW), Err(AuthError::Unrecognized));
        assert_eq!(identity.keyring().remove_expired(late), 1);
    }

    #[test]
    fn a_replaced_secret_counts_at_once() {
        let identity = Identity::new(Mode::Strict, Arc::default());
        let first = known("AKIA1", "111122223333");
        let old = first.credentials.clone();
        identity.keyring().add(first).expect("room");
        assert!(ask(&identity, &old, NOW).is_ok());
        let mut second = known("AKIA1", "111122223333");
        second.credentials = Credentials::new("AKIA1", "new");
        let new = second.credentials.clone();
        identity.keyring().add(second).expect("room");
        assert!(ask(&identity, &old, NOW).is_err());
        assert!(ask(&identity, &new, NOW).is_ok());
        assert!(identity.keyring().remove("AKIA1"));
        assert_eq!(ask(&identity, &new, NOW), Err(AuthError::Unrecognized));
        identity.keyring().add(known("AKIA1", "111122223333")).expect("room");
        assert!(ask(&identity, &new, NOW).is_err());
        assert!(ask(&identity, &old, NOW).is_ok());
    }

    #[test]
    fn keys_come_from_a_file() {
        let dir = std::env::temp_dir();
        let path = dir.join(format!("longshore-identity-{}.json", std::process::id()));
        let load = |text: &str| {
            std::fs::write(&path, text).expect("the temporary directory is writable");
            Keyring::load(&path)
        };
        let entry = r#"{"accessKeyId": "AKIA1", "secretAccessKey": "hush", "account": "111122223333"}"#;
        let ring = load(&format!("[{entry}]")).expect("well-formed");
        let key = ring.get("AKIA1").expect("it was in the file");
        assert_eq!((key.kind, key.account.to_string()), (PrincipalKind::Root, "111122223333".into()));
        for bad in [
            entry.to_owned(),
            format!("[{}]", entry.replace("111122223333", "1")),
            format!("[{}]", entry.replace("AKIA1", "a/b")),
            format!("[{}]", entry.replace("account", "acount")),
            format!("[{}]", entry.replace("\"hush\"", "[\"hush\"]")),
        ] {
            let error = load(&bad).expect_err(&bad);
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
        std::fs::remove_file(&path).expect("it was just written");
        assert!(matches!(Keyring::load(&path), Err(crate::KeyringError::Read { .. })));
    }

    #[test]
    fn generated_keys_work_and_do_not_show() {
        let credentials = generate(longshore_base::Seed::new(7));
        let identity = Identity::new(Mode::Strict, Arc::default());
        let secret = credentials.secret.reveal().to_owned();
        let key = AccessKey { credentials: credentials.clone(), ..known("x", "111122223333") };
        assert!(!format!("{key:?}").contains(&secret));
        identity.keyring().add(key).expect("a valid id");
        assert!(ask(&identity, &credentials, NOW).is_ok());
    }
}
