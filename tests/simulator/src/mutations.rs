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
            _ if line.trim().is_empty() => {}
            _ => return Err(format!("line {number}: use file:, find: or with:")),
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

/// The text with the bug in it.
///
/// # Errors
/// When the text to find is not there exactly once.
pub fn apply(mutation: &Mutation, text: &str) -> Result<String, String> {
    match text.matches(&mutation.find).count() {
        1 => Ok(text.replacen(&mutation.find, &mutation.with, 1)),
        n => Err(format!(
            "{}: {} has {n} times {:?}: say what the line is now",
            mutation.title, mutation.file, mutation.find
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<Mutation> {
        parse(include_str!("../mutations.txt")).unwrap()
    }

    #[test]
    fn every_mutation_still_meets_its_line() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for mutation in list() {
            let text = std::fs::read_to_string(root.join(&mutation.file)).unwrap();
            let mutated = apply(&mutation, &text).unwrap();
            assert_ne!(text, mutated, "{}", mutation.title);
        }
    }

    #[test]
    fn there_are_enough() {
        assert!(list().len() >= 14);
    }

    #[test]
    fn a_list_that_lacks_something_is_refused() {
        assert!(parse("== a\nfile: x\nfind: y\n").is_err());
        assert!(parse("== a\nnonsense\n").is_err());
    }
}
