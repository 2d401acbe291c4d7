//! The network interface of a task as the API shows it (ecs-engine D3).

use longshore_base::Region;
use longshore_controllers::interface::private_dns_name;
use longshore_domain::{TaskStatus, interface};
use longshore_shapes_ecs as shapes;
use longshore_tables_ecs::record::Task;

use crate::documents;

/// The `ElasticNetworkInterface` among the attachments of a task. Its details but the subnet are shown once it is
/// more than planned.
pub(super) fn of(region: &Region, task: &Task) -> Option<shapes::Attachment> {
    let own = task.interface.as_ref()?;
    let status = status(task.last_status);
    let mut details = vec![("subnetId", subnet(task).unwrap_or_default())];
    if status != PLANNED {
        details.extend([
            ("networkInterfaceId", own.id.to_string()),
            ("macAddress", interface::mac(own.address)),
            ("privateDnsName", private_dns_name(region, own.address)),
            ("privateIPv4Address", own.address.to_string()),
        ]);
    }
    let pair = |(name, value): (&str, String)| shapes::KeyValuePair {
        name: Some(name.to_owned()),
        value: Some(value),
    };
    Some(shapes::Attachment {
        id: Some(own.attachment.to_string()),
        r#type: Some("ElasticNetworkInterface".to_owned()),
        status: Some(status.to_owned()),
        details: Some(details.into_iter().map(pair).collect()),
    })
}

/// The same for each container of the task, which all share it.
pub(super) fn interface(task: &Task) -> Option<shapes::NetworkInterface> {
    let own = task.interface.as_ref().filter(|_| status(task.last_status) != PLANNED)?;
    Some(shapes::NetworkInterface {
        attachment_id: Some(own.attachment.to_string()),
        private_ipv4_address: Some(own.address.to_string()),
        ipv6_address: None,
    })
}

const PLANNED: &str = "PRECREATED";

/// The interface exists from the moment that the agent has made it, which its first report tells, until the task
/// is STOPPED.
fn status(task: TaskStatus) -> &'static str {
    match task {
        TaskStatus::Provisioning => PLANNED,
        TaskStatus::Pending => "ATTACHING",
        TaskStatus::Activating | TaskStatus::Running | TaskStatus::Deactivating | TaskStatus::Stopping => {
            "ATTACHED"
        }
        TaskStatus::Deprovisioning => "DETACHING",
        TaskStatus::Stopped => "DELETED",
    }
}

/// Where it is shown to be: all subnets are the instance's network here. Of a task from before that was noted, the first
/// that was asked for.
fn subnet(task: &Task) -> Option<String> {
    if let Some(own) = task.interface.as_ref().and_then(|own| own.subnet.as_ref()) {
        return Some(own.to_string());
    }
    let network: shapes::NetworkConfiguration = documents::recall(task.origin.network.as_ref()?)?;
    network.awsvpc_configuration?.subnets?.into_iter().next()
}
