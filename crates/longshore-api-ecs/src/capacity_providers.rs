//! Capacity providers (ecs-operations B2).

use longshore_base::Arn;
use longshore_state::State;

use crate::{Caller, strategies, texts};

/// The name in a name or ARN of a provider; `None` if it cannot name one of the caller's.
fn name_of<'n>(caller: &Caller, named: &'n str) -> Option<&'n str> {
    if !Arn::looks_like_one(named) {
        return Some(named);
    }
    let arn = Arn::parse(named).ok()?;
    (arn.kind == "capacity-provider" && arn.scope == caller.scope).then_some(arn.rest)
}

/// The name of a provider that a cluster can be given, or why it cannot.
pub(crate) fn usable<'n>(state: &State, caller: &Caller, named: &'n str) -> Result<&'n str, &'static str> {
    let name = name_of(caller, named).ok_or(texts::PROVIDER_UNKNOWN)?;
    if strategies::is_fargate(name) {
        return Ok(name);
    }
    let providers = state.realm(&caller.scope).map(|realm| realm.providers());
    match providers.and_then(|providers| providers.get(name)) {
        Some(provider) if *provider.status == *"ACTIVE" => Ok(name),
        Some(_) => Err(texts::PROVIDER_INACTIVE),
        None => Err(texts::PROVIDER_UNKNOWN),
    }
}
