//! ARNs of secrets, parameters, keys and aliases: made for whoever is shown them, and read.

use longshore_base::{AccountId, Region, Scope};

fn of(scope: &Scope, service: &str, resource: &str) -> String {
    format!("arn:{}:{service}:{}:{}:{resource}", scope.partition().as_str(), scope.region, scope.account)
}

/// `arn:aws:secretsmanager:R:A:secret:NAME-XXXXXX`
pub fn secret(scope: &Scope, name: &str, birth: &str) -> String {
    of(scope, "secretsmanager", &format!("secret:{name}-{birth}"))
}

/// `arn:aws:ssm:R:A:parameter/a/b`, of the parameter `/a/b`; also of `name`, which has no slash.
pub fn parameter(scope: &Scope, name: &str) -> String {
    of(scope, "ssm", &format!("parameter/{}", name.strip_prefix('/').unwrap_or(name)))
}

/// `arn:aws:kms:R:A:key/ID`
pub fn key(scope: &Scope, id: &str) -> String {
    of(scope, "kms", &format!("key/{id}"))
}

/// `arn:aws:kms:R:A:alias/NAME`; the name has its `alias/`.
pub fn alias(scope: &Scope, name: &str) -> String {
    of(scope, "kms", name)
}

/// An ARN of `service`, taken apart: whose it is, and what stands behind the account. `None` if it is none, or its
/// partition is not that of its region.
pub fn read<'a>(text: &'a str, service: &str) -> Option<(Scope, &'a str)> {
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, named, region, account, resource] = fields.as_slice() else { return None };
    let scope = Scope::new(AccountId::parse(account)?, Region::parse(region)?);
    let is_right = *named == service && scope.partition().as_str() == *partition;
    is_right.then_some((scope, resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read() {
        let account = AccountId::parse("111122223333").expect("twelve digits");
        let scope = Scope::new(account, Region::parse("cn-north-1").expect("a region"));
        let made = secret(&scope, "a/b", "AbCdEf");
        assert_eq!(made, "arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:a/b-AbCdEf");
        assert_eq!(read(&made, "secretsmanager"), Some((scope.clone(), "secret:a/b-AbCdEf")));
        assert_eq!(parameter(&scope, "/a/b"), "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/a/b");
        assert_eq!(parameter(&scope, "a"), "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/a");
        assert_eq!(alias(&scope, "alias/a"), "arn:aws-cn:kms:cn-north-1:111122223333:alias/a");
        for bad in ["", "arn:", &made[1..], &made.replace("aws-cn", "aws"), &made.replace("1111", "x")] {
            assert_eq!(read(bad, "secretsmanager"), None, "{bad}");
        }
        assert_eq!(read(&made, "kms"), None);
    }
}
