//! The reference of the checks, from the descriptions in the catalogue.

use std::fmt::Write as _;

use patrol_checks::{CATALOGUE, chinese};
use patrol_core::check::{Block, CheckMeta};

use super::{Artefact, cell, markdown};

/// `docs/reference/checks.md`.
pub(super) fn file() -> Artefact {
    let mut out = markdown("Checks", "crates/patrol-checks");
    out.push_str(
        "\nEvery check says what it looks at, whose turn it is and how to fix what it finds. \
         `kube-patrol checks describe ID` prints the same.\n\n## Baselines\n",
    );
    for baseline in CATALOGUE.baselines {
        let _ = write!(
            out,
            "\n### {}\n\n{}\n\n",
            baseline.name,
            one_line(baseline.description)
        );
        for id in baseline.checks {
            let _ = writeln!(out, "- {}", link(id));
        }
    }
    out.push_str(
        "\n### Always on\n\nThese judge as soon as any policy exists, under the reserved policy name `patrol-coverage`.\n\n",
    );
    for id in CATALOGUE.always_on {
        let _ = writeln!(out, "- {}", link(id));
    }
    out.push_str("\n## All checks\n\n| check | severity | layer | party | comes from |\n| --- | --- | --- | --- | --- |\n");
    for check in CATALOGUE.checks {
        let meta = check.meta();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            link(meta.id),
            meta.severity,
            meta.layer,
            cell(&party(meta)),
            origin(meta)
        );
    }
    for check in CATALOGUE.checks {
        describe(&mut out, check.meta());
    }
    Artefact {
        path: "docs/reference/checks.md".into(),
        text: out,
    }
}

fn describe(out: &mut String, meta: &CheckMeta) {
    let _ = write!(
        out,
        "\n## {}\n\n**{}** Severity {}, layer {}, party {}. Comes from {}.\n\n{}\n\n**Why.** {}\n\n**Fix.** {}\n",
        meta.id,
        sentence(meta.title),
        meta.severity,
        meta.layer,
        party(meta),
        origin(meta),
        meta.what.trim(),
        one_line(meta.why),
        one_line(meta.remediation)
    );
    if let (Some(title), Some(remedy)) = (
        chinese::title(meta.id),
        chinese::remedy(meta.id, meta.remediation),
    ) {
        let _ = write!(out, "\n**中文**：{title}。{remedy}\n");
    }
    let reads: Vec<&str> = meta.reads.iter().map(|kind| kind.info().kind).collect();
    let reads = match reads.is_empty() {
        true => "no kind of object".to_owned(),
        false => reads.join(", "),
    };
    let _ = write!(out, "\nReads: {reads}.\n");
    if !meta.parameters.is_empty() {
        out.push_str("\n| parameter | meaning |\n| --- | --- |\n");
        for (name, meaning) in meta.parameters {
            let _ = writeln!(out, "| `{name}` | {} |", cell(meaning));
        }
    }
    if !meta.references.is_empty() {
        let _ = write!(out, "\nReferences: {}.\n", meta.references.join("; "));
    }
}

fn link(id: &str) -> String {
    format!("[`{id}`](#{id})")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    format!("{text}.")
}

fn party(meta: &CheckMeta) -> String {
    let by = meta.party;
    if by.serverless == by.managed && by.managed == by.self_hosted {
        return by.managed.to_string();
    }
    format!(
        "{} (serverless), {} (managed), {} (self-hosted)",
        by.serverless, by.managed, by.self_hosted
    )
}

fn origin(meta: &CheckMeta) -> String {
    let block = match meta.block {
        Some(Block::Sidecar) => "`sidecar`",
        Some(Block::NodeAgent) => "`nodeAgent`",
        Some(Block::Component) => "`component`",
        None if CATALOGUE.always_on.contains(&meta.id) => return "always on".into(),
        None => {
            let names: Vec<String> = CATALOGUE
                .baselines
                .iter()
                .filter(|baseline| baseline.checks.contains(&meta.id))
                .map(|baseline| format!("baseline `{}`", baseline.name))
                .collect();
            return match names.is_empty() {
                true => "no baseline".into(),
                false => names.join(", "),
            };
        }
    };
    format!("a {block} block of `spec.checks[]`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_check_exists_and_every_check_is_listed() {
        let ids: Vec<&str> = CATALOGUE.checks.iter().map(|c| c.meta().id).collect();
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(ids, sorted, "sorted by id, each once");
        let listed: Vec<&str> = CATALOGUE
            .baselines
            .iter()
            .flat_map(|baseline| baseline.checks)
            .chain(CATALOGUE.always_on)
            .copied()
            .collect();
        for id in &listed {
            assert!(
                ids.contains(id),
                "{id} is listed, but there is no such check"
            );
        }
        for id in &ids {
            assert!(
                listed.contains(id),
                "{id} is in no baseline and not always on"
            );
        }
    }
}
