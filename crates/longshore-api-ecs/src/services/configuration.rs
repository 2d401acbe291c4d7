//! `deploymentConfiguration`: what it says, with its defaults, and what Longshore cannot do yet
//! (ecs-operations B6, ecs-services E2).

use longshore_domain::SchedulingStrategy;
use longshore_shapes_ecs::{
    DeploymentAlarms, DeploymentCircuitBreaker, DeploymentConfiguration, DeploymentStrategy,
    InvalidParameterException, UnsupportedFeatureException,
};
use longshore_tables_ecs::record::{Document, Service};

use crate::{documents, texts};

/// The longest `bakeTimeInMinutes`: a day.
const BAKE_MINUTES_MAX: i32 = 1440;

/// A configuration with nothing left open.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Configuration {
    pub minimum_healthy_percent: u32,
    pub maximum_percent: u32,
    pub circuit_breaker: bool,
    pub circuit_breaker_rollback: bool,
    pub bake_minutes: u32,
    /// Only ever alarms that are switched off.
    alarms: Option<DeploymentAlarms>,
}

impl Configuration {
    /// What a new service has unless told otherwise.
    pub fn default_of(scheduling: SchedulingStrategy) -> Self {
        let (minimum_healthy_percent, maximum_percent) = match scheduling {
            SchedulingStrategy::Replica => (100, 200),
            SchedulingStrategy::Daemon => (0, 100),
        };
        Self {
            minimum_healthy_percent,
            maximum_percent,
            circuit_breaker: false,
            circuit_breaker_rollback: false,
            bake_minutes: 0,
            alarms: None,
        }
    }

    /// That of a service.
    pub fn of(service: &Service) -> Self {
        let kept: Option<DeploymentConfiguration> =
            service.deployment_configuration.as_ref().and_then(documents::recall);
        Self {
            minimum_healthy_percent: service.minimum_healthy_percent,
            maximum_percent: service.maximum_percent,
            circuit_breaker: service.circuit_breaker,
            circuit_breaker_rollback: service.circuit_breaker_rollback,
            bake_minutes: service.bake_minutes,
            alarms: kept.and_then(|kept| kept.alarms),
        }
    }

    /// Replaces what a call gives; what is absent stays.
    pub fn merge<E>(
        mut self,
        given: Option<DeploymentConfiguration>,
        scheduling: SchedulingStrategy,
    ) -> Result<Self, E>
    where
        E: From<InvalidParameterException> + From<UnsupportedFeatureException>,
    {
        let Some(given) = given else { return Ok(self) };
        refuse_what_is_not_built(&given)?;
        let percent = |value: Option<i32>, kept: u32| match value.map(u32::try_from) {
            None => Ok(kept),
            Some(Ok(percent)) => Ok(percent),
            Some(Err(_)) => Err(InvalidParameterException::new(texts::PERCENTS)),
        };
        self.minimum_healthy_percent = percent(given.minimum_healthy_percent, self.minimum_healthy_percent)?;
        self.maximum_percent = percent(given.maximum_percent, self.maximum_percent)?;
        if let Some(breaker) = given.deployment_circuit_breaker {
            self.circuit_breaker = breaker.enable.unwrap_or(false);
            self.circuit_breaker_rollback = breaker.rollback.unwrap_or(false);
        }
        if let Some(minutes) = given.bake_time_in_minutes {
            let valid = u32::try_from(minutes).ok().filter(|_| minutes <= BAKE_MINUTES_MAX);
            self.bake_minutes = valid.ok_or_else(|| InvalidParameterException::new(texts::BAKE_TIME))?;
        }
        if given.alarms.is_some() {
            self.alarms = given.alarms;
        }
        self.check(scheduling)?;
        Ok(self)
    }

    fn check(&self, scheduling: SchedulingStrategy) -> Result<(), InvalidParameterException> {
        let refuse = |text: &str| Err(InvalidParameterException::new(text));
        match scheduling {
            SchedulingStrategy::Replica => {
                if self.maximum_percent < 1 || self.minimum_healthy_percent > self.maximum_percent {
                    return refuse(texts::PERCENTS);
                }
            }
            SchedulingStrategy::Daemon => {
                if self.maximum_percent != 100 {
                    return refuse(texts::DAEMON_MAXIMUM);
                }
                if self.minimum_healthy_percent >= 100 {
                    return refuse(texts::DAEMON_MINIMUM);
                }
            }
        }
        Ok(())
    }

    /// Writes it into a service's record.
    pub fn store(&self, service: &mut Service) {
        service.minimum_healthy_percent = self.minimum_healthy_percent;
        service.maximum_percent = self.maximum_percent;
        service.circuit_breaker = self.circuit_breaker;
        service.circuit_breaker_rollback = self.circuit_breaker_rollback;
        service.bake_minutes = self.bake_minutes;
        service.deployment_configuration = Some(self.document());
    }

    pub fn document(&self) -> Document {
        documents::keep(&self.shape())
    }

    pub fn shape(&self) -> DeploymentConfiguration {
        let number = |value: u32| Some(i32::try_from(value).unwrap_or(i32::MAX));
        DeploymentConfiguration {
            alarms: self.alarms.clone(),
            bake_time_in_minutes: number(self.bake_minutes),
            deployment_circuit_breaker: Some(DeploymentCircuitBreaker {
                enable: Some(self.circuit_breaker),
                rollback: Some(self.circuit_breaker_rollback),
            }),
            maximum_percent: number(self.maximum_percent),
            minimum_healthy_percent: number(self.minimum_healthy_percent),
            strategy: Some(DeploymentStrategy::Rolling),
            canary_configuration: None,
            lifecycle_hooks: None,
            linear_configuration: None,
        }
    }
}

/// A deployment that would run differently than it was asked to is worse than none.
fn refuse_what_is_not_built(given: &DeploymentConfiguration) -> Result<(), UnsupportedFeatureException> {
    let refuse = |text: String| Err(UnsupportedFeatureException::new(text));
    match &given.strategy {
        None | Some(DeploymentStrategy::Rolling) => {}
        Some(other) => return refuse(texts::no_deployment_strategy(other.as_str())),
    }
    if given.lifecycle_hooks.as_ref().is_some_and(|hooks| !hooks.is_empty()) {
        return refuse(texts::NO_HOOKS.to_owned());
    }
    if given.alarms.as_ref().is_some_and(|alarms| alarms.enable == Some(true)) {
        return refuse(texts::NO_ALARMS.to_owned());
    }
    Ok(())
}
