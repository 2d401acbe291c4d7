//! Operations: their names, types and errors.

use super::{Api, Files, names};
use crate::service::{Operation, Service};

pub fn generate(api: &Api, service: &Service, files: &mut Files) -> anyhow::Result<()> {
    files.insert("operation.rs".into(), operation_enum(service)?);
    files.insert("ops.rs".into(), markers(api, service));
    files.insert("operation_errors.rs".into(), errors(service));
    Ok(())
}

fn operation_enum(service: &Service) -> anyhow::Result<String> {
    let variants = |map: &dyn Fn(&str) -> String| -> String {
        service.operations.iter().map(|operation| map(&operation.name)).collect()
    };
    let facts = |pick: &dyn Fn(&Operation) -> bool| -> String {
        let names: Vec<String> = service
            .operations
            .iter()
            .filter(|operation| pick(operation))
            .map(|o| format!("Self::{}", o.name))
            .collect();
        if names.is_empty() { "false".to_owned() } else { format!("matches!(self, {})", names.join(" | ")) }
    };
    Ok(format!(
        "//! The operations by name.

        use longshore_wire::{{Protocol, ServiceSchema}};

        {target}
        /// The service's name in a signature's credential scope.
        pub const SIGNING_NAME: &str = {signing:?};
        pub const API_VERSION: &str = {version:?};
        /// What its operations have in common.
        pub static SERVICE: ServiceSchema = {schema};

        /// Every operation that has shapes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {{ {plain} }}

        impl Operation {{
            pub const ALL: &'static [Self] = &[{all}];

            pub const fn name(self) -> &'static str {{
                match self {{ {to_name} }}
            }}

            pub fn from_name(name: &str) -> Option<Self> {{
                match name {{ {from_name} _ => None }}
            }}

            /// The model promises that it changes nothing.
            pub const fn is_readonly(self) -> bool {{
                {readonly}
            }}
        }}

        impl std::fmt::Display for Operation {{
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{
                f.write_str(self.name())
            }}
        }}
        ",
        target = match &service.target_prefix {
            Some(prefix) => format!(
                "/// What stands before the operation's name in `X-Amz-Target`.
                pub const TARGET_PREFIX: &str = {prefix:?};"
            ),
            None => String::new(),
        },
        schema = service_schema(service)?,
        signing = service.signing_name,
        version = service.api_version,
        plain = variants(&|name| format!("{name},")),
        all = variants(&|name| format!("Self::{name},")),
        to_name = variants(&|name| format!("Self::{name} => {name:?},")),
        from_name = variants(&|name| format!("{name:?} => Some(Self::{name}),")),
        readonly = facts(&|operation| operation.readonly),
    ))
}

/// What the operations have in common, as an expression.
pub fn service_schema(service: &Service) -> anyhow::Result<String> {
    let protocols: Vec<String> =
        service.protocols.iter().map(|name| service.protocol(name)).collect::<Result<_, _>>()?;
    Ok(format!(
        "ServiceSchema {{
            signing_name: {signing:?},
            api_version: {version:?},
            target_prefix: {prefix:?},
            xml_namespace: {uri:?},
            protocols: &[{protocols}],
            is_query_compatible: {compatible},
        }}",
        signing = service.signing_name,
        version = service.api_version,
        prefix = service.target_prefix,
        uri = service.xml_namespace,
        protocols = protocols.join(", "),
        compatible = service.is_query_compatible,
    ))
}

fn markers(api: &Api, service: &Service) -> String {
    let mut text = String::from(
        "//! One type per operation, which ties its name, input, output and error together.\n\nuse longshore_wire::{OperationShape, ServiceSchema};\n\nuse crate::generated as shapes;\n\n",
    );
    for operation in &service.operations {
        let name = &operation.name;
        text.push_str(&format!(
            "/// <{}>\n#[derive(Clone, Copy, Debug)]\npub struct {name};\n\nimpl OperationShape for {name} {{\nconst SERVICE: &'static ServiceSchema = &shapes::SERVICE;\nconst NAME: &'static str = {name:?};\nconst READONLY: bool = {};\nconst IDEMPOTENT: bool = {};\n{}type Input = shapes::{};\ntype Output = shapes::{};\ntype Error = shapes::{name}Error;\n}}\n\n",
            api.reference.replace("{}", name),
            operation.readonly,
            operation.idempotent,
            http(operation),
            names::shape(&operation.input),
            names::shape(&operation.output),
        ));
    }
    text.push_str(&each_operation(service));
    text
}

/// A macro that hands the names of all operations to another: the one list that tables of operations are made from.
fn each_operation(service: &Service) -> String {
    let names: Vec<&str> = service.operations.iter().map(|operation| operation.name.as_str()).collect();
    format!(
        "/// Calls the macro `$with` with what is given and the names of all operations, each of which is a type in [`ops`](self).
        #[macro_export]
        macro_rules! each_operation {{
            ($with:ident $($given:tt)*) => {{
                $with! {{ $($given)* {} }}
            }};
        }}\n",
        names.join(" ")
    )
}

/// What the model says of HTTP, where it is not what every operation has.
fn http(operation: &Operation) -> String {
    let mut text = String::new();
    if operation.method != "POST" {
        text.push_str(&format!("const METHOD: &'static str = {:?};\n", operation.method));
    }
    if operation.uri != "/" {
        text.push_str(&format!("const URI: &'static str = {:?};\n", operation.uri));
    }
    if let Some(status) = operation.status.filter(|status| *status != 200) {
        text.push_str(&format!("const STATUS: u16 = {status};\n"));
    }
    if let Some(wrapper) = &operation.result_wrapper {
        text.push_str(&format!("const RESULT_WRAPPER: Option<&'static str> = Some({wrapper:?});\n"));
    }
    text
}

fn errors(service: &Service) -> String {
    let mut text = String::from(
        "//! What each operation may answer other than its output.\n\nuse longshore_wire::operation_error;\n\nuse crate::generated::*;\n\n",
    );
    for operation in &service.operations {
        text.push_str(&format!("operation_error! {{\n    pub enum {}Error {{\n", operation.name));
        for error in &operation.errors {
            text.push_str(&format!("        {},\n", names::shape(error)));
        }
        text.push_str("    }\n}\n\n");
    }
    text
}
