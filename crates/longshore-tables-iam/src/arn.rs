//! IAM's ARNs: made for whoever is shown them, and read. They have no region.

use longshore_base::{AccountId, Partition};

/// What a policy of AWS has in the place of the account.
pub const AWS: &str = "aws";

/// `arn:aws:iam::111122223333:KIND/PATH/NAME`. `path` begins and ends with a slash.
pub fn of(partition: Partition, account: AccountId, kind: &str, path: &str, name: &str) -> String {
    format!("arn:{}:iam::{account}:{kind}{path}{name}", partition.as_str())
}

pub fn of_aws_policy(partition: Partition, path: &str, name: &str) -> String {
    format!("arn:{}:iam::{AWS}:policy{path}{name}", partition.as_str())
}

/// An ARN of IAM, taken apart. What is in it is untrusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IamArn<'a> {
    pub partition: &'a str,
    /// Twelve digits, or [`AWS`].
    pub account: &'a str,
    /// `user`, `role`, `policy`, ...
    pub kind: &'a str,
    /// `/` if there is none.
    pub path: &'a str,
    pub name: &'a str,
}

impl<'a> IamArn<'a> {
    /// `None` if it is none of IAM with a name in it.
    pub fn parse(text: &'a str) -> Option<Self> {
        let fields: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, resource] = fields.as_slice() else { return None };
        let slash = resource.find('/')?;
        let (kind, rest) = resource.split_at(slash);
        let (path, name) = rest.split_at(rest.rfind('/')? + 1);
        (!kind.is_empty() && !name.is_empty()).then_some(Self { partition, account, kind, path, name })
    }

    pub fn account_id(&self) -> Option<AccountId> {
        AccountId::parse(self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read() {
        let account = AccountId::parse("111122223333").expect("twelve digits");
        let arn = of(Partition::AwsCn, account, "role", "/a/b/", "c");
        assert_eq!(arn, "arn:aws-cn:iam::111122223333:role/a/b/c");
        let read = IamArn::parse(&arn).expect("its own");
        assert_eq!((read.partition, read.account_id()), ("aws-cn", Some(account)));
        assert_eq!((read.kind, read.path, read.name), ("role", "/a/b/", "c"));
        let aws = of_aws_policy(Partition::Aws, "/service-role/", "P");
        assert_eq!(IamArn::parse(&aws).map(|read| (read.account, read.path)), Some((AWS, "/service-role/")));
        for bad in [
            "",
            "arn:aws:iam::1:root",
            "arn:aws:iam::1:user/",
            "arn:aws:sts::1:user/a",
            "arn:aws:iam:r:1:user/a",
        ] {
            assert_eq!(IamArn::parse(bad), None, "{bad}");
        }
    }
}
