//! Session policies, tags and durations, as they are given.

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_domain::tags::{self, Tags};
use longshore_service::Caller;
use longshore_shapes_sts::{
    MalformedPolicyDocumentException, PackedPolicyTooLargeException, PolicyDescriptorType, Tag,
};
use longshore_state::State;
use longshore_tables_iam::IamState;
use longshore_tables_iam::record::IdentityPolicy;
use longshore_tables_iam::session::Limits;
use longshore_wire::Fault;

/// Of the session policies and of the tags, each (identity J3).
const PACKED_CHARS_MAX: usize = 2048;
const MANAGED_MAX: usize = 10;

/// What a session is to be limited by, read.
pub struct Given {
    /// `None` if no policy was given.
    pub limits: Option<Limits>,
    /// How much of what a session may carry it takes up; `None` if there is nothing to carry.
    pub packed_percent: Option<i32>,
    pub tags: Tags,
}

impl Given {
    /// # Errors
    /// For a policy that is none, and for more than a session may carry.
    pub fn read<E>(
        inline: Option<&str>,
        managed: Option<&Vec<PolicyDescriptorType>>,
        given_tags: Option<Vec<Tag>>,
    ) -> Result<Self, E>
    where
        E: From<MalformedPolicyDocumentException> + From<PackedPolicyTooLargeException> + From<Fault>,
    {
        let tags = tags_of(given_tags)?;
        let managed: Vec<Arc<str>> =
            managed.into_iter().flatten().filter_map(|one| Some(one.arn.as_deref()?.into())).collect();
        if managed.len() > MANAGED_MAX {
            let text = format!("You cannot pass more than {MANAGED_MAX} managed policy ARNs.");
            return Err(Fault::final_refusal(text).into());
        }
        let inline = inline.filter(|text| !text.is_empty()).map(IdentityPolicy::new).transpose();
        let inline = inline.map_err(|invalid| MalformedPolicyDocumentException::new(invalid.to_string()))?;
        let policies = inline.iter().map(|policy| policy.text().chars().count());
        let policies: usize = policies.chain(managed.iter().map(|arn| arn.chars().count())).sum();
        let tagged: usize = tags.iter().map(|(key, value)| key.chars().count() + value.chars().count()).sum();
        let percent = (policies + tagged).saturating_mul(100).div_ceil(PACKED_CHARS_MAX);
        if policies > PACKED_CHARS_MAX || tagged > 2 * PACKED_CHARS_MAX {
            let text =
                format!("Packed policy consumes {percent}% of allotted space, please use smaller policy.");
            return Err(PackedPolicyTooLargeException::new(text).into());
        }
        let has_limits = inline.is_some() || !managed.is_empty();
        Ok(Self {
            limits: has_limits.then_some(Limits { inline, managed }),
            packed_percent: (policies + tagged > 0).then(|| i32::try_from(percent.min(100)).unwrap_or(100)),
            tags,
        })
    }

    /// # Errors
    /// If a managed policy is not there, in the account whose policies count.
    pub fn check(
        &self,
        state: &State,
        whose: &Caller,
        account: longshore_base::AccountId,
    ) -> Result<(), Fault> {
        let named = self.limits.iter().flat_map(|limits| &limits.managed);
        let missing =
            |arn: &&Arc<str>| state.iam().policy_named(whose.scope.partition(), account, arn).is_none();
        match named.into_iter().find(missing) {
            Some(arn) => Err(Fault::final_refusal(format!("Policy {arn} was not found."))),
            None => Ok(()),
        }
    }
}

/// Keys are unique whatever the case of their letters.
fn tags_of(given: Option<Vec<Tag>>) -> Result<Tags, Fault> {
    let pairs = given.into_iter().flatten();
    let pairs = pairs.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()));
    let tags = tags::parse(pairs).map_err(|error| Fault::final_refusal(error.to_string()))?;
    let folded: BTreeSet<String> = tags.keys().map(|key| key.to_lowercase()).collect();
    if folded.len() < tags.len() {
        let text = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
        return Err(Fault::final_refusal(text));
    }
    Ok(tags)
}

/// How long a session lasts, in seconds. The model has checked its least and its most.
pub(super) fn seconds(asked: Option<i32>, default: u32) -> u32 {
    asked.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(default)
}
