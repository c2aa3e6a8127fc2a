//! `scan`: one inspection of manifests. No tickets, no state.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use patrol_api::words::Severity;
use patrol_core::check::{Origin, OwnState, Verdict};
use patrol_core::inspect::{InspectionResult, Inspector, inspect};
use patrol_core::inventory::Inventory;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use super::ui::{self, Colour, Table};
use super::{Exit, Failure, rules};
use crate::manifests::{self, Decoded, Input, Object, Source};

/// Inspect manifests once
#[derive(clap::Args)]
pub struct Args {
    /// Files and folders of manifests, or - for standard input
    #[arg(required = true)]
    paths: Vec<String>,
    /// Judge by this policy; repeatable. Default: the policies among the manifests
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Judge by this built-in baseline; repeatable
    #[arg(long, value_name = "NAME")]
    baseline: Vec<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Show every verdict, not only what fails or is unknown
    #[arg(long)]
    all_verdicts: bool,
    /// Exit with 1 only for findings of at least this severity
    #[arg(long, value_enum, ignore_case = true, default_value_t = AtLeast::Low)]
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

/// A judgement with the place of its subject.
struct Row {
    result: InspectionResult,
    source: Option<Source>,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let inputs: Vec<Input> = args.paths.iter().map(|p| Input::parse(p)).collect();
    for path in &args.paths {
        if path != manifests::STDIN && !std::path::Path::new(path).exists() {
            return Err(Failure::new(format!(
                "{path}: no such file or folder: name one that exists"
            )));
        }
    }
    let loaded = manifests::load(&inputs, &[]);
    let policies = policies(args, &loaded.objects)?;
    let book = rules::rulebook(&policies)?;
    let mut not_inspected: Vec<Value> = loaded
        .coverage
        .not_inspected
        .iter()
        .map(|missed| serde_json::to_value(missed).unwrap_or_default())
        .collect();
    not_inspected.extend(broken(&loaded.objects));
    let rows = judge(&loaded.objects, &book);
    let shown: Vec<&Row> = rows
        .iter()
        .filter(|row| {
            args.all_verdicts
                || matches!(
                    row.result.judgement.verdict,
                    Verdict::Fail | Verdict::Unknown(_)
                )
        })
        .collect();
    let summary = summary(&rows);
    match args.output {
        Output::Json => {
            let report = json!({
                "apiVersion": "kubepatrol.io/scan/v1",
                "kind": "ScanReport",
                "summary": summary,
                "results": shown.iter().map(|r| record(r)).collect::<Vec<_>>(),
                "coverage": {"kinds": loaded.coverage.kinds, "notInspected": not_inspected},
            });
            ui::print(&format!("{}\n", pretty(&report)))?;
        }
        Output::Jsonl => {
            let lines: String = shown.iter().map(|r| format!("{}\n", record(r))).collect();
            ui::print(&lines)?;
            report_missed(&not_inspected);
        }
        Output::Table | Output::Wide => {
            ui::print(&table(&shown, &summary, args.output == Output::Wide))?;
            report_missed(&not_inspected);
        }
    }
    let least = args.fail_on.severity();
    let found = rows
        .iter()
        .any(|r| r.result.judgement.verdict == Verdict::Fail && r.result.severity >= least);
    Ok(match (not_inspected.is_empty(), found) {
        (false, _) => Exit::Incomplete,
        (true, true) => Exit::Findings,
        (true, false) => Exit::Clean,
    })
}

fn policies(
    args: &Args,
    objects: &[Object],
) -> Result<Vec<patrol_api::policy::PatrolPolicy>, Failure> {
    let mut policies = rules::policies_in(&args.policy)?;
    if !args.baseline.is_empty() {
        policies.push(rules::of_baselines(&args.baseline));
    }
    if policies.is_empty() {
        policies = rules::policies_of(objects)?;
    }
    if policies.is_empty() {
        // Whatever needs no requirement of the user's own can be said of any manifests.
        let all: Vec<String> = patrol_checks::CATALOGUE
            .baselines
            .iter()
            .map(|b| b.name.to_owned())
            .collect();
        policies.push(rules::of_baselines(&all));
    }
    Ok(policies)
}

fn broken(objects: &[Object]) -> Vec<Value> {
    objects
        .iter()
        .filter_map(|object| match &object.decoded {
            Decoded::Broken(error) => Some(json!({
                "file": object.source.file,
                "document": object.source.document,
                "line": object.source.line,
                "reason": error.to_string(),
            })),
            _ => None,
        })
        .collect()
}

/// Judges the objects. One identity in several files is judged once per file, in an
/// inventory where it takes the place of the others.
fn judge(objects: &[Object], book: &patrol_core::rule::Rulebook) -> Vec<Row> {
    let mut places: BTreeMap<(Kind, patrol_core::facts::ObjectKey), Vec<&Object>> = BTreeMap::new();
    for object in objects {
        if let (Some((kind, key)), Decoded::Fact(_)) = (object.identity(), &object.decoded) {
            places.entry((kind, key.clone())).or_default().push(object);
        }
    }
    let mut rows = judge_once(&places, 0, book);
    let most = places.values().map(Vec::len).max().unwrap_or_default();
    for round in 1..most {
        // Only what is written more than once differs from the first round.
        let again = judge_once(&places, round, book);
        rows.extend(again.into_iter().filter(|row| {
            let subject = &row.result.judgement.subject;
            Kind::find(&subject.group, &subject.kind)
                .and_then(|kind| {
                    let key = patrol_core::facts::ObjectKey::new(
                        subject.namespace.as_deref().unwrap_or(""),
                        &subject.name,
                    );
                    places.get(&(kind, key))
                })
                .is_some_and(|all| all.len() > round)
        }));
    }
    rows
}

fn judge_once(
    places: &BTreeMap<(Kind, patrol_core::facts::ObjectKey), Vec<&Object>>,
    round: usize,
    book: &patrol_core::rule::Rulebook,
) -> Vec<Row> {
    let now = patrol_kube::boot_clock::wall();
    let mut inventory = Inventory::new();
    for kind in Kind::ALL {
        inventory.relist_started(kind);
    }
    let pick = |all: &[&'_ Object]| -> Option<usize> {
        all.len().checked_sub(1).map(|last| round.min(last))
    };
    for all in places.values() {
        if let Some(object) = pick(all).and_then(|i| all.get(i))
            && let Decoded::Fact(seen) = &object.decoded
        {
            inventory.upsert((**seen).clone());
        }
    }
    for kind in Kind::ALL {
        inventory.relist_finished(kind);
        inventory.sight_mut(kind).heard(now);
    }
    let own = OwnState::default();
    let catalogue = patrol_checks::CATALOGUE;
    let inspector = Inspector {
        catalogue: &catalogue,
        inventory: &inventory,
        rulebook: book,
        origin: Origin::Files,
        own: &own,
        now,
    };
    let rules = book
        .policies
        .values()
        .flat_map(|p| &p.rules)
        .chain(&book.always_on);
    inspect(&inspector, rules)
        .results
        .into_iter()
        .map(|result| {
            let subject = &result.judgement.subject;
            let source = Kind::find(&subject.group, &subject.kind)
                .and_then(|kind| {
                    let key = patrol_core::facts::ObjectKey::new(
                        subject.namespace.as_deref().unwrap_or(""),
                        &subject.name,
                    );
                    let all = places.get(&(kind, key))?;
                    all.get(pick(all)?)
                })
                .map(|object| object.source.clone());
            Row { result, source }
        })
        .collect()
}

fn summary(rows: &[Row]) -> Value {
    let mut subjects = std::collections::BTreeSet::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut by_severity: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        let judgement = &row.result.judgement;
        subjects.insert(&judgement.subject);
        *counts.entry(judgement.verdict.word()).or_default() += 1;
        if judgement.verdict == Verdict::Fail {
            *by_severity
                .entry(row.result.severity.to_string())
                .or_default() += 1;
        }
    }
    let count = |word: &str| counts.get(word).copied().unwrap_or_default();
    json!({
        "subjects": subjects.len(),
        "fail": count("Fail"),
        "pass": count("Pass"),
        "notApplicable": count("NotApplicable"),
        "unknown": count("Unknown"),
        "bySeverity": by_severity,
    })
}

fn record(row: &Row) -> Value {
    let r = &row.result;
    let j = &r.judgement;
    let mut reasons: Vec<String> = j.reasons.iter().map(ToString::to_string).collect();
    if let Verdict::Unknown(reason) = &j.verdict
        && !reasons.contains(&reason.to_string())
    {
        reasons.insert(0, reason.to_string());
    }
    json!({
        "policy": r.policy.as_str(),
        "check": r.check.id,
        "requirement": r.requirement.as_ref().map(ToString::to_string),
        "verdict": j.verdict.word(),
        "severity": r.severity,
        "layer": r.layer,
        "party": r.party,
        "subject": {
            "group": j.subject.group,
            "kind": j.subject.kind,
            "namespace": j.subject.namespace,
            "name": j.subject.name,
        },
        "reasons": reasons,
        "message": j.message,
        "remediation": if j.verdict == Verdict::Fail && j.remediation.is_empty() {
            r.check.remediation
        } else {
            j.remediation.as_str()
        },
        "paths": j.paths,
        "source": row.source,
    })
}

fn table(rows: &[&Row], summary: &Value, wide: bool) -> String {
    let colours = ui::colours();
    let mut out = String::new();
    if !rows.is_empty() {
        let mut header = vec!["SEVERITY", "CHECK", "SUBJECT", "VERDICT", "PARTY"];
        if wide {
            header.extend(["REASONS", "PLACE"]);
        }
        header.push("MESSAGE");
        let mut table = Table::new(&header);
        for row in rows {
            table.row(cells(row, wide));
        }
        out.push_str(&table.render(colours));
        out.push('\n');
    }
    let n = |key: &str| summary.get(key).and_then(Value::as_u64).unwrap_or_default();
    let verdict = if n("fail") > 0 {
        ui::paint(&format!("{} findings", n("fail")), Colour::Red, colours)
    } else {
        ui::paint("no findings", Colour::Green, colours)
    };
    out.push_str(&format!(
        "{} subjects: {verdict}, {} passed, {} not applicable, {} unknown\n",
        n("subjects"),
        n("pass"),
        n("notApplicable"),
        n("unknown"),
    ));
    out
}

fn cells(row: &Row, wide: bool) -> Vec<(String, Option<Colour>)> {
    let r = &row.result;
    let j = &r.judgement;
    let failed = j.verdict == Verdict::Fail;
    let subject = match &j.subject.namespace {
        Some(ns) => format!("{ns}/{}/{}", j.subject.kind, j.subject.name),
        None => format!("{}/{}", j.subject.kind, j.subject.name),
    };
    let check = match &r.requirement {
        Some(requirement) => format!("{} ({requirement})", r.check.id),
        None => r.check.id.to_owned(),
    };
    let mut cells = vec![
        (
            r.severity.to_string(),
            failed.then(|| ui::severity_colour(r.severity)),
        ),
        (check, None),
        (subject, None),
        (
            j.verdict.word().to_owned(),
            Some(match j.verdict {
                Verdict::Fail => Colour::Red,
                Verdict::Pass => Colour::Green,
                Verdict::Unknown(_) => Colour::Yellow,
                Verdict::NotApplicable(_) => Colour::Dim,
            }),
        ),
        (r.party.to_string(), None),
    ];
    if wide {
        let reasons: Vec<&str> = j.reasons.iter().map(|r| r.as_str()).collect();
        cells.push((reasons.join(","), None));
        let place = row
            .source
            .as_ref()
            .map_or(String::new(), |s| format!("{}:{}", s.file, s.line));
        cells.push((place, Some(Colour::Dim)));
    }
    let message = match &j.verdict {
        Verdict::Unknown(reason) if j.message.is_empty() => reason.to_string(),
        _ => j.message.clone(),
    };
    cells.push((message, None));
    cells
}

fn report_missed(not_inspected: &[Value]) {
    for missed in not_inspected {
        let text = |key: &str| missed.get(key).and_then(Value::as_str).unwrap_or("");
        let file = text("file");
        let line = missed
            .get("line")
            .and_then(Value::as_u64)
            .map_or(String::new(), |line| format!(":{line}"));
        let reason = text("reason");
        eprintln!(
            "kube-patrol: {}{line}: not inspected: {}",
            ui::clean(file),
            ui::clean(reason)
        );
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
