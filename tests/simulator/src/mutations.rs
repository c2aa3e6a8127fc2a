//! Reads the list of deliberate bugs. Never applies one to the sources it was read from.

/// One deliberate bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// What it breaks, in a few words.
    pub title: String,
    /// The file, from the root of the workspace.
    pub file: String,
    /// A text that occurs once in it.
    pub find: String,
    /// What stands there instead.
    pub with: String,
    /// A seed that found it once. It is tried first; when the runs have changed since, others are.
    pub seed: Option<u64>,
}

/// Reads the list.
///
/// # Errors
/// A line that is no field of a mutation, or a mutation that lacks one.
pub fn parse(text: &str) -> Result<Vec<Mutation>, String> {
    let mut out: Vec<Mutation> = vec![];
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        if let Some(title) = line.strip_prefix("== ") {
            out.push(Mutation {
                title: title.trim().to_owned(),
                file: String::new(),
                find: String::new(),
                with: String::new(),
                seed: None,
            });
            continue;
        }
        let Some(last) = out.last_mut() else {
            continue; // the words before the first
        };
        match line.split_once(": ") {
            Some(("file", value)) => value.trim().clone_into(&mut last.file),
            Some(("find", value)) => value.trim_end().clone_into(&mut last.find),
            Some(("with", value)) => value.trim_end().clone_into(&mut last.with),
            Some(("seed", value)) => {
                let seed = value.trim().parse();
                last.seed = Some(seed.map_err(|_| format!("line {number}: seed: needs a number"))?);
            }
            _ if line.trim().is_empty() => {}
            _ => return Err(format!("line {number}: use file:, find:, with: or seed:")),
        }
    }
    match out
        .iter()
        .find(|m| m.file.is_empty() || m.find.is_empty() || m.with.is_empty())
    {
        Some(m) => Err(format!("{}: file, find and with are all needed", m.title)),
        None => Ok(out),
    }
}

/// Set to the number of the bug that a planted copy switches on.
pub const SWITCH: &str = "KUBE_PATROL_PLANTED";
/// The crate that holds the switches.
const CORE: &str = "crates/patrol-core";

/// The root file of the planted core, with the switches.
#[must_use]
pub fn with_switches(root: &str) -> String {
    let switches = r#"
/// Which deliberate bug is switched on.
pub mod planted {
    static ON: std::sync::LazyLock<Option<usize>> =
        std::sync::LazyLock::new(|| std::env::var("SWITCH").ok()?.parse().ok());

    /// Whether this one is.
    pub fn is(number: usize) -> bool {
        *ON == Some(number)
    }
}
"#;
    format!("{root}{}", switches.replace("SWITCH", SWITCH))
}

/// The text with a bug in it, behind the switch of this number.
///
/// # Errors
/// When the text to find is not there exactly once.
pub fn plant(mutation: &Mutation, number: usize, text: &str) -> Result<String, String> {
    let core = if mutation.file.starts_with(CORE) {
        "crate"
    } else {
        "patrol_core"
    };
    let with = mutation
        .with
        .replace("FOUND", &mutation.find)
        .replace("PLANTED", &format!("{core}::planted::is({number})"));
    match text.matches(&mutation.find).count() {
        1 => Ok(text.replacen(&mutation.find, &with, 1)),
        n => Err(format!(
            "{}: {} has {n} times {:?}: say what the line is now",
            mutation.title, mutation.file, mutation.find
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn list() -> Vec<Mutation> {
        parse(include_str!("../mutations.txt")).unwrap()
    }

    #[test]
    fn every_mutation_still_meets_its_line() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        for (number, mutation) in list().iter().enumerate() {
            let text = texts
                .entry(mutation.file.clone())
                .or_insert_with(|| std::fs::read_to_string(root.join(&mutation.file)).unwrap());
            let planted = plant(mutation, number, text).unwrap();
            assert_ne!(*text, planted, "{}", mutation.title);
            *text = planted;
        }
    }

    #[test]
    fn there_are_enough_and_each_can_be_switched_off() {
        assert!(list().len() >= 50);
        for mutation in list() {
            assert!(mutation.with.contains("PLANTED"), "{}", mutation.title);
        }
    }

    #[test]
    fn a_list_that_lacks_something_is_refused() {
        assert!(parse("== a\nfile: x\nfind: y\n").is_err());
        assert!(parse("== a\nnonsense\n").is_err());
    }

    #[test]
    fn a_line_that_is_not_there_once_is_refused() {
        let mutation = Mutation {
            title: "t".into(),
            file: "crates/patrol-core/src/x.rs".into(),
            find: "if a {".into(),
            with: "if a && !PLANTED {".into(),
            seed: None,
        };
        assert!(plant(&mutation, 3, "if b {").is_err());
        assert!(plant(&mutation, 3, "if a { if a {").is_err());
        let planted = plant(&mutation, 3, "if a {").unwrap();
        assert_eq!(planted, "if a && !crate::planted::is(3) {");
    }
}
