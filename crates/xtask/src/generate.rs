//! `cargo xtask generate`: everything in the repository that follows from code or from
//! another file. It writes only what differs, and with `--check` it writes nothing and
//! fails where a file is not what it should be.

mod admission;
mod alerts;
mod checks;
mod crds;
mod install;
mod metrics;
mod rbac;
mod roles;
mod schema;

use crate::{Failure, repo};

/// The options of the task.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail where a file is out of date
    #[arg(long)]
    check: bool,
}

/// A generated file.
pub(crate) struct Artefact {
    /// Path from the top folder.
    path: String,
    /// Its whole text.
    text: String,
}

impl Artefact {
    fn is_current(&self) -> bool {
        std::fs::read_to_string(repo::root().join(&self.path)).is_ok_and(|found| found == self.text)
    }
}

/// Writes or checks every generated file.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.check {
        return check();
    }
    for artefact in artefacts()? {
        if artefact.is_current() {
            continue;
        }
        let path = repo::root().join(&artefact.path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, artefact.text)
            .map_err(|error| format!("{}: cannot be written: {error}", artefact.path))?;
        println!("wrote {}", artefact.path);
    }
    Ok(())
}

/// Fails where a generated file is not what it should be.
pub(crate) fn check() -> Result<(), Failure> {
    let stale: Vec<String> = artefacts()?
        .into_iter()
        .filter(|artefact| !artefact.is_current())
        .map(|artefact| artefact.path)
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}: not what the code says: run `cargo xtask generate` and commit the result",
        stale.join(", ")
    )
    .into())
}

fn artefacts() -> Result<Vec<Artefact>, Failure> {
    let crds = crds::manifests();
    let rbac = rbac::objects();
    let roles = roles::objects(&crds);
    let admission = admission::objects();
    let mut all = crds::files(&crds)?;
    for (name, objects) in [
        ("rbac", &rbac),
        ("roles", &roles),
        ("admission", &admission),
    ] {
        all.push(Artefact {
            path: format!("deploy/base/{name}.yaml"),
            text: generated("#", name)? + &documents(objects)?,
        });
    }
    all.push(install::file(&crds, &[rbac, roles, admission])?);
    all.extend(schema::files(&crds)?);
    all.push(checks::file());
    all.push(metrics::file()?);
    all.push(alerts::file()?);
    Ok(all)
}

/// The first line of a generated file.
fn generated(comment: &str, from: &str) -> Result<String, Failure> {
    let source = match from {
        "rbac" => "the kinds that the checks read",
        "roles" => "our kinds and who may do what with them",
        "admission" => "the rules of who may write what",
        "install" => "deploy/base and crds",
        "alerts" => "deploy/alerts/rules.yaml",
        other => return Err(format!("{other}: no such source").into()),
    };
    Ok(format!(
        "{comment} Generated from {source} by `cargo xtask generate`. Do not edit.\n"
    ))
}

/// The mark of a generated Markdown file.
fn markdown(title: &str, from: &str) -> String {
    format!("<!-- Generated from {from} by `cargo xtask generate`. Do not edit. -->\n\n# {title}\n")
}

/// Objects as YAML documents, separated by `---`.
fn documents(objects: &[rbac::Object]) -> Result<String, Failure> {
    let mut out = String::new();
    for object in objects {
        if !out.is_empty() {
            out.push_str("---\n");
        }
        if !object.comment.is_empty() {
            out.push_str(&format!("# {}\n", object.comment));
        }
        out.push_str(&serde_saphyr::to_string(&object.value)?);
    }
    Ok(out)
}

/// Text for a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
        .replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_keeps_its_column() {
        assert_eq!(cell("a|b\n  <c>"), "a\\|b &lt;c>");
    }

    #[test]
    fn artefacts_have_distinct_paths_and_end_with_one_line_break() {
        let all = artefacts().unwrap();
        let mut paths: Vec<&str> = all.iter().map(|a| a.path.as_str()).collect();
        paths.sort_unstable();
        let count = paths.len();
        paths.dedup();
        assert_eq!(paths.len(), count, "{paths:?}");
        for artefact in &all {
            assert!(
                artefact.text.ends_with('\n') && !artefact.text.ends_with("\n\n"),
                "{}",
                artefact.path
            );
        }
    }
}
