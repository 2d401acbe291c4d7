//! Service Connect.

use longshore_domain::status::Switch;
use longshore_shapes_ecs as shapes;
use longshore_tables_ecs::record::{
    AccessLog, AccessLogFormat, ClientAlias, ConnectLog, ConnectTimeout, ConnectTls, ServiceConnect,
    ServiceConnectService,
};

use super::{Refused, port, string, text};
use crate::texts;

/// Reads a configuration. Switched off is the same as absent, so that nothing is kept of it.
pub(crate) fn service_connect(
    given: &shapes::ServiceConnectConfiguration,
) -> Result<Option<ServiceConnect>, Refused> {
    if given.enabled != Some(true) {
        return Ok(None);
    }
    let services = given.services.iter().flatten().map(service);
    Ok(Some(ServiceConnect {
        namespace: text(&given.namespace),
        services: services.collect::<Result<_, _>>()?,
        log: given.log_configuration.as_ref().map(log),
        access_log: given.access_log_configuration.as_ref().map(access_log).transpose()?,
    }))
}

fn service(given: &shapes::ServiceConnectService) -> Result<ServiceConnectService, Refused> {
    let aliases = given.client_aliases.iter().flatten().map(alias);
    Ok(ServiceConnectService {
        port_name: given.port_name.as_deref().unwrap_or_default().into(),
        discovery_name: text(&given.discovery_name),
        client_aliases: aliases.collect::<Result<_, _>>()?,
        ingress_port: given.ingress_port_override.map(port).transpose()?,
        timeout: given.timeout.as_ref().map(timeout).transpose()?,
        tls: given.tls.as_ref().map(tls).map(Box::new),
    })
}

fn alias(given: &shapes::ServiceConnectClientAlias) -> Result<ClientAlias, Refused> {
    let header = given.test_traffic_rules.as_ref().and_then(|rules| rules.header.as_ref());
    let header = header.map(|header| {
        let exact = header.value.as_ref().and_then(|value| text(&value.exact));
        (header.name.as_deref().unwrap_or_default().into(), exact)
    });
    Ok(ClientAlias {
        port: port(given.port.ok_or_else(|| Refused::new(texts::required("clientAliases.port")))?)?,
        dns_name: text(&given.dns_name),
        test_header: header,
    })
}

fn timeout(given: &shapes::TimeoutConfiguration) -> Result<ConnectTimeout, Refused> {
    let seconds = |given: Option<i32>| {
        let seconds = given.map(u32::try_from).transpose();
        seconds.map_err(|_| Refused::new(texts::TIMEOUT_NEGATIVE))
    };
    Ok(ConnectTimeout {
        idle_secs: seconds(given.idle_timeout_seconds)?,
        per_request_secs: seconds(given.per_request_timeout_seconds)?,
    })
}

fn tls(given: &shapes::ServiceConnectTlsConfiguration) -> ConnectTls {
    let authority = given.issuer_certificate_authority.as_ref();
    ConnectTls {
        authority: authority.and_then(|authority| text(&authority.aws_pca_authority_arn)),
        kms_key: text(&given.kms_key),
        role: text(&given.role_arn),
    }
}

fn log(given: &shapes::LogConfiguration) -> ConnectLog {
    let secret = |secret: &shapes::Secret| {
        let word = |given: &Option<String>| given.as_deref().unwrap_or_default().into();
        (word(&secret.name), word(&secret.value_from))
    };
    let options = given.options.iter().flatten();
    ConnectLog {
        driver: given.log_driver.as_ref().map_or("", |driver| driver.as_str()).into(),
        options: options.map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect(),
        secret_options: given.secret_options.iter().flatten().map(secret).collect(),
    }
}

fn access_log(given: &shapes::ServiceConnectAccessLogConfiguration) -> Result<AccessLog, Refused> {
    let format = given.format.as_ref().and_then(|format| AccessLogFormat::parse(format.as_str()));
    let unknown = |what: &str, allowed: &[&str]| Refused::new(texts::one_of(what, allowed));
    let parameters = given.include_query_parameters.as_ref().map(|given| {
        let allowed = shapes::ServiceConnectIncludeQueryParameters::VALUES;
        Switch::parse(given.as_str()).ok_or_else(|| unknown("include query parameters", allowed))
    });
    Ok(AccessLog {
        format: format.ok_or_else(|| unknown("format", shapes::ServiceConnectAccessLoggingFormat::VALUES))?,
        query_parameters: parameters.transpose()?,
    })
}

/// The configuration as it was given. Lists that are empty are not shown (unverified: AWS may tell them from absent ones).
pub(crate) fn service_connect_shape(kept: &ServiceConnect) -> shapes::ServiceConnectConfiguration {
    shapes::ServiceConnectConfiguration {
        enabled: Some(true),
        namespace: string(&kept.namespace),
        services: listed(kept.services.iter().map(service_shape)),
        log_configuration: kept.log.as_ref().map(log_shape),
        access_log_configuration: kept.access_log.map(|own| shapes::ServiceConnectAccessLogConfiguration {
            format: Some(own.format.as_str().into()),
            include_query_parameters: own.query_parameters.map(|own| own.as_str().into()),
        }),
    }
}

fn service_shape(kept: &ServiceConnectService) -> shapes::ServiceConnectService {
    let seconds = |own: Option<u32>| own.map(|own| i32::try_from(own).unwrap_or(i32::MAX));
    shapes::ServiceConnectService {
        port_name: Some(kept.port_name.to_string()),
        discovery_name: string(&kept.discovery_name),
        client_aliases: listed(kept.client_aliases.iter().map(alias_shape)),
        ingress_port_override: kept.ingress_port.map(|port| port.0.into()),
        timeout: kept.timeout.map(|own| shapes::TimeoutConfiguration {
            idle_timeout_seconds: seconds(own.idle_secs),
            per_request_timeout_seconds: seconds(own.per_request_secs),
        }),
        tls: kept.tls.as_deref().map(|own| shapes::ServiceConnectTlsConfiguration {
            issuer_certificate_authority: Some(shapes::ServiceConnectTlsCertificateAuthority {
                aws_pca_authority_arn: string(&own.authority),
            }),
            kms_key: string(&own.kms_key),
            role_arn: string(&own.role),
        }),
    }
}

fn alias_shape(kept: &ClientAlias) -> shapes::ServiceConnectClientAlias {
    let rules = kept.test_header.as_ref().map(|(name, exact)| shapes::ServiceConnectTestTrafficRules {
        header: Some(shapes::ServiceConnectTestTrafficHeaderRules {
            name: Some(name.to_string()),
            value: exact.as_deref().map(|exact| shapes::ServiceConnectTestTrafficHeaderMatchRules {
                exact: Some(exact.to_owned()),
            }),
        }),
    });
    shapes::ServiceConnectClientAlias {
        port: Some(kept.port.0.into()),
        dns_name: string(&kept.dns_name),
        test_traffic_rules: rules,
    }
}

fn log_shape(kept: &ConnectLog) -> shapes::LogConfiguration {
    let secret = |(name, from): &(std::sync::Arc<str>, std::sync::Arc<str>)| shapes::Secret {
        name: Some(name.to_string()),
        value_from: Some(from.to_string()),
    };
    let options = kept.options.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    shapes::LogConfiguration {
        log_driver: Some((&*kept.driver).into()),
        options: (!kept.options.is_empty()).then(|| options.collect()),
        secret_options: listed(kept.secret_options.iter().map(secret)),
    }
}

/// `None` if there are none.
fn listed<T>(items: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.collect();
    (!items.is_empty()).then_some(items)
}

#[cfg(test)]
mod tests {
    use longshore_wire::json;

    use super::*;

    fn shape(text: &str) -> shapes::ServiceConnectConfiguration {
        json::from_slice(text.as_bytes()).expect("a shape")
    }

    #[test]
    fn configurations_are_shown_as_they_were_given() {
        for given in [
            r#"{"enabled":true}"#,
            r#"{"enabled":true,"namespace":"internal","services":[{"portName":"http"}]}"#,
            r#"{"enabled":true,"services":[{"portName":"http","discoveryName":"web","ingressPortOverride":15000,
                "clientAliases":[{"port":80,"dnsName":"web"},{"port":81,"testTrafficRules":{"header":{"name":"x-test"}}},
                {"port":82,"testTrafficRules":{"header":{"name":"x-test","value":{"exact":"yes"}}}}],
                "timeout":{"idleTimeoutSeconds":0,"perRequestTimeoutSeconds":30},
                "tls":{"issuerCertificateAuthority":{"awsPcaAuthorityArn":"arn:ca"},"kmsKey":"arn:k","roleArn":"arn:r"}}]}"#,
            r#"{"enabled":true,"logConfiguration":{"logDriver":"awslogs","options":{"awslogs-group":"g"},
                "secretOptions":[{"name":"token","valueFrom":"arn:s"}]},
                "accessLogConfiguration":{"format":"JSON","includeQueryParameters":"ENABLED"}}"#,
            r#"{"enabled":true,"accessLogConfiguration":{"format":"TEXT"}}"#,
        ] {
            let given = shape(given);
            let read = service_connect(&given).expect("it is whole").expect("it is on");
            assert_eq!(service_connect_shape(&read), given);
        }
    }

    #[test]
    fn what_is_switched_off_is_not_kept() {
        for given in [r#"{"enabled":false,"namespace":"n"}"#, r#"{"namespace":"n"}"#] {
            assert_eq!(service_connect(&shape(given)), Ok(None), "{given}");
        }
    }

    #[test]
    fn configurations_that_cannot_be_are_refused() {
        for given in [
            r#"{"enabled":true,"services":[{"portName":"p","clientAliases":[{"dnsName":"a"}]}]}"#,
            r#"{"enabled":true,"services":[{"portName":"p","clientAliases":[{"port":65536}]}]}"#,
            r#"{"enabled":true,"services":[{"portName":"p","ingressPortOverride":-1}]}"#,
            r#"{"enabled":true,"services":[{"portName":"p","timeout":{"idleTimeoutSeconds":-1}}]}"#,
            r#"{"enabled":true,"accessLogConfiguration":{"format":"XML"}}"#,
            r#"{"enabled":true,"accessLogConfiguration":{"format":"TEXT","includeQueryParameters":"MAYBE"}}"#,
        ] {
            assert!(service_connect(&shape(given)).is_err(), "{given}");
        }
    }
}
