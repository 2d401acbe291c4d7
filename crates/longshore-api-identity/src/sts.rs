//! AWS STS.

use std::future::ready;

use longshore_api::{Api, Body, BoxFuture, Principal, PrincipalKind, Reply, Request};
use longshore_shapes_sts::{GetCallerIdentityError, GetCallerIdentityResponse, ops};
use longshore_wire::operation::run;
use longshore_wire::route::ServiceFacts;
use longshore_wire::{Ask, Fault, GenericError, GenericErrorKind, OperationShape};

use crate::unique_id;

/// AWS STS, as far as it is built.
pub struct Sts;

impl Api for Sts {
    fn facts(&self) -> &'static ServiceFacts {
        &longshore_catalog::STS
    }

    fn operations(&self) -> &'static [&'static str] {
        &[ops::GetCallerIdentity::NAME]
    }

    fn call<'a>(&'a self, request: Request) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let request = match request.whole().await {
                Ok(request) => request,
                Err(broken) => return broken,
            };
            let headers = request.call.head.pairs();
            answer(request.operation, &request.call.principal, &request.ask(&headers)).await.map(Body::from)
        })
    }
}

async fn answer(operation: &str, who: &Principal, ask: &Ask<'_>) -> longshore_wire::Reply {
    match operation {
        ops::GetCallerIdentity::NAME => {
            run::<ops::GetCallerIdentity, _, _>(ask, |_nothing| ready(caller_identity(who))).await
        }
        _ => {
            let error = GenericError::new(GenericErrorKind::NotBuilt, "It is not built.");
            ask.protocol.error(&error, None, ask.request_id)
        }
    }
}

/// Who calls (identity J3). It needs no permission, and nothing denies it.
///
/// The account itself, the operator and guests of open mode among it, is told by its number; a user by the id that IAM
/// gives his name; a session by its role's id and its own name.
fn caller_identity(who: &Principal) -> Result<GetCallerIdentityResponse, GetCallerIdentityError> {
    let account = who.scope.account.to_string();
    let user_id = match who.kind {
        PrincipalKind::Root | PrincipalKind::Guest => account.clone(),
        PrincipalKind::User => {
            // An entry of `--keys` names a user whom IAM need not know.
            who.id.as_deref().map_or_else(|| unique_id("AIDA", &account, &who.name), str::to_owned)
        }
        PrincipalKind::Anonymous => return Err(Fault::hidden("nobody asks who he is").into()),
        PrincipalKind::Session => {
            let mut parts = who.arn.rsplit('/');
            let (Some(session), Some(role)) = (parts.next(), parts.next()) else {
                return Err(Fault::hidden(format!("a session without a role: {}", who.arn)).into());
            };
            format!("{}:{session}", unique_id("AROA", &account, role))
        }
    };
    Ok(GetCallerIdentityResponse {
        account: Some(account),
        arn: Some(who.arn.to_string()),
        user_id: Some(user_id),
    })
}
