//! `scan`: one inspection of manifests, or of the cluster. No tickets, no state.

mod judge;
mod report;

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::ValueEnum;
use patrol_api::policy::PatrolPolicy;
use patrol_api::words::Severity;
use patrol_core::check::Verdict;
use patrol_core::kind::Kind;
use patrol_core::rule::Rulebook;
use serde_json::{Value, json};

use super::ui;
use super::{Exit, Failure, rules, source};
use crate::manifests::{self, Input};
use judge::Row;

/// Inspect manifests or the cluster once
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol scan deploy/
  kustomize build . | kube-patrol scan - --baseline namespace-coverage
  kube-patrol scan deploy/ --policy policy.yaml -o jsonl --fail-on high
  kube-patrol scan --cluster -o wide

Exit code: 0 clean, 1 findings, 2 could not run, 3 could not see everything.")]
pub struct Args {
    /// Files and folders of manifests, or - for standard input
    #[arg(required_unless_present = "cluster", value_name = "PATH")]
    paths: Vec<String>,
    /// Inspect the cluster of the current kubeconfig context, with your own rights
    #[arg(long, conflicts_with = "paths")]
    cluster: bool,
    /// Judge by this policy; repeatable. Default: the policies that are found
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Judge by this built-in baseline; repeatable
    #[arg(long, value_name = "NAME")]
    baseline: Vec<String>,
    /// Output format: table, wide, json or jsonl
    #[arg(short, long, value_enum, hide_possible_values = true, default_value_t = Output::Table)]
    output: Output,
    /// Show every verdict, not only what fails or is unknown
    #[arg(long)]
    all_verdicts: bool,
    /// Exit with 1 only for findings of at least this severity: critical, high, medium, low
    /// or info
    #[arg(long, value_enum, ignore_case = true, hide_possible_values = true, default_value_t = AtLeast::Low)]
    fail_on: AtLeast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For people, with reasons and places
    Wide,
    /// One object
    Json,
    /// One result a line
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AtLeast {
    Critical,
    High,
    Medium,
    Low,
    Info,
}

impl AtLeast {
    const fn severity(self) -> Severity {
        match self {
            Self::Critical => Severity::Critical,
            Self::High => Severity::High,
            Self::Medium => Severity::Medium,
            Self::Low => Severity::Low,
            Self::Info => Severity::Info,
        }
    }
}

/// What was looked at.
struct Looked {
    rows: Vec<Row>,
    kinds: Value,
    not_inspected: Vec<Value>,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let looked = if args.cluster {
        cluster(args)?
    } else {
        files(args)?
    };
    let shown: Vec<&Row> = looked
        .rows
        .iter()
        .filter(|row| args.all_verdicts || is_shown(&row.result.judgement.verdict))
        .collect();
    let summary = report::summary(&looked.rows);
    match args.output {
        Output::Json => {
            let report = json!({
                "apiVersion": "kubepatrol.io/scan/v1",
                "kind": "ScanReport",
                "summary": summary,
                "results": shown.iter().map(|r| report::record(r)).collect::<Vec<_>>(),
                "coverage": {"kinds": looked.kinds, "notInspected": looked.not_inspected},
            });
            let text = serde_json::to_string_pretty(&report).unwrap_or_default();
            ui::print(&format!("{text}\n"))?;
        }
        Output::Jsonl => {
            let lines: String = shown
                .iter()
                .map(|r| format!("{}\n", report::record(r)))
                .collect();
            ui::print(&lines)?;
            report::missed(&looked.not_inspected);
        }
        Output::Table | Output::Wide => {
            let wide = args.output == Output::Wide;
            ui::print(&report::table(&shown, &summary, wide))?;
            report::missed(&looked.not_inspected);
        }
    }
    let least = args.fail_on.severity();
    let found = looked
        .rows
        .iter()
        .any(|r| r.result.judgement.verdict == Verdict::Fail && r.result.severity >= least);
    Ok(match (looked.not_inspected.is_empty(), found) {
        (false, _) => Exit::Incomplete,
        (true, true) => Exit::Findings,
        (true, false) => Exit::Clean,
    })
}

/// Whether a verdict asks for someone's attention.
fn is_shown(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Fail | Verdict::Unknown(_))
}

fn files(args: &Args) -> Result<Looked, Failure> {
    for path in &args.paths {
        if path != manifests::STDIN && !std::path::Path::new(path).exists() {
            return Err(Failure::new(format!(
                "{path}: no such file or folder: name one that exists"
            )));
        }
    }
    let inputs: Vec<Input> = args.paths.iter().map(|p| Input::parse(p)).collect();
    let loaded = ui::loading(&inputs);
    let mut coverage = loaded.coverage;
    let mut book = given(args)?;
    if book.policies.is_empty() {
        let found = rules::among(&loaded.objects);
        if found.book.policies.is_empty()
            && let Some(refused) = found.refused.first()
        {
            // There is a policy, and judging by something else is not what it asks for.
            return Err(Failure::new(refused.to_string()));
        }
        book = found.book;
        coverage.not_inspected.extend(found.refused);
    }
    if book.policies.is_empty() {
        book = rules::every_baseline()?;
    }
    let account = |missed| serde_json::to_value(missed).unwrap_or_default();
    Ok(Looked {
        rows: judge::files(&loaded.objects, &coverage, &book),
        kinds: serde_json::to_value(&coverage.kinds).unwrap_or_default(),
        not_inspected: coverage.not_inspected.iter().map(account).collect(),
    })
}

fn cluster(args: &Args) -> Result<Looked, Failure> {
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| !kind.is_ours() || *kind == Kind::PatrolPolicy)
        .collect();
    let seen = source::look(&kinds)?;
    let mut book = given(args)?;
    if book.policies.is_empty() {
        // What is invalid is reported on the policy itself, and patrols nothing.
        let valid = |policy: &&PatrolPolicy| rules::rulebook(std::slice::from_ref(policy)).is_ok();
        let policies: Vec<PatrolPolicy> = seen.policies.iter().filter(valid).cloned().collect();
        book = rules::rulebook(&policies)?;
    }
    if book.policies.is_empty() {
        book = rules::every_baseline()?;
    }
    let read = kinds_read(&book);
    let missed = seen.blind.iter().filter(|(kind, _)| read.contains(kind));
    let counts: serde_json::Map<String, Value> = kinds
        .iter()
        .map(|kind| (kind.info().kind.to_owned(), seen.inventory.count(*kind)))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| (kind, count.into()))
        .collect();
    Ok(Looked {
        rows: judge::cluster(&seen, &book),
        kinds: counts.into(),
        not_inspected: missed
            .map(|(kind, why)| json!({"kind": kind.info().resource, "reason": source::advice(*kind, why)}))
            .collect(),
    })
}

fn kinds_read(book: &Rulebook) -> BTreeSet<Kind> {
    let rules = book.policies.values().flat_map(|policy| &policy.rules);
    rules
        .chain(&book.always_on)
        .filter_map(|rule| patrol_checks::CATALOGUE.find(rule.check))
        .flat_map(|check| check.meta().reads.iter().copied())
        .collect()
}

/// The rules that the command line names.
fn given(args: &Args) -> Result<Rulebook, Failure> {
    let mut policies: Vec<PatrolPolicy> = rules::policies_in(&args.policy)?;
    if !args.baseline.is_empty() {
        policies.push(rules::of_baselines(&args.baseline));
    }
    rules::rulebook(&policies)
}
