//! What the Parameter Store says (identity J10).

pub(super) const EXISTS: &str =
    "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
pub(super) const TAGS_AND_OVERWRITE: &str = "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.";
pub(super) const NOT_QUALIFIED: &str = "Parameter name must be a fully qualified name.";
pub(super) const PREFIX: &str = "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_";
pub(super) const PATH: &str =
    "The path must begin with a slash, and has letters, digits, and . - _ between slashes.";
pub(super) const TYPE_CHANGED: &str = "The parameter has another type, which cannot be changed.";
pub(super) const NO_TYPE: &str = "A new parameter needs a type.";
pub(super) const NO_DOWNGRADE: &str = "The parameter uses the advanced tier and cannot go back to the standard tier. Delete it and create it again.";
pub(super) const POLICIES_NEED_ADVANCED: &str = "Parameter policies need the advanced tier.";
pub(super) const EMPTY_IN_LIST: &str = "A StringList has no empty elements.";

pub(super) fn reserved(name: &str) -> String {
    format!("No access to reserved parameter name: {name}.")
}

pub(super) fn levels(max: usize) -> String {
    format!("A parameter name has {max} levels at most.")
}

pub(super) fn too_long(tier: &str, max: usize) -> String {
    format!("{tier} tier parameters support a maximum parameter value of {max} characters.")
}

pub(super) fn mismatch(pattern: &str) -> String {
    format!("Parameter value, cannot be validated against allowedPattern: {pattern}")
}

pub(super) fn not_found(name: &str) -> String {
    format!("Parameter {name} not found.")
}

pub(super) fn labelled(version: u64, name: &str) -> String {
    format!(
        "You attempted to create a new version of {name} by calling the PutParameter API with the overwrite flag. \
         Version {version}, the oldest version, can't be deleted because it has a label associated with it. Move the \
         label to another version of the parameter, and try again."
    )
}

pub(super) fn invalid_key(named: &str) -> String {
    format!("Invalid KeyId: {named}")
}

pub(super) fn no_resource(id: &str) -> String {
    format!("The resource ID {id} is not valid. Verify that it exists.")
}
