//! GetSessionToken and GetFederationToken: temporary credentials of those who have permanent ones.

use std::time::Duration;

use longshore_api::PrincipalKind;
use longshore_service::{Access, Caller, Command, Cx, Resources};
use longshore_shapes_sts::{FederatedUser, GetFederationTokenResponse, GetSessionTokenResponse, ops};
use longshore_state::{State, Tx};
use longshore_tables_iam::session::{Limits, Of, Session};
use longshore_wire::{Denied, Fault};

use super::limits::{self, Given};
use super::{Sts, shape};
use crate::iam::input::{self, given};

const DEFAULT_SECONDS: u32 = 43_200;
/// Of the account itself, whatever it asks for (identity J3).
const ROOT_SECONDS_MAX: u32 = 3600;

/// Temporary credentials make no others of their kind.
fn only_permanent(caller: &Caller, operation: &str) -> Result<(), Denied> {
    let is_instance = caller.kind == PrincipalKind::Instance;
    match caller.session {
        None if is_instance => {
            Err(Denied::new(format!("Cannot call {operation} with the key of an instance")))
        }
        None => Ok(()),
        Some(_) => Err(Denied::new(format!("Cannot call {operation} with session credentials"))),
    }
}

fn lasting(caller: &Caller, asked: Option<i32>) -> Duration {
    let seconds = limits::seconds(asked, DEFAULT_SECONDS);
    Duration::from_secs(
        match caller.kind {
            PrincipalKind::Root | PrincipalKind::Guest => seconds.min(ROOT_SECONDS_MAX),
            PrincipalKind::User
            | PrincipalKind::Session
            | PrincipalKind::Instance
            | PrincipalKind::Anonymous => seconds,
        }
        .into(),
    )
}

impl Command<Sts> for ops::GetSessionToken {
    type Parsed = Self::Input;
    type Answer = Self::Output;

    fn parse(cx: &Cx<'_, Sts>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        only_permanent(cx.caller, "GetSessionToken")?;
        if input.serial_number.is_some() || input.token_code.is_some() {
            return Err(no_second_factor().into());
        }
        Ok(input)
    }

    // What it gives is no more than what the caller has.
    fn resources(_: &State, _: &Caller, _: &Self::Parsed) -> Resources {
        Resources::none()
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let of = match caller.kind {
            PrincipalKind::Root => Of::Account { is_guest: false },
            PrincipalKind::Guest => Of::Account { is_guest: true },
            PrincipalKind::User => Of::User { id: caller.id.clone(), name: caller.name.clone() },
            PrincipalKind::Session | PrincipalKind::Instance | PrincipalKind::Anonymous => {
                return Err(Fault::hidden("a session has been refused by now").into());
            }
        };
        let session = Session::new(of, tx.now, tx.now + lasting(caller, input.duration_seconds));
        let issued = shape::issue(tx, caller.scope.account, session)?;
        Ok(GetSessionTokenResponse { credentials: Some(shape::credentials(issued)) })
    }
}

impl Command<Sts> for ops::GetFederationToken {
    type Parsed = (Self::Input, Given);
    type Answer = Self::Output;

    fn parse(cx: &Cx<'_, Sts>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        only_permanent(cx.caller, "GetFederationToken")?;
        let tags = input.tags.take();
        let given = Given::read::<Self::Error>(input.policy.as_deref(), input.policy_arns.as_ref(), tags)?;
        Ok((input, given))
    }

    fn resources(_: &State, caller: &Caller, (input, limits): &Self::Parsed) -> Resources {
        let ask = |action: &str| {
            let access = Access::new(action, user_arn(caller, given(&input.name)), caller);
            limits.tags.iter().fold(access, |access, (key, value)| {
                access.with(format!("aws:RequestTag/{key}"), value.clone())
            })
        };
        let tagging = (!limits.tags.is_empty()).then(|| ask("sts:TagSession"));
        Resources::from(ask("sts:GetFederationToken")).and(tagging)
    }

    fn run(
        tx: &mut Tx<'_>,
        caller: &Caller,
        (input, limits): Self::Parsed,
    ) -> Result<Self::Answer, Self::Error> {
        let (account, name) = (caller.scope.account, given(&input.name));
        limits.check(tx.state(), caller, account)?;
        let of = Of::Federated { user: caller.id.clone(), name: name.into() };
        let mut session = Session::new(of, tx.now, tx.now + lasting(caller, input.duration_seconds));
        // Without a policy it has no rights but those that a resource's own policy gives.
        session.limits = Some(limits.limits.unwrap_or_else(Limits::default));
        session.tags = limits.tags;
        let issued = shape::issue(tx, account, session)?;
        Ok(GetFederationTokenResponse {
            credentials: Some(shape::credentials(issued)),
            federated_user: Some(FederatedUser {
                arn: Some(user_arn(caller, name)),
                federated_user_id: Some(format!("{account}:{name}")),
            }),
            packed_policy_size: limits.packed_percent,
        })
    }
}

fn user_arn(caller: &Caller, name: &str) -> String {
    let (partition, account) = (caller.scope.partition().as_str(), caller.scope.account);
    format!("arn:{partition}:sts::{account}:federated-user/{name}")
}

/// No user has a device for one-time codes here, and so no code is right.
pub(super) fn no_second_factor() -> Denied {
    Denied::new("MultiFactorAuthentication failed with invalid MFA one time pass code.".to_owned())
}
