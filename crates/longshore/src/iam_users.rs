//! IAM's users and their keys, for whoever verifies signatures: `longshore-identity` asks, the state answers.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use longshore_api_identity::facts;
use longshore_api_join::keys::secret_of;
use longshore_base::{AccountId, ArnFormat};
use longshore_controllers::roles;
use longshore_identity::{
    InstanceKey, InstanceOfKey, PrincipalKind, SessionKey, SessionSource, SessionToken, Use, User, UserKey,
    Users,
};
use longshore_keyring::Sealing;
use longshore_sigv4::Secret;
use longshore_state::{Db, Refused, State};
use longshore_tables_ecs::{EcsState, InstanceKey as InstanceAt};
use longshore_tables_iam::record::{self, AccessKey};
use longshore_tables_iam::session::{self, Of, Opened, Token};
use longshore_tables_iam::{IamState, ids, uses};
use tokio::sync::mpsc;

/// Uses that wait to be noted. What does not fit is noted when the key is used again.
const WAITING_MAX: usize = 1024;

/// Uses that are noted together, in one transaction.
const TOGETHER_MAX: usize = 100;

/// Between two such transactions: whoever uses his key in two regions in turn costs one of them in that time.
const PAUSE: Duration = Duration::from_secs(1);

/// What was used.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Key(String),
    /// A role, by its account and id.
    Role(AccountId, Arc<str>),
}

/// Looks keys up in the state, as it is at each request.
pub struct IamUsers {
    db: Arc<Db>,
    news: mpsc::Sender<Noted>,
}

/// A use that says something new.
struct Noted {
    what: What,
    region: String,
    service: String,
}

impl IamUsers {
    /// Notes uses for as long as there is one.
    pub fn new(db: Arc<Db>) -> Self {
        let (news, told) = mpsc::channel(WAITING_MAX);
        tokio::spawn(note(db.clone(), told));
        Self { db, news }
    }
}

impl Users for IamUsers {
    // What the caller knows of a key he was told when it was durable, and a key is refused without telling why; so it is
    // enough to peek.
    fn key(&self, access_key_id: &str, used: Use<'_>) -> Option<UserKey> {
        self.db.peek(|state| {
            let (account, key) = state.iam().access_key(access_key_id)?;
            let user = state.iam().realm(account).users().get(&key.user)?;
            let is_news = uses::is_news(key.last_used.as_ref(), used.now, used.region, used.service);
            Some(UserKey { account, user: of_record(user), is_active: key.active, is_news })
        })
    }

    fn secret(&self, access_key_id: &str) -> Option<Secret> {
        self.db.peek(|state| {
            let (account, key) = state.iam().access_key(access_key_id)?;
            match state.open(&AccessKey::place(account, access_key_id), &key.secret) {
                Ok(plain) => plain.as_str().map(Secret::new),
                Err(error) => {
                    tracing::error!(%error, access_key_id, "the secret of an access key cannot be opened");
                    None
                }
            }
        })
    }

    fn named(&self, account: AccountId, name: &str) -> Option<User> {
        self.db.peek(|state| Some(of_record(state.iam().realm_of(account)?.users().named(name)?)))
    }

    fn used(&self, access_key_id: &str, used: Use<'_>) {
        let Use { region, service, .. } = used;
        self.note(What::Key(access_key_id.into()), region, service);
    }

    fn session(&self, access_key_id: &str, token: &str) -> SessionToken {
        self.db.peek(|state| match session::open(state, access_key_id, token) {
            Token::Foreign => SessionToken::Foreign,
            Token::Broken => SessionToken::Invalid,
            Token::Opened(opened) => of_session(state, *opened),
        })
    }

    fn instance(&self, access_key_id: &str) -> InstanceOfKey {
        if !ids::is_instance_key(access_key_id) {
            return InstanceOfKey::Foreign;
        }
        self.db.peek(|state| {
            let Some(InstanceAt { cluster, instance }) = state.ecs().instance_of_key(access_key_id) else {
                return InstanceOfKey::Ended;
            };
            InstanceOfKey::Known(InstanceKey {
                account: cluster.scope.account,
                arn: cluster.scope.instance_arn(&cluster.cluster, *instance, ArnFormat::Long).into(),
                id: instance.to_string().into(),
            })
        })
    }

    fn instance_secret(&self, access_key_id: &str) -> Option<Secret> {
        match self.db.peek(|state| secret_of(state, access_key_id)) {
            Ok(secret) => Some(Secret::new(secret.as_str())),
            Err(error) => {
                tracing::error!(%error, access_key_id, "the secret of an instance's key cannot be made");
                None
            }
        }
    }

    fn session_used(&self, key: &SessionKey, used: Use<'_>) {
        let (PrincipalKind::Session, Some(id)) = (key.kind, &key.id) else { return };
        let is_news = self.db.peek(|state| {
            let role = state.iam().realm(key.account).roles().get(id);
            role.is_some_and(|role| {
                uses::is_news(role.last_used.as_ref(), used.now, used.region, used.service)
            })
        });
        if is_news {
            self.note(What::Role(key.account, id.clone()), used.region, used.service);
        }
    }
}

impl IamUsers {
    fn note(&self, what: What, region: &str, service: &str) {
        // Full: it will be used again.
        let _ = self.news.try_send(Noted { what, region: region.into(), service: service.into() });
    }
}

/// Whose session it is today: names are those of now.
fn of_session(state: &State, opened: Opened) -> SessionToken {
    let Opened { account, secret, session } = opened;
    let realm = state.iam().realm(account);
    if !session::is_live(state, account, &session) || !roles::is_at_work(state, account, &session) {
        return SessionToken::Invalid;
    }
    let (kind, resource, name, id, source) = match &session.of {
        Of::Role { id, name } => {
            let Some(role) = realm.roles().get(id) else { return SessionToken::Invalid };
            let name = format!("{}/{name}", role.own.name);
            (
                PrincipalKind::Session,
                format!("assumed-role/{name}"),
                name.into(),
                Some(id.clone()),
                SessionSource::Role,
            )
        }
        Of::Guest { role, name } => {
            let name = format!("{role}/{name}");
            (PrincipalKind::Guest, format!("assumed-role/{name}"), name.into(), None, SessionSource::Role)
        }
        Of::User { id: Some(id), .. } => {
            let Some(user) = realm.users().get(id) else { return SessionToken::Invalid };
            let record::Own { name, path, .. } = &user.own;
            (
                PrincipalKind::User,
                format!("user{path}{name}"),
                name.clone(),
                Some(id.clone()),
                SessionSource::Token,
            )
        }
        Of::User { id: None, name } => {
            (PrincipalKind::User, format!("user/{name}"), name.clone(), None, SessionSource::Token)
        }
        Of::Account { is_guest } => {
            let kind = if *is_guest { PrincipalKind::Guest } else { PrincipalKind::Root };
            (kind, "root".to_owned(), "".into(), None, SessionSource::Token)
        }
        Of::Federated { user, name } => {
            let resource = format!("federated-user/{name}");
            (PrincipalKind::User, resource, name.clone(), user.clone(), SessionSource::Federation)
        }
    };
    SessionToken::Valid(Box::new(SessionKey {
        account,
        secret: Secret::new(secret.as_str()),
        kind,
        resource,
        name,
        id,
        expires: session.expires,
        session: Arc::new(facts(session, source)),
    }))
}

fn of_record(user: &record::User) -> User {
    let record::Own { id, name, path, .. } = &user.own;
    User { id: id.clone(), name: name.clone(), path: path.clone() }
}

async fn note(db: Arc<Db>, mut told: mpsc::Receiver<Noted>) {
    while let Some(first) = told.recv().await {
        // The last use of each key.
        let mut uses = BTreeMap::from([(first.what.clone(), first)]);
        while uses.len() < TOGETHER_MAX
            && let Ok(next) = told.try_recv()
        {
            uses.insert(next.what.clone(), next);
        }
        let noted = db.write(|tx| {
            for Noted { what, region, service } in uses.values() {
                match what {
                    What::Key(key) => uses::note_key(tx, key, region, service),
                    What::Role(account, id) => uses::note_role(tx, *account, id, region, service),
                }
            }
            Ok::<_, Infallible>(())
        });
        match noted.await {
            Ok(Ok(())) => {}
            Ok(Err(never)) => match never {},
            // The control plane ends.
            Err(Refused::Stopped(_)) => return,
            Err(Refused::TooLarge(exceeded)) => {
                tracing::warn!(%exceeded, "uses of access keys and roles were not noted");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
