//! What a container's secret names: a secret of Secrets Manager, and which member, stage and version of it.

/// A `valueFrom` that is taken apart (identity J12): `arn:aws:secretsmanager:R:A:secret:NAME-XXXXXX`, or with exactly
/// `:json-key:stage:version-id` behind it, each of which may be empty. Whatever has another form is the ARN as a whole, and
/// whoever is asked for it says what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretSelector<'a> {
    pub arn: &'a str,
    pub json_key: &'a str,
    pub stage: &'a str,
    pub version: &'a str,
}

/// Colons of an ARN with selectors.
const COLONS: usize = 9;
/// The one behind the name of the secret, counted from 0.
const BEHIND_NAME: usize = 6;

impl<'a> SecretSelector<'a> {
    pub fn read(value_from: &'a str) -> Self {
        let colons: Vec<usize> = value_from.match_indices(':').map(|(at, _)| at).take(COLONS + 1).collect();
        let whole = Self { arn: value_from, json_key: "", stage: "", version: "" };
        let Some((arn, selectors)) = colons.get(BEHIND_NAME).map(|&at| value_from.split_at(at)) else {
            return whole;
        };
        match selectors.split(':').skip(1).collect::<Vec<_>>().as_slice() {
            [json_key, stage, version] if colons.len() == COLONS => Self { arn, json_key, stage, version },
            _more_or_fewer => whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_three_or_none() {
        const ARN: &str = "arn:aws:secretsmanager:r:1:secret:db-AbCdEf";
        let of = |behind: &str| {
            let text = format!("{ARN}{behind}");
            let SecretSelector { arn, json_key, stage, version } = SecretSelector::read(&text);
            [arn, json_key, stage, version].map(str::to_owned)
        };
        assert_eq!(of(""), [ARN, "", "", ""]);
        assert_eq!(of(":::"), [ARN, "", "", ""]);
        assert_eq!(of(":user::"), [ARN, "user", "", ""]);
        assert_eq!(of(":a:AWSPREVIOUS:7f"), [ARN, "a", "AWSPREVIOUS", "7f"]);
        for odd in [":user", ":user:", "::::"] {
            assert_eq!(of(odd)[0], format!("{ARN}{odd}"));
        }
        assert_eq!(SecretSelector::read("/a/parameter").arn, "/a/parameter");
    }
}
