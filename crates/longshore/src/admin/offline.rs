//! A data directory that no server uses, with the APIs of a server over it and nothing that listens.
//!
//! Calls are the bytes that a client would send, made by the account's root: whoever has the directory is the account
//! (identity J1).

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use longshore_api::{Api, Body, Call, Head, Principal, PrincipalKind, Request, RequestId};
use longshore_api_identity::Iam;
use longshore_api_join::Joining;
use longshore_base::{AccountId, Clock, Region, Scope};
use longshore_controllers::Settings;
use longshore_explain::Explainer;
use longshore_identity::Keyring;
use longshore_service::Allow;
use longshore_state::Db;
use longshore_store_embedded::{EmbeddedStore, OpenError};
use longshore_wire::{OperationShape, Protocol, Received, ReceivedError, Written};
use tokio::sync::Notify;

use super::Purpose;
use crate::clock::{SystemClock, SystemSeeds};
use crate::operator_api::OperatorApi;
use crate::{domains, keys, root_key, tokens};

/// IAM has no regions; what is made has ARNs of this one's partition.
pub fn region() -> Region {
    Region::parse("us-east-1").expect("the constant is a region")
}

/// Nobody else waits: as long as a call over the network may take.
const DEADLINE: Duration = Duration::from_secs(40);

pub struct Offline {
    db: Arc<Db>,
    dir: PathBuf,
    account: AccountId,
    region: Region,
    apis: Vec<Arc<dyn Api>>,
}

/// What was found.
pub enum Opened {
    Offline(Box<Offline>),
    /// A server has the directory.
    InUse,
}

impl Offline {
    /// Opens the directory, which is locked from then on. `Purpose::Make` makes what a server would make at its first start.
    ///
    /// # Errors
    /// It is not there, cannot be opened, or its root key is missing or wrong.
    pub async fn open(
        dir: &Path,
        root: Option<&Path>,
        account: Option<AccountId>,
        region: Region,
        purpose: Purpose,
    ) -> anyhow::Result<Opened> {
        let dir = std::path::absolute(dir).context("there is no such --data-dir")?;
        let state = dir.join("state");
        if purpose == Purpose::Look && !state.is_dir() {
            bail!(
                "there is nothing in {} yet: check --data-dir, or start a server there first",
                dir.display()
            );
        }
        fs::create_dir_all(&dir).with_context(|| {
            format!("cannot use {} as data directory; choose another with --data-dir", dir.display())
        })?;
        let store = match EmbeddedStore::open(&state) {
            Ok(store) => store,
            Err(OpenError::InUse { .. }) => return Ok(Opened::InUse),
            Err(error) => return Err(error.into()),
        };
        let seeds = Arc::new(SystemSeeds);
        let db = Db::open(Arc::new(store), &domains::all(), Arc::new(SystemClock), seeds.clone())
            .with_context(|| format!("the records in {} cannot be used; restore a backup", dir.display()))?;
        root_key::unlock(&db, root, Some(&dir)).await?;
        let ring = Keyring::new();
        if let Some(key) = keys::operator(&dir)? {
            ring.add(keys::of_operator(key))?;
        }
        let mut apis: Vec<Arc<dyn Api>> = vec![
            Arc::new(Iam::server(db.clone(), seeds)),
            Arc::new(Explainer::new(db.clone(), Settings::default())),
            Arc::new(OperatorApi::new(db.clone(), Arc::new(ring), Arc::new(Notify::new()))),
        ];
        // Join tokens say where the server is, which a directory knows once one has run with it.
        if let Ok(server) = tokens::read_server(&dir) {
            apis.push(Arc::new(Joining::new(db.clone(), server, Arc::new(Allow))));
        }
        let account = account.unwrap_or(AccountId::OPERATOR);
        Ok(Opened::Offline(Box::new(Self { db, dir, account, region, apis })))
    }

    pub fn account(&self) -> AccountId {
        self.account
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn db(&self) -> &Db {
        &self.db
    }

    pub async fn ask<O: OperationShape>(
        &self,
        input: O::Input,
    ) -> anyhow::Result<Result<O::Output, ReceivedError>> {
        let protocol =
            Protocol::preferred::<O>().context("the operation has no protocol that is written here")?;
        let written = protocol.write_request::<O>(&input, None)?;
        let api = self.apis.iter().find(|api| api.facts().schema.signing_name == O::SERVICE.signing_name);
        let api = api.with_context(|| format!("{} is not done without a server", O::NAME))?;
        let principal = self.principal(self.account, O::SERVICE.signing_name);
        Ok(match self.send(&**api, O::NAME, protocol, principal, written).await? {
            Ok(body) => Ok(received(200, &body, |answer| protocol.read_answer::<O>(answer))?),
            Err(error) => Err(error),
        })
    }

    /// The answer's body to an operation of Longshore's own.
    pub async fn post(&self, target: &str, body: Vec<u8>) -> anyhow::Result<Result<Vec<u8>, ReceivedError>> {
        let (prefix, operation) = target.split_once('.').unwrap_or((target, ""));
        let api = self.apis.iter().find(|api| api.facts().schema.target_prefix == Some(prefix));
        let api = api.with_context(|| {
            format!(
                "{target} is done in a directory whose server has run once: start it, or check --data-dir"
            )
        })?;
        let known = api.operations().iter().find(|known| **known == operation);
        let known = known.with_context(|| format!("{target} is not known"))?;
        // Operations of the operator are for the operator's account, whichever the command is about.
        let account =
            if prefix == crate::operator_api::TARGET_PREFIX { AccountId::OPERATOR } else { self.account };
        let written =
            Written { method: "POST", path: "/".to_owned(), query: String::new(), headers: Vec::new(), body };
        let principal = self.principal(account, api.facts().schema.signing_name);
        let answer = self.send(&**api, known, Protocol::AwsJson11, principal, written).await?;
        Ok(answer.map(|body| body.to_vec()))
    }

    async fn send(
        &self,
        api: &dyn Api,
        operation: &'static str,
        protocol: Protocol,
        principal: Principal,
        written: Written,
    ) -> anyhow::Result<Result<Bytes, ReceivedError>> {
        let now = SystemClock.now();
        let head = Head { method: Method::POST, uri: Uri::from_static("/"), headers: HeaderMap::new() };
        let call = Call {
            principal,
            request_id: RequestId::new("offline"),
            now,
            deadline: now + DEADLINE,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: true,
            head: Arc::new(head),
        };
        let reply = api.call(Request { call, operation, protocol, body: Body::from(written.body) }).await;
        let status = reply.status;
        let cause = reply.error.as_ref().and_then(|error| error.cause.clone());
        let body = reply.body.whole().await.map_err(|error| anyhow!("the answer broke off: {error}"))?;
        if (200..300).contains(&status) {
            return Ok(Ok(body));
        }
        if let Some(cause) = cause {
            bail!("{operation} failed: {cause}");
        }
        let error = received(status, &body, |answer| protocol.read_error(answer));
        error.map(Err).with_context(|| format!("{operation} was refused with status {status}"))
    }

    fn principal(&self, account: AccountId, service: &str) -> Principal {
        Principal {
            scope: Scope::new(account, self.region.clone()),
            access_key_id: "".into(),
            arn: format!("arn:aws:iam::{account}:root").into(),
            kind: PrincipalKind::Root,
            name: "".into(),
            id: None,
            session: None,
            service: service.into(),
        }
    }
}

fn received<T>(status: u16, body: &[u8], read: impl FnOnce(&Received<'_>) -> T) -> T {
    read(&Received { status, headers: &[], body })
}
