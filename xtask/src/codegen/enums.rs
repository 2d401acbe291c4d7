//! String enumerations.

use std::collections::BTreeMap;

use anyhow::ensure;

use super::{Files, names};
use crate::service::{Kind, Service};

pub fn generate(service: &Service, files: &mut Files) -> anyhow::Result<()> {
    let mut text = String::from(
        "//! Enumerations: strings with a list of known values.\n\nuse longshore_wire::string_enum;\n\n",
    );
    for (name, shape) in &service.shapes {
        let Kind::Enum(values) = &shape.kind else { continue };
        let mut variants: BTreeMap<String, &str> = BTreeMap::new();
        text.push_str(&format!("string_enum! {{\n    pub enum {} {{\n", names::shape(name)));
        for value in values {
            let variant = names::variant(value);
            let other = variants.insert(variant.clone(), value);
            ensure!(
                other.is_none() && variant != "Unrecognized",
                "{name}: {value:?} and {other:?} want one variant"
            );
            text.push_str(&format!("        {variant} = {value:?},\n"));
        }
        text.push_str("    }\n}\n\n");
    }
    files.insert("enums.rs".into(), text);
    Ok(())
}
