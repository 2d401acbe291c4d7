//! `longshore key rotate`: a new data key, or a new root key.

use std::time::Duration;

use anyhow::Context;
use longshore_keyring::SealingTx;

use super::offline::Offline;
use super::{Control, Purpose};
use crate::args::{RotateOptions, default_data_dir};
use crate::exit::usage;
use crate::keyring_upkeep::{self, Done};
use crate::operator_api::{self, lines};
use crate::out::{print, shown, tell};
use crate::progress::Step;
use crate::root_key;

pub async fn rotate(options: RotateOptions) -> anyhow::Result<()> {
    if options.root {
        return rotate_root(&options).await;
    }
    if options.new_root_key.is_some() {
        return Err(usage("--new-root-key goes with --root"));
    }
    match Control::open(&options.control, Purpose::Look).await? {
        Control::Offline(offline) => rotate_offline(&offline).await,
        online @ Control::Online(_) => {
            let keys = online.operator("RotateDataKey").await?.data_keys;
            tell!(
                "the server seals again what is under older data keys, and goes on with it after a restart"
            );
            print(&lines(&keys))?;
            Ok(())
        }
    }
}

/// A new data key, and everything under it at once.
async fn rotate_offline(offline: &Offline) -> anyhow::Result<()> {
    offline.db().write(|tx| tx.rotate()).await?.context("there is no new data key")?;
    let step = Step::begin("sealing again what is under older data keys");
    let Done { sealed, damaged } = keyring_upkeep::seal_again(offline.db(), Duration::ZERO).await?;
    step.done(format!("{sealed} records are under the new data key"));
    if damaged > 0 {
        tell!(
            "{damaged} records do not open under the data key that they name, and stay; look at them with `longshore check`"
        );
    }
    keyring_upkeep::drop_unneeded(offline.db()).await?;
    let keys = offline.db().read(operator_api::data_keys).await?;
    print(&lines(&keys))?;
    Ok(())
}

async fn rotate_root(options: &RotateOptions) -> anyhow::Result<()> {
    let dir = options.control.client.data_dir.clone().unwrap_or_else(default_data_dir);
    let (own, new) = (&options.control.root_key, &options.new_root_key);
    if own.is_some() && new.is_none() {
        return Err(usage(
            "the root key is in a file of yours (--root-key, LONGSHORE_ROOT_KEY), which is yours to replace: name another \
             file with --new-root-key, which is made if it is not there; then start the server with that one",
        ));
    }
    let offline = Control::offline(&dir, &options.control, Purpose::Look).await?;
    let step = Step::begin("putting the store under a new root key");
    let renewed = match new {
        Some(file) => root_key::renew_with(offline.db(), file).await?,
        None => root_key::renew(offline.db(), offline.dir()).await?,
    };
    step.done(format!("the store is under root key {}", renewed.new));
    match (&renewed.kept, new) {
        (Some(kept), _) => tell!(
            "keep a copy of the new one apart from the backups. The old one is {}: backups from before need it; remove it \
             when there are none",
            shown(kept)
        ),
        (None, Some(file)) => tell!(
            "start the server with --root-key {} from now on (or LONGSHORE_ROOT_KEY; with systemd, the credential of that \
             name). Backups from before need the old one",
            shown(file)
        ),
        (None, None) => {}
    }
    tell!(
        "who had the old one and a copy of the store knows the data keys: `longshore key rotate` makes a new one"
    );
    print(&format!("root key {}\n", renewed.new))?;
    Ok(())
}
