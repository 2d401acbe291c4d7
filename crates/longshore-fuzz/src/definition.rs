//! Task definitions: from the body of RegisterTaskDefinition to the compiled form that the scheduler reads.

use longshore_base::{AccountId, Region, Scope};
use longshore_domain::task_definition::{Owner, compile, compile_shape, normalise};
use longshore_shapes_ecs::{RegisterTaskDefinitionRequest, TaskDefinition};
use longshore_wire::json;

pub fn run(bytes: &[u8]) {
    let Ok(request) = json::from_slice::<RegisterTaskDefinitionRequest>(bytes) else { return };
    let scope = Scope::new(
        AccountId::parse("123456789012").expect("twelve digits"),
        Region::parse("us-east-1").expect("a region"),
    );
    let owner = Owner { scope: &scope };
    let normalised = match normalise(request, &owner) {
        Ok(normalised) => normalised,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty());
            // An error may quote a name or two, never the whole request several times over.
            assert!(text.len() <= 4 * bytes.len() + 1000, "{} bytes for {}", text.len(), bytes.len());
            return;
        }
    };
    let shape = &normalised.shape;
    assert_eq!(shape.family.as_deref(), Some(normalised.family.as_str()));
    let spec = compile_shape(shape).expect("what is normalised compiles");
    assert!(!spec.containers.is_empty());
    assert!(spec.containers.iter().any(|container| container.essential), "nothing is essential");

    // The stored document is the same definition.
    let document = json::to_vec(shape);
    let document = String::from_utf8(document).expect("JSON is text");
    assert_eq!(compile(&document).expect("what was written can be read"), spec);
    let read: TaskDefinition = json::from_slice(document.as_bytes()).expect("what was written can be read");
    assert_eq!(&read, shape);

    // Registering what DescribeTaskDefinition shows gives the same definition again.
    let again = normalise(request_of(read), &owner).expect("what was registered can be registered again");
    assert_eq!(again.shape, normalised.shape);
}

/// The request that a client makes from a described definition, as people do to register its next revision.
fn request_of(shape: TaskDefinition) -> RegisterTaskDefinitionRequest {
    RegisterTaskDefinitionRequest {
        container_definitions: shape.container_definitions,
        cpu: shape.cpu,
        enable_fault_injection: shape.enable_fault_injection,
        ephemeral_storage: shape.ephemeral_storage,
        execution_role_arn: shape.execution_role_arn,
        family: shape.family,
        inference_accelerators: shape.inference_accelerators,
        ipc_mode: shape.ipc_mode,
        memory: shape.memory,
        network_mode: shape.network_mode,
        pid_mode: shape.pid_mode,
        placement_constraints: shape.placement_constraints,
        proxy_configuration: shape.proxy_configuration,
        requires_compatibilities: shape.requires_compatibilities,
        runtime_platform: shape.runtime_platform,
        task_role_arn: shape.task_role_arn,
        volumes: shape.volumes,
        tags: None,
    }
}
