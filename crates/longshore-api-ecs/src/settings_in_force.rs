//! Which value of an account setting counts (ecs-behaviour A9). [`crate::account_settings`] changes them.

use std::sync::Arc;

use longshore_base::{ArnFormat, Scope};
use longshore_shapes_ecs::SettingName;
use longshore_state::State;
use longshore_tables_ecs::EcsState;

use crate::Caller;

/// The values of the setting `containerInsights`.
pub(crate) const INSIGHTS: [&str; 3] = ["enhanced", "enabled", "disabled"];
const ON: &[&str] = &["enabled", "disabled"];

/// The value in force for the caller: its own, else the account's, else that of ECS.
pub fn effective(state: &State, caller: &Caller, name: &SettingName) -> Arc<str> {
    of(state, caller, &caller.principal, name)
}

/// The same for another principal of the caller's account.
pub(crate) fn of(state: &State, caller: &Caller, principal: &str, name: &SettingName) -> Arc<str> {
    let stored = |principal: &str| stored(state, &caller.scope, principal, name);
    stored(principal).or_else(|| stored(&caller.root_arn())).unwrap_or_else(|| default_of(name).into())
}

/// What the principal has stored.
pub(crate) fn stored(state: &State, scope: &Scope, principal: &str, name: &SettingName) -> Option<Arc<str>> {
    let settings = state.ecs().realm(scope)?.settings();
    Some(settings.get(&(name.as_str().to_owned(), principal.to_owned()))?.value.clone())
}

/// The format of ARNs of new resources. `name` is one of the three `*LongArnFormat` settings.
pub fn arn_format(state: &State, caller: &Caller, name: &SettingName) -> ArnFormat {
    if *effective(state, caller, name) == *"disabled" { ArnFormat::Short } else { ArnFormat::Long }
}

pub(crate) fn is_arn_format(name: &SettingName) -> bool {
    matches!(
        name,
        SettingName::ServiceLongArnFormat
            | SettingName::TaskLongArnFormat
            | SettingName::ContainerInstanceLongArnFormat
    )
}

/// What a setting can be.
pub(crate) fn values(name: &SettingName) -> &'static [&'static str] {
    match name {
        SettingName::ServiceLongArnFormat
        | SettingName::TaskLongArnFormat
        | SettingName::ContainerInstanceLongArnFormat
        | SettingName::AwsvpcTrunking
        | SettingName::FargateFIPSMode
        | SettingName::FargateEventWindows => ON,
        SettingName::ContainerInsights => &INSIGHTS,
        SettingName::TagResourceAuthorization | SettingName::GuardDutyActivate => &["on", "off"],
        SettingName::FargateTaskRetirementWaitPeriod => &["0", "7", "14"],
        SettingName::DefaultLogDriverMode => &["blocking", "non-blocking"],
        // Refused before anything is looked up.
        SettingName::Unrecognized(_) => &[],
    }
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
        SettingName::Unrecognized(_) => "",
    }
}
