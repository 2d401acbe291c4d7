//! The catalog: what is known of each service of `models/manifest.toml`, whether this build serves it or not.
//!
//! Names, protocols and the names of *all* operations, so that [`longshore_wire::route`] can tell what a request asks
//! for and the answer can say what is missing. Everything below `generated/` is written by `cargo xtask codegen`. Start
//! at [`ALL`].
//!
//! It does not know: shapes, which are in `longshore-shapes-*`, and what is built.

mod generated;

pub use generated::*;

#[cfg(test)]
mod tests {
    use super::*;

    /// The router bisects these lists, and tells services apart by these names.
    #[test]
    fn the_tables_are_as_the_router_wants_them() {
        assert!(ALL.is_sorted_by(|one, other| one.name < other.name));
        for facts in ALL {
            let operations = facts.operations;
            assert!(operations.is_sorted_by(|one, other| one < other), "{}", facts.name);
            assert!(!facts.schema.protocols.is_empty(), "{}", facts.name);
            for binding in facts.bindings {
                assert!(operations.binary_search(&binding.operation).is_ok(), "{}", binding.operation);
            }
            let others = ALL.iter().filter(|other| other.name != facts.name);
            for other in others {
                let prefix = facts.schema.target_prefix;
                assert!(prefix.is_none() || prefix != other.schema.target_prefix, "{}", facts.name);
                let signed_as = |facts: &longshore_wire::route::ServiceFacts| {
                    (facts.schema.signing_name, facts.schema.api_version)
                };
                assert_ne!(signed_as(facts), signed_as(other), "{}", facts.name);
            }
        }
        // All operations are there, not only those with shapes; and bindings where a service is called by paths.
        assert!(EC2.operations.len() > 700 && S3.bindings.len() > 100 && ECS.bindings.is_empty());
    }
}
