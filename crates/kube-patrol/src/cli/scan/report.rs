//! What `scan` prints: the report as data, and a table for people.

use std::collections::BTreeMap;

use patrol_core::check::Verdict;
use serde_json::{Value, json};

use super::judge::Row;
use crate::cli::ui::{self, Colour, Table};

/// The results in numbers.
pub fn summary(rows: &[Row]) -> Value {
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

/// One element of `results[]`.
pub fn record(row: &Row) -> Value {
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

/// A table for people, the worst first, and a line that sums it up.
pub fn table(rows: &[&Row], summary: &Value, wide: bool) -> String {
    let colours = ui::colours();
    let mut out = String::new();
    let mut rows: Vec<&Row> = rows.to_vec();
    rows.sort_by_key(|row| {
        let verdict = &row.result.judgement.verdict;
        let passed = !matches!(verdict, Verdict::Fail);
        (passed, std::cmp::Reverse(row.result.severity))
    });
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
        out.push_str(&table.fit(colours));
        out.push('\n');
    }
    let n = |key: &str| summary.get(key).and_then(Value::as_u64).unwrap_or_default();
    let verdict = if n("fail") > 0 {
        let findings = ui::number(n("fail"), "finding", "findings");
        ui::paint(&findings, Colour::Red, colours)
    } else {
        ui::paint("no findings", Colour::Green, colours)
    };
    out.push_str(&format!(
        "{}: {verdict}, {} passed, {} not applicable, {} unknown\n",
        ui::number(n("subjects"), "subject", "subjects"),
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
        Verdict::Unknown(reason) if j.message.is_empty() && reason.as_str() == "grace" => {
            "it is young: its grace has not ended".to_owned()
        }
        Verdict::Unknown(reason) if j.message.is_empty() => format!("cannot be judged: {reason}"),
        _ => j.message.clone(),
    };
    cells.push((message, None));
    cells
}

/// Says what was not inspected.
pub fn missed(not_inspected: &[Value]) {
    for missed in not_inspected {
        let text = |key: &str| missed.get(key).and_then(Value::as_str);
        let place = text("file").or_else(|| text("kind")).unwrap_or("");
        let line = missed
            .get("line")
            .and_then(Value::as_u64)
            .map_or(String::new(), |line| format!(":{line}"));
        eprintln!(
            "kube-patrol: {}{line}: not inspected: {}",
            ui::clean(place),
            ui::clean(text("reason").unwrap_or(""))
        );
    }
}
