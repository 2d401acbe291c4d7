//! What the operator asks a server, or a data directory, that no API of AWS answers: which accounts there are, which keys
//! are in files, which data keys seal, and that a new one should.
//!
//! Operations under a target prefix of their own, with ECS's signatures, as those of `longshore-explain` are. All of it
//! is for the root of the operator's account, which no guest of open mode is; but for the keys of files, which each
//! account's root sees of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_api::{Api, Body, BoxFuture, Call, PrincipalKind, Reply, Request};
use longshore_base::AccountId;
use longshore_explain::own_facts;
use longshore_identity::Keyring;
use longshore_keyring::record::DataKeyNumber;
use longshore_keyring::{Census, KeyringError, Sealing, SealingTx};
use longshore_state::{Db, State, Tx};
use longshore_tables_ec2::Ec2State;
use longshore_tables_ecs::EcsState;
use longshore_tables_iam::IamState;
use longshore_tables_secrets::SecretsState;
use longshore_wire::route::ServiceFacts;
use longshore_wire::{GenericError, GenericErrorKind, Protocol, iso8601};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::domains::HOLDERS;

pub const TARGET_PREFIX: &str = "LongshoreOperatorV1";

/// An account that has records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    pub account: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    pub users: usize,
    pub groups: usize,
    pub roles: usize,
    pub policies: usize,
    pub access_keys: usize,
    pub clusters: usize,
    pub secrets: usize,
    pub parameters: usize,
}

/// A key that the server has from a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileKey {
    pub account: String,
    pub access_key_id: String,
    /// `root`, or the name of the user.
    pub of: String,
}

/// A key that seals what is secret in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataKey {
    pub number: u32,
    pub made_at: String,
    /// The newest, which seals.
    pub is_active: bool,
    /// How many records are under it.
    pub records: usize,
}

/// What an operation answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<FileKey>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_keys: Vec<DataKey>,
}

/// Serves `ListAccounts`, `ListFileKeys`, `ListDataKeys` and `RotateDataKey`.
pub struct OperatorApi {
    db: Arc<Db>,
    /// The keys of files.
    keys: Arc<Keyring>,
    /// Whoever seals again what is under old data keys.
    wake: Arc<Notify>,
}

impl OperatorApi {
    pub fn new(db: Arc<Db>, keys: Arc<Keyring>, wake: Arc<Notify>) -> Self {
        Self { db, keys, wake }
    }

    async fn answer(&self, call: &Call, operation: &str, protocol: Protocol) -> Reply {
        let principal = &call.principal;
        let is_root = principal.kind == PrincipalKind::Root;
        let is_operator = is_root && principal.scope.account == AccountId::OPERATOR;
        let may = if operation == "ListFileKeys" { is_root } else { is_operator };
        if !may {
            let text = format!(
                "User: {} is not authorized to perform: longshore:{operation}: it is for the operator's key alone",
                principal.arn
            );
            return refusal(protocol, GenericErrorKind::AccessDenied, text);
        }
        let read = match operation {
            "ListAccounts" => {
                self.db.read(|state| Answer { accounts: accounts(state), ..Answer::default() }).await
            }
            "ListFileKeys" => Ok(self.file_keys(principal.scope.account)),
            "ListDataKeys" => {
                self.db.read(|state| Answer { data_keys: data_keys(state), ..Answer::default() }).await
            }
            "RotateDataKey" => match self.db.write(rotate).await {
                Ok(Ok(answer)) => {
                    self.wake.notify_one();
                    Ok(answer)
                }
                Ok(Err(error)) => return failed(protocol, &error),
                Err(refused) => return failed(protocol, &refused),
            },
            _ => return refusal(protocol, GenericErrorKind::UnknownOperation, "It is not known."),
        };
        match read {
            Ok(answer) => {
                let text = serde_json::to_vec(&answer).expect("texts and numbers in structures are JSON");
                Reply::new(200, protocol.content_type(), Body::from(text))
            }
            Err(stopped) => failed(protocol, &stopped),
        }
    }

    fn file_keys(&self, account: AccountId) -> Answer {
        let is_shown = |own: AccountId| account == AccountId::OPERATOR || own == account;
        let mut keys: Vec<FileKey> = Vec::new();
        for key in self.keys.all().iter().filter(|key| is_shown(key.account)) {
            keys.push(FileKey {
                account: key.account.to_string(),
                access_key_id: key.credentials.access_key_id.clone(),
                of: if key.kind == PrincipalKind::Root { "root".to_owned() } else { key.name.clone() },
            });
        }
        keys.sort_by(|a, b| {
            (&a.account, &a.of, &a.access_key_id).cmp(&(&b.account, &b.of, &b.access_key_id))
        });
        Answer { keys, ..Answer::default() }
    }
}

fn rotate(tx: &mut Tx<'_>) -> Result<Answer, KeyringError> {
    tx.rotate()?;
    Ok(Answer { data_keys: data_keys(tx.state()), ..Answer::default() })
}

/// The accounts that have records, and the operator's, which is there before it has any.
pub fn accounts(state: &State) -> Vec<Account> {
    let mut accounts: BTreeMap<AccountId, Account> = BTreeMap::new();
    let mut of = |id: AccountId, tell: &mut dyn FnMut(&mut Account)| {
        let own = accounts.entry(id);
        tell(own.or_insert_with(|| Account { account: id.to_string(), ..Account::default() }));
    };
    of(AccountId::OPERATOR, &mut |_| {});
    for (id, realm) in state.iam().realms() {
        of(id, &mut |account| {
            account.alias =
                realm.settings().and_then(|settings| settings.alias.as_deref()).map(str::to_owned);
            account.users = realm.users().len();
            account.groups = realm.groups().len();
            account.roles = realm.roles().len();
            account.policies = realm.policies().len();
            account.access_keys = realm.access_keys().len();
        });
    }
    for (scope, realm) in state.ecs().realms() {
        of(scope.account, &mut |account| account.clusters += realm.clusters().count());
    }
    for (scope, realm) in state.secrets().realms() {
        of(scope.account, &mut |account| {
            account.secrets += realm.secrets().len();
            account.parameters += realm.parameters().len();
        });
    }
    for scope in state.ec2().realms().map(|(scope, _)| scope) {
        of(scope.account, &mut |_| {});
    }
    accounts.into_values().collect()
}

/// The data keys, and how many records are under each.
pub fn data_keys(state: &State) -> Vec<DataKey> {
    let keyring = state.keyring();
    let census: Census = longshore_keyring::census(state, HOLDERS);
    let keys = keyring.data_keys().iter().map(|(&own, record)| {
        let DataKeyNumber(number) = own;
        DataKey {
            number,
            made_at: iso8601(record.made_at),
            is_active: keyring.active() == Some(own),
            records: census.get(&Some(own)).copied().unwrap_or(0),
        }
    });
    keys.collect()
}

/// `data key NUMBER made TIME records COUNT` lines.
pub fn lines(keys: &[DataKey]) -> String {
    let line = |key: &DataKey| {
        let DataKey { number, made_at, is_active, records } = key;
        let active = if *is_active { " active" } else { "" };
        format!("data key {number} made {made_at} records {records}{active}\n")
    };
    keys.iter().map(line).collect()
}

fn refusal(protocol: Protocol, kind: GenericErrorKind, text: impl Into<String>) -> Reply {
    protocol.error(&GenericError::new(kind, text), Some(&FACTS.schema), "").map(Body::from)
}

/// The cause is for the log: whoever calls cannot do anything about it.
fn failed(protocol: Protocol, error: &dyn std::error::Error) -> Reply {
    tracing::error!(%error, "an operation of the operator failed");
    refusal(protocol, GenericErrorKind::InternalFailure, "It failed; the server's log says why.")
}

static FACTS: ServiceFacts = own_facts(
    "longshore-operator",
    "Longshore, for its operator",
    TARGET_PREFIX,
    &["ListAccounts", "ListDataKeys", "ListFileKeys", "RotateDataKey"],
);

impl Api for OperatorApi {
    fn facts(&self) -> &'static ServiceFacts {
        &FACTS
    }

    fn call<'a>(&'a self, request: Request) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            match request.whole().await {
                Ok(request) => self.answer(&request.call, request.operation, request.protocol).await,
                Err(broken) => broken,
            }
        })
    }
}
