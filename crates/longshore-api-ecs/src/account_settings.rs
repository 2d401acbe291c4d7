//! Account settings (ecs-behaviour A9, ecs-operations B9).

use std::sync::Arc;

use longshore_base::ArnFormat;
use longshore_shapes_ecs::SettingName;
use longshore_state::State;

use crate::Caller;

/// The value in force for the caller: its own, else the account's, else that of ECS.
pub fn effective(state: &State, caller: &Caller, name: &SettingName) -> Arc<str> {
    in_force(state, caller, &caller.principal, name)
}

fn in_force(state: &State, caller: &Caller, principal: &str, name: &SettingName) -> Arc<str> {
    let stored = |principal: &str| {
        let settings = state.realm(&caller.scope)?.settings();
        Some(settings.get(&(name.as_str().to_owned(), principal.to_owned()))?.value.clone())
    };
    stored(principal).or_else(|| stored(&caller.root_arn())).unwrap_or_else(|| default_of(name).into())
}

/// The format of ARNs of new resources. `name` is one of the three `*LongArnFormat` settings.
pub fn arn_format(state: &State, caller: &Caller, name: &SettingName) -> ArnFormat {
    if *effective(state, caller, name) == *"disabled" { ArnFormat::Short } else { ArnFormat::Long }
}

/// What is in force where nobody stored anything.
fn default_of(name: &SettingName) -> &'static str {
    match name {
        SettingName::ServiceLongArnFormat
        | SettingName::TaskLongArnFormat
        | SettingName::ContainerInstanceLongArnFormat => "enabled",
        SettingName::AwsvpcTrunking
        | SettingName::ContainerInsights
        | SettingName::FargateFIPSMode
        | SettingName::FargateEventWindows => "disabled",
        SettingName::TagResourceAuthorization => "on",
        SettingName::FargateTaskRetirementWaitPeriod => "7",
        SettingName::GuardDutyActivate => "off",
        SettingName::DefaultLogDriverMode => "non-blocking",
        // Refused before anything is looked up.
        SettingName::Unrecognized(_) => "",
    }
}
