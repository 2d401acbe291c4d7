//! Account settings (ecs-behaviour A9, ecs-operations B9).

use std::sync::Arc;

use longshore_service::{Command, Cx, Query, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::key::SettingKey;
use longshore_tables_ecs::record::AccountSetting;

use crate::paging::{self, Page};
use crate::permission::Keys;
use crate::{Caller, Ecs, Settings, input, permission, settings_in_force, texts};

/// Every setting, in the model's order.
const NAMES: [SettingName; 11] = [
    SettingName::ServiceLongArnFormat,
    SettingName::TaskLongArnFormat,
    SettingName::ContainerInstanceLongArnFormat,
    SettingName::AwsvpcTrunking,
    SettingName::ContainerInsights,
    SettingName::FargateFIPSMode,
    SettingName::TagResourceAuthorization,
    SettingName::FargateTaskRetirementWaitPeriod,
    SettingName::GuardDutyActivate,
    SettingName::DefaultLogDriverMode,
    SettingName::FargateEventWindows,
];
const PRINCIPAL_CHARS_MAX: usize = 512;

/// A setting that a call puts, checked.
pub struct Put {
    name: SettingName,
    value: Arc<str>,
    principal: String,
}

impl Command<Ecs> for ops::PutAccountSetting {
    type Parsed = Put;
    type Answer = PutAccountSettingResponse;

    fn parse(cx: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        known(input.name.as_ref())?;
        input::check(&input)?;
        let principal = principal(cx.caller, input.principal_arn)?;
        Ok(Put::parse(&cx.api.settings, input.name, input.value, principal)?)
    }

    fn resources(state: &State, caller: &Caller, put: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_all().key("ecs:account-setting", put.name.as_str())
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, put: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        Ok(PutAccountSettingResponse { setting: Some(put.run(tx, caller)) })
    }
}

impl Command<Ecs> for ops::PutAccountSettingDefault {
    type Parsed = Put;
    type Answer = PutAccountSettingDefaultResponse;

    fn parse(cx: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        known(input.name.as_ref())?;
        input::check(&input)?;
        Ok(Put::parse(&cx.api.settings, input.name, input.value, cx.caller.root_arn())?)
    }

    fn resources(state: &State, caller: &Caller, put: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_all().key("ecs:account-setting", put.name.as_str())
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, put: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        Ok(PutAccountSettingDefaultResponse { setting: Some(put.run(tx, caller)) })
    }
}

impl Command<Ecs> for ops::DeleteAccountSetting {
    type Parsed = Self::Input;
    type Answer = DeleteAccountSettingResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        known(input.name.as_ref())?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        let name = input.name.as_ref().map(|name| name.as_str());
        permission::of::<Self>(state, caller).on_all().maybe("ecs:account-setting", name)
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let name = known(input.name.as_ref())?;
        let principal = principal(caller, input.principal_arn)?;
        if settings_in_force::stored(tx.state(), &caller.scope, &principal, name).is_some() {
            tx.delete::<AccountSetting>(SettingKey::new(
                caller.scope.clone(),
                name.as_str(),
                principal.as_str(),
            ));
        }
        let value = settings_in_force::of(tx.state(), caller, &principal, name);
        Ok(DeleteAccountSettingResponse { setting: Some(shape(name, &value, principal)) })
    }
}

impl Query<Ecs> for ops::ListAccountSettings {
    type Parsed = (Self::Input, Page);
    type Answer = ListAccountSettingsResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        let asked = (input.max_results.take(), input.next_token.take());
        if let Some(name) = &input.name {
            known(Some(name))?;
        }
        input::check(&input)?;
        let page = Page::open("ListAccountSettings", cx.caller, &input, asked, paging::LIST_TENS)?;
        Ok((input, page))
    }

    fn resources(state: &State, caller: &Caller, _: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_all()
    }

    fn run(state: &State, caller: &Caller, (input, page): Self::Parsed) -> Result<Self::Answer, Self::Error> {
        if input.value.is_some() && input.name.is_none() {
            return Err(InvalidParameterException::new(texts::SETTING_VALUE_ALONE).into());
        }
        let principal = principal(caller, input.principal_arn)?;
        let effective = input.effective_settings.unwrap_or(false);
        let value = |name: &SettingName| {
            if effective {
                Some(settings_in_force::of(state, caller, &principal, name))
            } else {
                settings_in_force::stored(state, &caller.scope, &principal, name)
            }
        };
        let wanted = NAMES
            .iter()
            .enumerate()
            .filter(|(_, name)| input.name.as_ref().is_none_or(|wanted| wanted == *name));
        let settings = wanted
            .filter_map(|(place, name)| Some((place, name, value(name)?)))
            .filter(|(_, _, value)| input.value.as_deref().is_none_or(|wanted| **value == *wanted));
        let (settings, next_token) = page.fill_rising(settings, |(place, _, _)| format!("{place:02}"));
        let settings = settings.into_iter().map(|(_, name, value)| shape(name, &value, principal.clone()));
        Ok(ListAccountSettingsResponse { settings: Some(settings.collect()), next_token })
    }
}

impl Put {
    fn parse(
        settings: &Settings,
        name: Option<SettingName>,
        value: Option<String>,
        principal: String,
    ) -> Result<Self, InvalidParameterException> {
        let name = name.ok_or_else(|| InvalidParameterException::new(texts::required("name")))?;
        let value = value.unwrap_or_default();
        let refuse = |text: &str| Err(InvalidParameterException::new(text));
        if name == SettingName::GuardDutyActivate {
            return refuse(texts::SETTING_READ_ONLY);
        }
        let allowed = settings_in_force::values(&name);
        if !allowed.contains(&value.as_str()) {
            return refuse(&texts::one_of(name.as_str(), allowed));
        }
        if settings_in_force::is_arn_format(&name) && value == "disabled" && !settings.allow_short_arns {
            return refuse(texts::LONG_ARNS_ONLY);
        }
        Ok(Self { name, value: value.into(), principal })
    }

    fn run(self, tx: &mut Tx<'_>, caller: &Caller) -> Setting {
        let Self { name, value, principal } = self;
        let setting = shape(&name, &value, principal.clone());
        let record =
            AccountSetting { principal: principal.as_str().into(), name: name.as_str().into(), value };
        tx.put::<AccountSetting>(SettingKey::new(caller.scope.clone(), name.as_str(), principal), record);
        setting
    }
}

fn shape(name: &SettingName, value: &str, principal: String) -> Setting {
    let managed = *name == SettingName::GuardDutyActivate;
    Setting {
        name: Some(name.clone()),
        value: Some(value.to_owned()),
        principal_arn: Some(principal),
        r#type: Some(if managed { SettingType::AwsManaged } else { SettingType::User }),
    }
}

/// The setting of that name. An unknown one is refused by its own name (ecs-behaviour A9).
fn known(name: Option<&SettingName>) -> Result<&SettingName, InvalidParameterException> {
    match name {
        Some(SettingName::Unrecognized(name)) => {
            let shown: String = name.chars().take(64).collect();
            Err(InvalidParameterException::new(texts::one_of(&shown, SettingName::VALUES)))
        }
        Some(name) => Ok(name),
        None => Err(InvalidParameterException::new(texts::required("name"))),
    }
}

/// Whose setting is meant: the caller's, unless another principal of its account is named.
fn principal(caller: &Caller, named: Option<String>) -> Result<String, InvalidParameterException> {
    let Some(named) = named.filter(|named| !named.is_empty() && **named != *caller.principal) else {
        return Ok(caller.principal.to_string());
    };
    let account = format!("arn:{}:iam::{}:", caller.scope.partition().as_str(), caller.scope.account);
    let of_account = named
        .strip_prefix(&account)
        .is_some_and(|rest| rest == "root" || rest.starts_with("user/") || rest.starts_with("role/"));
    if !of_account || named.len() > PRINCIPAL_CHARS_MAX || !named.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(InvalidParameterException::new(texts::PRINCIPAL_INVALID));
    }
    Ok(named)
}
