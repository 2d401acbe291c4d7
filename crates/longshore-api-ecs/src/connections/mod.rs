//! Load balancers, service registries and Service Connect: as requests give them, as records keep them, as answers show
//! them.

mod connect;

use std::sync::Arc;

use longshore_base::{ContainerName, Port};
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::InvalidParameterException;
use longshore_tables_ecs::record::{
    AdvancedConfiguration, LoadBalancer, LoadBalancerTarget, ServiceRegistry,
};

use crate::texts;

pub(crate) use connect::{service_connect, service_connect_shape};

type Refused = InvalidParameterException;

/// Reads one of `loadBalancers`.
pub(crate) fn load_balancer(given: &shapes::LoadBalancer) -> Result<LoadBalancer, Refused> {
    let target = match (&given.target_group_arn, &given.load_balancer_name) {
        (Some(arn), None) => LoadBalancerTarget::TargetGroup(arn.as_str().into()),
        (None, Some(name)) => LoadBalancerTarget::Classic(name.as_str().into()),
        (None, None) | (Some(_), Some(_)) => return Err(Refused::new(texts::LOAD_BALANCER_KIND)),
    };
    let advanced = given.advanced_configuration.as_ref().map(|given| AdvancedConfiguration {
        alternate_target_group: text(&given.alternate_target_group_arn),
        production_listener_rule: text(&given.production_listener_rule),
        test_listener_rule: text(&given.test_listener_rule),
        role: text(&given.role_arn),
    });
    Ok(LoadBalancer {
        target,
        container: container(given.container_name.as_deref().unwrap_or_default())?,
        port: port(given.container_port.ok_or_else(|| Refused::new(texts::required("containerPort")))?)?,
        advanced: advanced.map(Box::new),
    })
}

pub(crate) fn load_balancer_shapes(kept: &[LoadBalancer]) -> Vec<shapes::LoadBalancer> {
    let shape = |own: &LoadBalancer| {
        let (target_group_arn, load_balancer_name) = match &own.target {
            LoadBalancerTarget::TargetGroup(arn) => (Some(arn.to_string()), None),
            LoadBalancerTarget::Classic(name) => (None, Some(name.to_string())),
        };
        shapes::LoadBalancer {
            target_group_arn,
            load_balancer_name,
            container_name: Some(own.container.to_string()),
            container_port: Some(own.port.0.into()),
            advanced_configuration: own.advanced.as_deref().map(|own| shapes::AdvancedConfiguration {
                alternate_target_group_arn: string(&own.alternate_target_group),
                production_listener_rule: string(&own.production_listener_rule),
                test_listener_rule: string(&own.test_listener_rule),
                role_arn: string(&own.role),
            }),
        }
    };
    kept.iter().map(shape).collect()
}

/// Reads one of `serviceRegistries`.
pub(crate) fn registry(given: &shapes::ServiceRegistry) -> Result<ServiceRegistry, Refused> {
    Ok(ServiceRegistry {
        registry: given.registry_arn.as_deref().unwrap_or_default().into(),
        port: given.port.map(port).transpose()?,
        container: given.container_name.as_deref().map(container).transpose()?,
        container_port: given.container_port.map(port).transpose()?,
    })
}

pub(crate) fn registry_shapes(kept: &[ServiceRegistry]) -> Vec<shapes::ServiceRegistry> {
    let shape = |own: &ServiceRegistry| shapes::ServiceRegistry {
        registry_arn: Some(own.registry.to_string()),
        port: own.port.map(|port| port.0.into()),
        container_name: own.container.as_ref().map(ToString::to_string),
        container_port: own.container_port.map(|port| port.0.into()),
    };
    kept.iter().map(shape).collect()
}

fn port(number: i32) -> Result<Port, Refused> {
    let port = u16::try_from(number).map_err(|_| Refused::new(texts::no_port(number)))?;
    Ok(Port(port))
}

fn container(name: &str) -> Result<ContainerName, Refused> {
    ContainerName::parse(name).map_err(|_| Refused::new(texts::no_container(name)))
}

fn text(given: &Option<String>) -> Option<Arc<str>> {
    given.as_deref().map(Into::into)
}

fn string(kept: &Option<Arc<str>>) -> Option<String> {
    kept.as_deref().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use longshore_wire::json;

    use super::*;

    #[test]
    fn load_balancers_are_shown_as_they_were_given() {
        for (given, target) in [
            (
                r#"{"targetGroupArn":"arn:tg","containerName":"app","containerPort":80}"#,
                LoadBalancerTarget::TargetGroup("arn:tg".into()),
            ),
            (
                r#"{"loadBalancerName":"lb","containerName":"app","containerPort":65535}"#,
                LoadBalancerTarget::Classic("lb".into()),
            ),
            (
                r#"{"targetGroupArn":"arn:blue","containerName":"app","containerPort":80,"advancedConfiguration":
                    {"alternateTargetGroupArn":"arn:green","productionListenerRule":"arn:p","testListenerRule":"arn:t",
                     "roleArn":"arn:role"}}"#,
                LoadBalancerTarget::TargetGroup("arn:blue".into()),
            ),
            (
                r#"{"targetGroupArn":"arn:b","containerName":"app","containerPort":1,"advancedConfiguration":{}}"#,
                LoadBalancerTarget::TargetGroup("arn:b".into()),
            ),
        ] {
            let given: shapes::LoadBalancer = json::from_slice(given.as_bytes()).expect("a shape");
            let read = load_balancer(&given).expect("it is whole");
            assert_eq!(read.target, target);
            assert_eq!(load_balancer_shapes(&[read]), [given]);
        }
    }

    #[test]
    fn load_balancers_that_say_too_little_or_too_much_are_refused() {
        for given in [
            r#"{"containerName":"app","containerPort":80}"#,
            r#"{"targetGroupArn":"a","loadBalancerName":"b","containerName":"app","containerPort":80}"#,
            r#"{"targetGroupArn":"a","containerName":"app"}"#,
            r#"{"targetGroupArn":"a","containerName":"app","containerPort":65536}"#,
            r#"{"targetGroupArn":"a","containerName":"app","containerPort":-1}"#,
            r#"{"targetGroupArn":"a","containerPort":80}"#,
        ] {
            let shape: shapes::LoadBalancer = json::from_slice(given.as_bytes()).expect("a shape");
            assert!(load_balancer(&shape).is_err(), "{given}");
        }
    }

    #[test]
    fn registries_are_shown_as_they_were_given() {
        for given in [
            r#"{"registryArn":"arn:r"}"#,
            r#"{"registryArn":"arn:r","port":80}"#,
            r#"{"registryArn":"arn:r","containerName":"app","containerPort":8080}"#,
        ] {
            let given: shapes::ServiceRegistry = json::from_slice(given.as_bytes()).expect("a shape");
            assert_eq!(registry_shapes(&[registry(&given).expect("it is whole")]), [given]);
        }
    }
}
