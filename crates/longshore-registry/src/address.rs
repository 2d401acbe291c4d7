//! Which registry a request is for: each account has one in each region, and all of them are behind one port (registry
//! I1).

use longshore_base::{AccountId, Region, Scope};
use longshore_images::RepositoryName;

use crate::refusal::{Code, Refusal};

/// The repository that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub scope: Scope,
    pub name: RepositoryName,
    /// The name as the client spells it, with the account and the region where it has them: for `Location`.
    pub spelled: RepositoryName,
}

impl Address {
    /// In this order: the host `ACCOUNT.dkr.ecr.REGION.SUFFIX`; a first component of that form, so that any client can
    /// spell it on any host; whose credentials it came with.
    pub fn of(host: Option<&str>, spelled: RepositoryName, caller: &Scope) -> Result<Self, Refusal> {
        if let Some(scope) =
            host.and_then(|host| registry(host.rsplit_once(':').map_or(host, |(name, _)| name)))
        {
            return Ok(Self { scope, name: spelled.clone(), spelled });
        }
        let first = spelled.as_str().split_once('/');
        let named = first.and_then(|(first, rest)| Some((registry(first)?, rest)));
        let Some((scope, rest)) = named else {
            return Ok(Self { scope: caller.clone(), name: spelled.clone(), spelled });
        };
        let name = RepositoryName::parse(rest)
            .ok_or_else(|| Refusal::new(Code::NameInvalid, "the name of the repository is not valid"))?;
        Ok(Self { scope, name, spelled })
    }
}

/// Reads `ACCOUNT.dkr.ecr.REGION.SUFFIX`.
fn registry(host: &str) -> Option<Scope> {
    let mut labels = host.splitn(5, '.');
    let account = AccountId::parse(labels.next()?)?;
    if labels.next()? != "dkr" || labels.next()? != "ecr" {
        return None;
    }
    let region = Region::parse(labels.next()?)?;
    labels.next().filter(|suffix| !suffix.is_empty())?;
    Some(Scope::new(account, region))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(account: &str, region: &str) -> Scope {
        Scope::new(
            AccountId::parse(account).expect("twelve digits"),
            Region::parse(region).expect("a region"),
        )
    }

    #[test]
    fn accounts_are_found_in_the_host_then_the_path_then_the_caller() {
        let own = scope("111122223333", "eu-west-1");
        let other = scope("444455556666", "us-east-1");
        let aws = "444455556666.dkr.ecr.us-east-1.amazonaws.com";
        for (host, spelled, wanted, name) in [
            (Some("127.0.0.1:8722"), "team/web", &own, "team/web"),
            (None, "team/web", &own, "team/web"),
            (Some(aws), "team/web", &other, "team/web"),
            (Some("444455556666.dkr.ecr.us-east-1.longshore.example:8722"), "web", &other, "web"),
            (Some("127.0.0.1"), &format!("{aws}/team/web"), &other, "team/web"),
            (Some("1.dkr.ecr.us-east-1.x"), "web", &own, "web"),
            (Some("444455556666.dkr.ecr.us-east-1"), "web", &own, "web"),
            (None, "444455556666.dkr.s3.us-east-1.x/web", &own, "444455556666.dkr.s3.us-east-1.x/web"),
        ] {
            let spelled = RepositoryName::parse(spelled).expect("a name");
            let address = Address::of(host, spelled.clone(), &own).expect("a registry");
            assert_eq!((&address.scope, address.name.as_str()), (wanted, name), "{host:?} {spelled}");
            assert_eq!(address.spelled, spelled);
        }
        let alone = RepositoryName::parse(&format!("{aws}/a")).expect("a name");
        assert_eq!(Address::of(None, alone, &own).expect_err("it is too short").code, Code::NameInvalid);
    }
}
