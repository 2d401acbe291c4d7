//! Who is calling: access keys become principals.
//!
//! Start at [`Identity::authenticate`]. Which account a key belongs to (design 2):
//!
//! 1. a key on the [`Keyring`] belongs to the account it was added with, and its signature is
//!    verified, in either mode;
//! 2. a key of a user of IAM ([`Users`]) belongs to the user's account, likewise; an inactive one is as good as unknown
//!    in strict mode;
//! 3. temporary credentials ([`Users::session`]) say in their token whose they are, and what their secret is;
//! 4. keys of container instances ([`Users::instance`]) belong to the account and the region of theirs;
//! 5. [`Mode::Open`] only: twelve digits are their own account, and every other unknown key belongs to
//!    the default account ([`DEFAULT_ACCOUNT`] unless configured). No secret is known, so any
//!    well-formed signature is accepted, in the header alone, and its time is not checked: it proves nothing
//!    either way, and a laptop's virtual machine with a slow clock keeps working;
//! 6. [`Mode::Strict`]: there are no other keys.
//!
//! The region is that of the signature's credential scope.
//!
//! Invariants: an unsigned or malformed request is never let in; the secret of a key never leaves
//! the keyring through `Debug` or an error; the keyring and its cache of derived keys are bounded.
//!
//! It does not know: HTTP, policies (what a principal may do), how keys are handed out.

mod authenticate;
mod derived;
mod generate;
mod keyring;
mod users;

pub use authenticate::{AuthError, Claim, DEFAULT_ACCOUNT, Identity, Mode};
pub use generate::generate;
pub use keyring::{AccessKey, KEYS_MAX, Keyring, KeyringError};
pub use longshore_api::{Principal, PrincipalKind, Session, SessionSource};
pub use users::{InstanceKey, InstanceOfKey, SessionKey, SessionToken, Use, User, UserKey, Users};
