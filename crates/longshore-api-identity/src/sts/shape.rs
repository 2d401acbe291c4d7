//! What answers of STS are made of.

use longshore_base::AccountId;
use longshore_shapes_sts::Credentials;
use longshore_state::Tx;
use longshore_tables_iam::session::{self, Issued, Session};
use longshore_wire::Fault;

/// Makes the credentials of a session.
pub(super) fn issue(tx: &mut Tx<'_>, account: AccountId, session: Session) -> Result<Issued, Fault> {
    let seed = tx.ids.seed();
    session::issue(tx, seed, account, session).map_err(Fault::hidden)
}

pub(super) fn credentials(issued: Issued) -> Credentials {
    Credentials {
        access_key_id: Some(issued.access_key_id.to_string()),
        expiration: Some(issued.expires),
        secret_access_key: Some(issued.secret.to_string()),
        session_token: Some(issued.token),
    }
}
