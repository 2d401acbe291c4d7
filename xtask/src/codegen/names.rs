//! Turns the names of a service model into names of Rust.

/// The keywords of Rust, as far as a raw identifier (`r#type`) can have them. Models use some for members.
const KEYWORDS: &[&str] = &[
    "as", "async", "await", "box", "break", "const", "continue", "do", "dyn", "else", "enum", "extern",
    "false", "final", "fn", "for", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut",
    "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "try", "type", "use", "virtual",
    "where", "while", "yield",
];

/// `awsvpcConfiguration` to `awsvpc_configuration`, `enableECSManagedTags` to `enable_ecs_managed_tags`.
pub fn snake(name: &str) -> String {
    // Otherwise units and plurals of acronyms would be split before their last capital letter: `mi_b`, `ar_ns`.
    let name =
        name.replace("GiB", "Gib").replace("MiB", "Mib").replace("ARNs", "Arns").replace("ENIs", "Enis");
    let characters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, &c) in characters.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            out.push('_');
            continue;
        }
        let before = index.checked_sub(1).map(|before| characters[before]);
        let after = characters.get(index + 1);
        let starts_word = c.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase() && after.is_some_and(char::is_ascii_lowercase))
            });
        if starts_word {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The name of a member as that of a field: in snake case, raw if it is a keyword.
pub fn field(name: &str) -> String {
    let name = snake(name);
    if KEYWORDS.contains(&name.as_str()) { format!("r#{name}") } else { name }
}

/// The name of a shape as that of a type: some models begin names with a small letter.
pub fn shape(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

/// The name of a shape as that of a static.
pub fn constant(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

/// An enumeration's value as a variant: `ecs.fargate` to `EcsFargate`, `SYS_PTRACE` to `SysPtrace`.
pub fn variant(value: &str) -> String {
    let mut out = String::new();
    for word in value.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let shouting = !word.contains(|c: char| c.is_ascii_lowercase());
        let mut characters = word.chars();
        if let Some(first) = characters.next() {
            out.push(first.to_ascii_uppercase());
        }
        out.extend(characters.map(|c| if shouting { c.to_ascii_lowercase() } else { c }));
    }
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, 'V');
    }
    if out == "Self" { "SelfValue".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_like_rust() {
        for (name, expected) in [
            ("awsvpcConfiguration", "awsvpc_configuration"),
            ("enableECSManagedTags", "enable_ecs_managed_tags"),
            ("memoryMiB", "memory_mib"),
            ("ipv6Address", "ipv6_address"),
            ("taskARNs", "task_arns"),
            ("RunTaskRequest", "run_task_request"),
        ] {
            assert_eq!(snake(name), expected);
        }
        assert_eq!(field("type"), "r#type");
        for (value, expected) in [
            ("EC2", "Ec2"),
            ("SYS_PTRACE", "SysPtrace"),
            ("awsvpc", "Awsvpc"),
            ("ecs.fargate-x", "EcsFargateX"),
            ("2xl", "V2xl"),
        ] {
            assert_eq!(variant(value), expected);
        }
    }
}
