//! IAM's users and their keys, for whoever verifies signatures: `longshore-identity` asks, the state answers.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use longshore_base::AccountId;
use longshore_identity::{Use, User, UserKey, Users};
use longshore_keyring::Sealing;
use longshore_sigv4::Secret;
use longshore_state::{Db, Refused};
use longshore_tables_iam::record::{self, AccessKey};
use longshore_tables_iam::{IamState, uses};
use tokio::sync::mpsc;

/// Uses that wait to be noted. What does not fit is noted when the key is used again.
const WAITING_MAX: usize = 1024;

/// Uses that are noted together, in one transaction.
const TOGETHER_MAX: usize = 100;

/// Between two such transactions: whoever uses his key in two regions in turn costs one of them in that time.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks keys up in the state, as it is at each request.
pub struct IamUsers {
    db: Arc<Db>,
    news: mpsc::Sender<Noted>,
}

/// A use that says something new.
struct Noted {
    key: String,
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
        let noted = Noted { key: access_key_id.into(), region: region.into(), service: service.into() };
        // Full: it will be used again.
        let _ = self.news.try_send(noted);
    }
}

fn of_record(user: &record::User) -> User {
    let record::Own { id, name, path, .. } = &user.own;
    User { id: id.clone(), name: name.clone(), path: path.clone() }
}

async fn note(db: Arc<Db>, mut told: mpsc::Receiver<Noted>) {
    while let Some(first) = told.recv().await {
        // The last use of each key.
        let mut uses = BTreeMap::from([(first.key.clone(), first)]);
        while uses.len() < TOGETHER_MAX
            && let Ok(next) = told.try_recv()
        {
            uses.insert(next.key.clone(), next);
        }
        let noted = db.write(|tx| {
            for Noted { key, region, service } in uses.values() {
                uses::note_key(tx, key, region, service);
            }
            Ok::<_, Infallible>(())
        });
        match noted.await {
            Ok(Ok(())) => {}
            Ok(Err(never)) => match never {},
            // The control plane ends.
            Err(Refused::Stopped(_)) => return,
            Err(Refused::TooLarge(exceeded)) => {
                tracing::warn!(%exceeded, "uses of access keys were not noted");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
