//! Where a command does its work.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use longshore_base::{AccountId, Region};
use longshore_shapes_sts as sts;
use longshore_wire::{OperationShape, ReceivedError};
use serde::de::DeserializeOwned;

use super::offline::{self, Offline, Opened};
use crate::args::ControlOptions;
use crate::client::{Client, refused};
use crate::operator_api::{self, Answer};

/// What a command is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It needs what is there.
    Look,
    /// It may be the first that is done with a data directory.
    Make,
}

/// A server, or a data directory that none uses.
pub enum Control {
    Online(Client),
    Offline(Box<Offline>),
}

impl Control {
    /// A data directory that is named is worked on directly if no server uses it, and through its server if one does.
    /// Without one, the server of the environment or of the default directory is asked.
    ///
    /// # Errors
    /// With what to do: no directory, no server, no key, or a key of another account than the one that is asked for.
    pub async fn open(options: &ControlOptions, purpose: Purpose) -> anyhow::Result<Self> {
        Self::open_in(options, offline::region(), purpose).await
    }

    /// The same in a region, which counts where no server decides by the key's signature.
    pub async fn open_in(options: &ControlOptions, region: Region, purpose: Purpose) -> anyhow::Result<Self> {
        let account = options.account;
        if let Some(dir) = options.client.data_dir.as_deref().filter(|_| !options.client.endpoint_is_flag) {
            match Offline::open(dir, options.root_key.as_deref(), account, region, purpose).await? {
                Opened::Offline(offline) => return Ok(Self::Offline(offline)),
                Opened::InUse => {}
            }
        }
        let client = Client::find(&options.client)
            .context("a data directory that no server uses is worked on directly: name it with --data-dir")?;
        let own = Self::Online(client);
        if let Some(wanted) = account {
            own.refuse_other_account(wanted).await?;
        }
        Ok(own)
    }

    /// The data directory itself, for what no running server does.
    ///
    /// # Errors
    /// A server uses it, or it cannot be opened.
    pub async fn offline(
        dir: &Path,
        options: &ControlOptions,
        purpose: Purpose,
    ) -> anyhow::Result<Box<Offline>> {
        let (root_key, region) = (options.root_key.as_deref(), offline::region());
        match Offline::open(dir, root_key, options.account, region, purpose).await? {
            Opened::Offline(offline) => Ok(offline),
            Opened::InUse => bail!(
                "a server uses {}: stop it, do this, and start it again; tasks go on meanwhile",
                dir.display()
            ),
        }
    }

    /// The key decides about the account.
    async fn refuse_other_account(&self, wanted: AccountId) -> anyhow::Result<()> {
        let own = self.account().await?;
        if own == wanted {
            return Ok(());
        }
        bail!(
            "the access key is of account {own}, and --account says {wanted}: use a key of that account, or stop the server \
             and name its directory with --data-dir"
        )
    }

    /// The account in which calls are made.
    pub async fn account(&self) -> anyhow::Result<AccountId> {
        match self {
            Self::Online(client) => {
                let who = client.call::<sts::ops::GetCallerIdentity>(Default::default()).await?;
                who.account
                    .as_deref()
                    .and_then(AccountId::parse)
                    .context("the server does not say whose the key is")
            }
            Self::Offline(offline) => Ok(offline.account()),
        }
    }

    /// Makes a call; a refusal is an error that says what to do.
    pub async fn call<O: OperationShape>(&self, input: O::Input) -> anyhow::Result<O::Output> {
        self.ask::<O>(input).await?.map_err(|error| refused(O::NAME, &error))
    }

    /// Makes a call that may be refused for a reason that the command knows.
    pub async fn ask<O: OperationShape>(
        &self,
        input: O::Input,
    ) -> anyhow::Result<Result<O::Output, ReceivedError>> {
        match self {
            Self::Online(client) => client.ask::<O>(input).await,
            Self::Offline(offline) => offline.ask::<O>(input).await,
        }
    }

    /// The same where what is asked for may not be there.
    pub async fn find<O: OperationShape>(&self, input: O::Input) -> anyhow::Result<Option<O::Output>> {
        match self.ask::<O>(input).await? {
            Ok(output) => Ok(Some(output)),
            Err(error) if error.code.starts_with("NoSuchEntity") => Ok(None),
            Err(error) => Err(refused(O::NAME, &error)),
        }
    }

    /// Makes a call of an operation that is known by its name alone.
    pub async fn post<T: DeserializeOwned>(&self, target: &str, body: Vec<u8>) -> anyhow::Result<T> {
        let answer = match self {
            Self::Online(client) => client.post(target, body).await?,
            Self::Offline(offline) => {
                let answer = offline.post(target, body).await?;
                answer.map_err(|error| refused(target.rsplit('.').next().unwrap_or_default(), &error))?
            }
        };
        serde_json::from_slice(&answer).map_err(|error| anyhow!("the answer cannot be read: {error}"))
    }

    /// Asks what only the operator may ask.
    pub async fn operator(&self, operation: &str) -> anyhow::Result<Answer> {
        self.post(&format!("{}.{operation}", operator_api::TARGET_PREFIX), b"{}".to_vec()).await
    }
}
