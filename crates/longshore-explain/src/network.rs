//! What the network of tasks in awsvpc mode is, and what it is not (decisions 15 and 48).

use longshore_tables_ecs::record::{Service, Task};

use crate::Explanation;

/// What every answer about such a network has to say.
const ISOLATES_NOTHING: &str = "subnets, security groups, routes and network ACLs are kept and shown, and isolate nothing: every task of its \
     machine's task network reaches it, and so does the machine";

pub(crate) fn say_of_task(out: &mut Explanation, task: &Task) {
    let Some(own) = &task.interface else { return };
    let subnet = own.subnet.as_ref().map_or_else(String::new, |subnet| format!(" (shown in {subnet})"));
    out.say(format!("Its address is {}{subnet}; {ISOLATES_NOTHING}.", own.address));
}

pub(crate) fn say_of_service(out: &mut Explanation, service: &Service) {
    if service.network.is_some() {
        out.say(format!("Each of its tasks has an address of its own; {ISOLATES_NOTHING}."));
    }
}
