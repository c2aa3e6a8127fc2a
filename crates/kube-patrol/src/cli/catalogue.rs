//! `checks`, `baselines` and `crds`: what is compiled in.

use clap::{Subcommand, ValueEnum};
use patrol_core::check::CheckMeta;
use serde_json::{Value, json};

use super::ui::{self, Colour, Table};
use super::{Exit, Failure, Lang};
use crate::manifests::to_yaml;

/// List or describe checks
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol checks
  kube-patrol checks describe sidecar-missing
  kube-patrol checks -o json")]
pub struct ChecksArgs {
    #[command(subcommand)]
    what: Option<Checks>,
    /// Output format: table or json
    #[arg(short, long, value_enum, hide_possible_values = true, default_value_t = Output::Table, global = true)]
    output: Output,
}

#[derive(Subcommand)]
enum Checks {
    /// List all checks
    List,
    /// Describe one check
    Describe {
        /// Its id
        id: String,
    },
}

/// List built-in baselines
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol baselines
  kube-patrol baselines -o json")]
pub struct BaselinesArgs {
    /// Output format: table or json
    #[arg(short, long, value_enum, hide_possible_values = true, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

pub(super) fn checks(args: &ChecksArgs, lang: Lang) -> Result<Exit, Failure> {
    let all: Vec<&'static CheckMeta> = patrol_checks::CATALOGUE
        .checks
        .iter()
        .map(|c| c.meta())
        .collect();
    match (&args.what, args.output) {
        (Some(Checks::Describe { id }), output) => {
            let meta = all.iter().find(|m| m.id == id).ok_or_else(|| {
                Failure::new(format!(
                    "{id}: no check has this id: `kube-patrol checks` lists them"
                ))
            })?;
            match output {
                Output::Json => json_line(&describe_json(meta)),
                Output::Table => ui::print(&describe(meta, lang)),
            }
        }
        (_, Output::Json) => json_line(&Value::Array(
            all.iter().map(|m| describe_json(m)).collect(),
        )),
        (_, Output::Table) => {
            let mut table = Table::new(&["ID", "SEVERITY", "LAYER", "PARTY", "TITLE"]);
            for meta in all {
                table.row([
                    (meta.id.to_owned(), None),
                    (
                        meta.severity.to_string(),
                        Some(ui::severity_colour(meta.severity)),
                    ),
                    (meta.layer.to_string(), None),
                    (meta.party.managed.to_string(), None),
                    (lang.title(meta.id, meta.title), None),
                ]);
            }
            ui::print(&table.fit(ui::colours()))
        }
    }
}

fn describe(meta: &CheckMeta, lang: Lang) -> String {
    let colours = ui::colours();
    let head = |text: &str| ui::paint(text, Colour::Bold, colours);
    let name = lang.title(meta.id, meta.title);
    let mut out = format!("{}  {name}\n\n", head(meta.id));
    let reads: Vec<&str> = meta.reads.iter().map(|k| k.info().resource).collect();
    for (name, text) in [
        ("Severity", meta.severity.to_string()),
        ("Layer", meta.layer.to_string()),
        (
            "Party",
            format!(
                "{} (serverless: {}, self-hosted: {})",
                meta.party.managed, meta.party.serverless, meta.party.self_hosted
            ),
        ),
        ("Reads", reads.join(", ")),
        ("References", meta.references.join(", ")),
    ] {
        if !text.is_empty() {
            out.push_str(&format!("{:<12}{text}\n", format!("{name}:")));
        }
    }
    for (name, meaning) in meta.parameters {
        out.push_str(&format!("{:<12}{name}: {meaning}\n", "Parameter:"));
    }
    for (title, text) in [
        ("What is checked", meta.what.to_owned()),
        ("Why it matters", meta.why.to_owned()),
        ("How to fix it", lang.remedy(meta.id, meta.remediation)),
    ] {
        out.push_str(&format!("\n{}\n{text}\n", head(title)));
    }
    out
}

fn describe_json(meta: &CheckMeta) -> Value {
    json!({
        "id": meta.id,
        "title": meta.title,
        "what": meta.what,
        "why": meta.why,
        "remediation": meta.remediation,
        "severity": meta.severity,
        "layer": meta.layer,
        "party": {
            "serverless": meta.party.serverless,
            "managed": meta.party.managed,
            "selfHosted": meta.party.self_hosted,
        },
        "reads": meta.reads.iter().map(|k| k.info().resource).collect::<Vec<_>>(),
        "parameters": meta.parameters.iter().map(|(name, meaning)| json!({"name": name, "meaning": meaning})).collect::<Vec<_>>(),
        "references": meta.references,
    })
}

pub(super) fn baselines(args: &BaselinesArgs) -> Result<Exit, Failure> {
    let all = patrol_checks::CATALOGUE.baselines;
    match args.output {
        Output::Json => json_line(&Value::Array(
            all.iter()
                .map(|b| json!({"name": b.name, "description": b.description, "checks": b.checks}))
                .collect(),
        )),
        Output::Table => {
            let mut table = Table::new(&["NAME", "CHECKS", "DESCRIPTION"]);
            for b in all {
                table.row([
                    (b.name.to_owned(), None),
                    (b.checks.len().to_string(), None),
                    (b.description.to_owned(), None),
                ]);
            }
            ui::print(&table.fit(ui::colours()))
        }
    }
}

pub(super) fn crds() -> Result<Exit, Failure> {
    let mut out = String::new();
    for crd in patrol_api::crd::crds() {
        let yaml = to_yaml(&patrol_api::crd::manifest(&crd))
            .map_err(|error| Failure::new(format!("crds: {error}: report this fault")))?;
        out.push_str("---\n");
        out.push_str(&yaml);
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    ui::print(&out)
}

fn json_line(value: &Value) -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    ui::print(&format!("{text}\n"))
}
