//! What answers of STS are made of.

use longshore_shapes_sts::Credentials;
use longshore_tables_iam::session::Issued;

pub(super) fn credentials(issued: Issued) -> Credentials {
    Credentials {
        access_key_id: Some(issued.access_key_id.to_string()),
        expiration: Some(issued.expires),
        secret_access_key: Some(issued.secret.to_string()),
        session_token: Some(issued.token),
    }
}
