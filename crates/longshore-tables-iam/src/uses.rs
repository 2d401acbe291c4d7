//! When keys and roles were used last, for GetAccessKeyLastUsed and GetRole.
//!
//! Whoever verifies signatures asks [`is_news`] first, without a transaction: most uses say nothing that is not known.

use std::time::Duration;

use longshore_base::{AccountId, Timestamp};
use longshore_state::Tx;

use crate::record::{AccessKey, LastUse, Role};
use crate::{IamState, OwnKey};

/// How much later a use has to be to be written down. AWS is no more exact: it tells a use a while later, and not each
/// of them.
const NEWS_AFTER: Duration = Duration::from_secs(15 * 60);

/// Whether a use now says more than what is known: the first one in a quarter of an hour, or one elsewhere.
pub fn is_news(known: Option<&LastUse>, now: Timestamp, region: &str, service: &str) -> bool {
    known.is_none_or(|known| {
        now.since(known.at) >= NEWS_AFTER || *known.region != *region || *known.service != *service
    })
}

/// An access key was used. Nothing changes if that is no news, or the key is gone.
pub fn note_key(tx: &mut Tx<'_>, id: &str, region: &str, service: &str) {
    let Some((account, key)) = tx.iam().access_key(id) else { return };
    if is_news(key.last_used.as_ref(), tx.now, region, service) {
        let last_used = Some(LastUse { at: tx.now, region: region.into(), service: service.into() });
        let changed = AccessKey { last_used, ..AccessKey::clone(key) };
        tx.put::<AccessKey>(OwnKey { account, id: id.into() }, changed);
    }
}

/// A session of a role was used. Nothing changes if that is no news, or the role is gone.
pub fn note_role(tx: &mut Tx<'_>, account: AccountId, id: &str, region: &str, service: &str) {
    let Some(role) = tx.iam().realm(account).roles().get(id) else { return };
    if is_news(role.last_used.as_ref(), tx.now, region, service) {
        let last_used = Some(LastUse { at: tx.now, region: region.into(), service: service.into() });
        let changed = Role { last_used, ..Role::clone(role) };
        tx.put::<Role>(OwnKey { account, id: id.into() }, changed);
    }
}
