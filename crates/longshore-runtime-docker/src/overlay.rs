//! Decoding the payload's `config` and `hostConfig` texts over what was built (agent-protocol G7).

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Gives `built` with the members of a JSON object laid over it: a key that is present wins,
/// objects and maps are merged, lists are replaced, and `null` clears.
///
/// Members that the engine API does not have are dropped, as the official agent's decoder does.
/// The error is the decoder's, without the text itself, because that may hold passwords.
pub(crate) fn lay_over<T: Serialize + DeserializeOwned>(
    built: &T,
    text: &str,
) -> Result<T, serde_json::Error> {
    let over: serde_json::Map<String, Value> = serde_json::from_str(text)?;
    let mut value = serde_json::to_value(built)?;
    merge(&mut value, Value::Object(over));
    serde_json::from_value(value)
}

fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                match under.get_mut(&key) {
                    Some(present) => merge(present, value),
                    None => {
                        under.insert(key, value);
                    }
                }
            }
        }
        (under, over) => *under = over,
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::HostConfig;
    use serde_json::json;

    use super::*;

    #[test]
    fn present_keys_win_lists_replace_and_maps_merge() {
        let mut value = json!({"a": 1, "list": [1, 2], "map": {"x": "1", "y": "2"}, "kept": true});
        merge(&mut value, json!({"a": 2, "list": [3], "map": {"y": "3", "z": "4"}, "new": null}));
        assert_eq!(
            value,
            json!({"a": 2, "list": [3], "map": {"x": "1", "y": "3", "z": "4"}, "kept": true, "new": null})
        );
    }

    #[test]
    fn unknown_members_are_dropped_and_wrong_types_are_errors() {
        let built = HostConfig { cpu_shares: Some(2), ..HostConfig::default() };
        let merged = lay_over(&built, r#"{"Privileged": true, "NoSuchThing": 1}"#).expect("decodes");
        assert_eq!((merged.cpu_shares, merged.privileged), (Some(2), Some(true)));
        assert!(lay_over(&built, r#"{"Memory": "much"}"#).is_err());
        assert!(lay_over(&built, "[]").is_err());
        assert!(lay_over(&built, "{").is_err());
    }
}
