//! `valueFrom` of a container's secret: which member of which version of which secret (identity J12).

/// What a `valueFrom` of Secrets Manager asks for. Members that are not there are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretSelector<'a> {
    /// The secret: an ARN, or whatever else was given.
    pub arn: &'a str,
    pub json_key: &'a str,
    pub stage: &'a str,
    pub version: &'a str,
}

impl<'a> SecretSelector<'a> {
    /// Reads `arn:aws:secretsmanager:R:A:secret:NAME-XXXXXX`, or the same with exactly `:json-key:stage:version-id` behind
    /// it, each of which may be empty. Everything else is taken for the secret itself.
    pub fn read(value_from: &'a str) -> Self {
        let ends: Vec<usize> = value_from.match_indices(':').map(|(at, _)| at).collect();
        let part = |from: usize| {
            let end = ends.get(from + 1).copied().unwrap_or(value_from.len());
            &value_from[ends[from] + 1..end]
        };
        match ends.len() {
            9 => Self { arn: &value_from[..ends[6]], json_key: part(6), stage: part(7), version: part(8) },
            _ => Self { arn: value_from, json_key: "", stage: "", version: "" },
        }
    }
}

/// Whether a `valueFrom` is of Secrets Manager. Names and other ARNs are of the Parameter Store.
pub fn is_secrets_manager(value_from: &str) -> bool {
    value_from.split(':').nth(2) == Some("secretsmanager")
}

/// The region that a `valueFrom` names by its ARN.
pub fn region(value_from: &str) -> Option<&str> {
    value_from.starts_with("arn:").then(|| value_from.split(':').nth(3)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:r:1:secret:db-AbCdEf";

    #[test]
    fn every_form_of_a_selector_is_read() {
        for (from, json_key, stage, version) in [
            (SECRET.to_owned(), "", "", ""),
            (format!("{SECRET}:user::"), "user", "", ""),
            (format!("{SECRET}::AWSPREVIOUS:"), "", "AWSPREVIOUS", ""),
            (format!("{SECRET}:user:S:V"), "user", "S", "V"),
        ] {
            let expected = SecretSelector { arn: SECRET, json_key, stage, version };
            assert_eq!(SecretSelector::read(&from), expected, "{from}");
        }
        let odd = format!("{SECRET}:user");
        assert_eq!(SecretSelector::read(&odd).arn, odd);
    }

    #[test]
    fn services_and_regions_are_told_by_arns() {
        assert!(is_secrets_manager(SECRET));
        for parameter in ["/a", "a:3", "arn:aws:ssm:r:1:parameter/a"] {
            assert!(!is_secrets_manager(parameter), "{parameter}");
        }
        assert_eq!((region(SECRET), region("/a:prod")), (Some("r"), None));
    }
}
