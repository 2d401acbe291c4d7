//! What a parameter may be called.

use longshore_shapes_ssm::HierarchyLevelLimitExceededException;
use longshore_wire::{Denied, Fault};

use super::texts;

const LEVELS_MAX: usize = 15;
/// With the ARN in front a name has 2048 characters at most, as the model says; without it, as many as AWS takes.
const CHARS_MAX: usize = 1011;

/// Refuses a name that no parameter may have.
pub(super) fn check<E>(name: &str) -> Result<(), E>
where
    E: From<HierarchyLevelLimitExceededException> + From<Fault> + From<Denied>,
{
    let is_right = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    if !name.chars().all(is_right) || name.contains("//") || name.ends_with('/') || name.len() > CHARS_MAX {
        return Err(Fault::validation(texts::PREFIX).into());
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(Fault::validation(texts::NOT_QUALIFIED).into());
    }
    let first = name.strip_prefix('/').unwrap_or(name).to_ascii_lowercase();
    if first.starts_with("aws") {
        return Err(Denied::new(texts::reserved(name)).into());
    }
    if first.starts_with("ssm") {
        return Err(Fault::validation(texts::PREFIX).into());
    }
    if name.matches('/').count() > LEVELS_MAX {
        return Err(HierarchyLevelLimitExceededException::new(texts::levels(LEVELS_MAX)).into());
    }
    Ok(())
}

/// Refuses what is no path to look below.
pub(super) fn check_path(path: &str) -> Result<(), Fault> {
    let is_right = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    if path.starts_with('/') && !path.contains("//") && path.chars().all(is_right) {
        return Ok(());
    }
    Err(Fault::validation(texts::PATH))
}

/// What the names below a path begin with: it ends with a slash.
pub(super) fn below(path: &str) -> String {
    let path = path.strip_suffix('/').unwrap_or(path);
    format!("{path}/")
}
