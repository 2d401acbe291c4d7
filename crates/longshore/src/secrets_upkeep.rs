//! What time brings about among secrets and keys, done every now and then: `longshore_tables_secrets::sweep` says what.

use std::sync::{Arc, Weak};
use std::time::Duration;

use longshore_state::{Db, Refused};
use longshore_tables_secrets::sweep;

/// Waiting periods and rotations are days long.
const EVERY: Duration = Duration::from_secs(30);

/// Begins to look. It ends with the database, which it does not keep: a server that was stopped lets go of its directory
/// at once, and not when the next look is due.
pub fn start(db: &Arc<Db>) {
    let db: Weak<Db> = Arc::downgrade(db);
    tokio::spawn(async move {
        while let Some(own) = db.upgrade() {
            let done = own.write(sweep).await;
            drop(own);
            let has_more = match done {
                Ok(Ok(has_more)) => has_more,
                Ok(Err(error)) => {
                    tracing::error!(%error, "a key of KMS got no new material");
                    false
                }
                Err(Refused::Stopped(_)) => return,
                Err(Refused::TooLarge(exceeded)) => {
                    tracing::error!(%exceeded, "secrets whose time has come were not deleted");
                    false
                }
            };
            if !has_more {
                tokio::time::sleep(EVERY).await;
            }
        }
    });
}
