//! The Auto Scaling group of a capacity provider: as requests give it, as records keep it, as answers show it.

use longshore_base::Arn;
use longshore_domain::status::Switch;
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::InvalidParameterException;
use longshore_tables_ecs::record::{AutoScalingGroup, ManagedScaling};

use crate::texts;

/// The longest name of a group.
const NAME_CHARS_MAX: usize = 255;

/// Reads a group, fills in what ECS fills in, and refuses what does not fit together.
pub(crate) fn parse(
    given: shapes::AutoScalingGroupProvider,
) -> Result<AutoScalingGroup, InvalidParameterException> {
    let group = given.auto_scaling_group_arn.unwrap_or_default();
    if !is_scaling_group(&group) {
        return Err(InvalidParameterException::new(texts::SCALING_GROUP_ARN));
    }
    // Settings without a status mean that scaling is wanted; no settings mean that it is not.
    let absent_status = if given.managed_scaling.is_some() { Switch::Enabled } else { Switch::Disabled };
    let scaling = given.managed_scaling.unwrap_or_default();
    let status = scaling.status.as_ref().map(|status| status.as_str());
    let managed_scaling = ManagedScaling {
        status: switch("status", status, absent_status)?,
        target_capacity: number(scaling.target_capacity, 100)?,
        minimum_step: number(scaling.minimum_scaling_step_size, 1)?,
        maximum_step: number(scaling.maximum_scaling_step_size, 10_000)?,
        instance_warmup_secs: number(scaling.instance_warmup_period, 300)?,
    };
    let protection = given.managed_termination_protection.as_ref().map(|given| given.as_str());
    let protection = switch("managed termination protection", protection, Switch::Disabled)?;
    if protection == Switch::Enabled && managed_scaling.status == Switch::Disabled {
        return Err(InvalidParameterException::new(texts::TERMINATION_PROTECTION));
    }
    let draining = given.managed_draining.as_ref().map(|given| given.as_str());
    Ok(AutoScalingGroup {
        group: group.into(),
        managed_scaling,
        managed_termination_protection: protection,
        managed_draining: switch("managed draining", draining, Switch::Enabled)?,
    })
}

/// What an update leaves out stays as it is.
pub(crate) fn update(
    known: &AutoScalingGroup,
    given: shapes::AutoScalingGroupProviderUpdate,
) -> Result<AutoScalingGroup, InvalidParameterException> {
    let known = shape(known);
    let old = known.managed_scaling.unwrap_or_default();
    let new = given.managed_scaling.unwrap_or_default();
    parse(shapes::AutoScalingGroupProvider {
        auto_scaling_group_arn: known.auto_scaling_group_arn,
        managed_scaling: Some(shapes::ManagedScaling {
            status: new.status.or(old.status),
            target_capacity: new.target_capacity.or(old.target_capacity),
            minimum_scaling_step_size: new.minimum_scaling_step_size.or(old.minimum_scaling_step_size),
            maximum_scaling_step_size: new.maximum_scaling_step_size.or(old.maximum_scaling_step_size),
            instance_warmup_period: new.instance_warmup_period.or(old.instance_warmup_period),
        }),
        managed_termination_protection: given
            .managed_termination_protection
            .or(known.managed_termination_protection),
        managed_draining: given.managed_draining.or(known.managed_draining),
    })
}

pub(crate) fn shape(kept: &AutoScalingGroup) -> shapes::AutoScalingGroupProvider {
    let scaling = &kept.managed_scaling;
    let number = |number: u32| Some(i32::try_from(number).unwrap_or(i32::MAX));
    shapes::AutoScalingGroupProvider {
        auto_scaling_group_arn: Some(kept.group.to_string()),
        managed_scaling: Some(shapes::ManagedScaling {
            status: Some(scaling.status.as_str().into()),
            target_capacity: number(scaling.target_capacity),
            minimum_scaling_step_size: number(scaling.minimum_step),
            maximum_scaling_step_size: number(scaling.maximum_step),
            instance_warmup_period: number(scaling.instance_warmup_secs),
        }),
        managed_termination_protection: Some(kept.managed_termination_protection.as_str().into()),
        managed_draining: Some(kept.managed_draining.as_str().into()),
    }
}

fn switch(what: &str, given: Option<&str>, absent: Switch) -> Result<Switch, InvalidParameterException> {
    let words: Vec<&str> = Switch::ALL.iter().map(|own| own.as_str()).collect();
    let Some(word) = given else { return Ok(absent) };
    Switch::parse(word).ok_or_else(|| InvalidParameterException::new(texts::one_of(what, &words)))
}

/// The model's ranges are checked before; none of them has negative numbers.
fn number(given: Option<i32>, absent: u32) -> Result<u32, InvalidParameterException> {
    let number = given.map_or(Ok(absent), u32::try_from);
    number.map_err(|_| InvalidParameterException::new(texts::MANAGED_SCALING_NUMBER))
}

/// Whether this can be an Auto Scaling group: its ARN, or, as the model says, its name.
fn is_scaling_group(named: &str) -> bool {
    let is_name = |name: &str| {
        (1..=NAME_CHARS_MAX).contains(&name.chars().count())
            && !name.contains(':')
            && !name.chars().any(char::is_control)
    };
    if !Arn::looks_like_one(named) {
        return is_name(named);
    }
    let parts: Vec<&str> = named.splitn(8, ':').collect();
    let ["arn", partition, "autoscaling", region, account, "autoScalingGroup", id, group] = parts[..] else {
        return false;
    };
    let account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let name = group.strip_prefix("autoScalingGroupName/").is_some_and(is_name);
    account && name && ![partition, region, id].contains(&"")
}
