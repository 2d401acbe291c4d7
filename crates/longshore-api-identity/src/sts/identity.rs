//! Who calls, and whose a key is.

use longshore_api::{PrincipalKind, SessionSource};
use longshore_service::{Access, Caller, Cx, Query, Resources};
use longshore_shapes_sts::{GetAccessKeyInfoResponse, GetCallerIdentityResponse, ops};
use longshore_state::State;
use longshore_tables_iam::{IamState, ids};
use longshore_wire::Fault;

use super::Sts;
use crate::iam::input::{self, given};
use crate::unique_id;

/// Who calls (identity J3). It needs no permission, and nothing denies it.
///
/// The account itself, the operator and guests of open mode among it, is told by its number; a user by the id that IAM
/// gives his name; a session by its role's id and its own name.
impl Query<Sts> for ops::GetCallerIdentity {
    type Parsed = ();
    type Answer = Self::Output;

    fn parse(_: &Cx<'_, Sts>, _: Self::Input) -> Result<Self::Parsed, Self::Error> {
        Ok(())
    }

    fn resources(_: &State, _: &Caller, (): &Self::Parsed) -> Resources {
        Resources::none()
    }

    fn run(_: &State, caller: &Caller, (): Self::Parsed) -> Result<Self::Answer, Self::Error> {
        Ok(GetCallerIdentityResponse {
            account: Some(caller.scope.account.to_string()),
            arn: Some(caller.principal.to_string()),
            user_id: Some(user_id(caller)?),
        })
    }
}

fn user_id(caller: &Caller) -> Result<String, Fault> {
    let account = caller.scope.account.to_string();
    let source = caller.session.as_ref().map(|session| session.source);
    Ok(match (caller.kind, source) {
        (PrincipalKind::Root, _) => account,
        (_, Some(SessionSource::Federation)) => format!("{account}:{}", caller.name),
        // A session of a role that nobody has made.
        (PrincipalKind::Session, _) | (PrincipalKind::Guest, Some(SessionSource::Role)) => {
            let (role, session) = caller.name.split_once('/').unwrap_or_default();
            match &caller.id {
                Some(id) => format!("{id}:{session}"),
                None => format!("{}:{session}", unique_id("AROA", &account, role)),
            }
        }
        (PrincipalKind::Guest, _) => account,
        // An entry of `--keys` names a user whom IAM need not know.
        (PrincipalKind::User, _) => match &caller.id {
            Some(id) => id.to_string(),
            None => unique_id("AIDA", &account, &caller.name),
        },
        (PrincipalKind::Instance, _) => caller.id.as_deref().unwrap_or_default().to_owned(),
        (PrincipalKind::Anonymous, _) => return Err(Fault::hidden("nobody asks who he is")),
    })
}

impl Query<Sts> for ops::GetAccessKeyInfo {
    type Parsed = Self::Input;
    type Answer = Self::Output;

    fn parse(_: &Cx<'_, Sts>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(_: &State, caller: &Caller, _: &Self::Parsed) -> Resources {
        Access::new("sts:GetAccessKeyInfo", "*", caller).into()
    }

    fn run(state: &State, _: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let id = given(&input.access_key_id);
        // An id of today says it by itself, whether there is such a key or not, as AWS answers.
        let found = state.iam().access_key(id).map(|(account, _)| account);
        match found.or_else(|| ids::account_of_access_key(id)) {
            Some(account) => Ok(GetAccessKeyInfoResponse { account: Some(account.to_string()) }),
            None => {
                Err(Fault::final_refusal(format!("{id} is not the id of an access key of this server."))
                    .into())
            }
        }
    }
}
