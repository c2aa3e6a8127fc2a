//! `lint`: our objects, validated offline by the rules of the API server and of the
//! operator, with the same sentences.

use std::path::PathBuf;

use patrol_api::waiver::TicketWaiver;
use patrol_core::facts::Fact;
use patrol_core::rule::compile;
use patrol_core::waiver::Waiver;

use super::ui::{self, Colour};
use super::{Exit, Failure};
use crate::manifests::{Decoded, Input, NotInspected, Object};

/// A reminder interval below this is noise.
const SHORT_REPEAT: patrol_api::time::Span = patrol_api::time::Span::minutes(5);

/// Validate our objects offline
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol lint policy.yaml
  kustomize build . | kube-patrol lint -

Exit code: 0 valid, 1 invalid object, 2 could not read.")]
pub struct Args {
    /// Files or folders, or - for standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let inputs: Vec<Input> = args
        .files
        .iter()
        .map(|f| Input::parse(&f.to_string_lossy()))
        .collect();
    let loaded = ui::loading(&inputs);
    let ours: Vec<&Object> = loaded
        .objects
        .iter()
        .filter(|o| patrol_api::validate::is_ours(&o.value))
        .collect();
    // An object of ours that cannot be decoded was read: it is invalid, and said so below.
    let unread: Vec<_> = loaded
        .coverage
        .not_inspected
        .iter()
        .filter(|missed| !ours.iter().any(|object| is_about(missed, object)))
        .collect();
    for missed in &unread {
        eprintln!("kube-patrol: {missed}");
    }
    if ours.is_empty() && unread.is_empty() {
        return Err(Failure::new(
            "nothing to lint: no object of group kubepatrol.io is in the files",
        ));
    }
    let colours = ui::colours();
    let mut invalid = 0;
    let mut out = String::new();
    for object in &ours {
        let problems = problems(object, &ours);
        let name = object.name();
        let who = format!(
            "{}:{}: {}/{name}",
            object.source.file, object.source.line, object.kind
        );
        for (problem, warning) in &problems {
            let word = if *warning {
                ui::paint("warning", Colour::Yellow, colours)
            } else {
                ui::paint("error", Colour::Red, colours)
            };
            out.push_str(&format!(
                "{}: {word}: {}\n",
                ui::clean(&who),
                ui::clean(problem)
            ));
        }
        invalid += usize::from(problems.iter().any(|(_, warning)| !warning));
    }
    ui::print(&out)?;
    eprintln!(
        "{}, {invalid} invalid",
        ui::number(ours.len(), "object", "objects")
    );
    if !unread.is_empty() {
        return Err(Failure::new(format!(
            "{} could not be read",
            ui::number(unread.len(), "file or document", "files or documents")
        )));
    }
    Ok(if invalid > 0 {
        Exit::Findings
    } else {
        Exit::Clean
    })
}

/// Whether an entry of the coverage account stands for this very object.
fn is_about(missed: &NotInspected, object: &Object) -> bool {
    let Decoded::Broken(_) = object.decoded else {
        return false;
    };
    let source = &object.source;
    missed.file == source.file
        && missed.document == Some(source.document)
        && missed.line == Some(source.line)
}

/// What is wrong with an object, and whether that is only a warning.
fn problems(object: &Object, all: &[&Object]) -> Vec<(String, bool)> {
    let schema = patrol_api::validate::validate(&object.value);
    if !schema.is_empty() {
        return schema.iter().map(|p| (p.to_string(), false)).collect();
    }
    let Decoded::Fact(seen) = &object.decoded else {
        let why = match &object.decoded {
            Decoded::Broken(error) => error.reason.clone(),
            _ => "is of a version or kind that this program does not know".to_owned(),
        };
        return vec![(why, false)];
    };
    if let Fact::Waiver(waiver) = &seen.fact {
        return waiver_problems(waiver);
    }
    let Fact::Policy(policy) = &seen.fact else {
        return vec![];
    };
    let now = patrol_kube::boot_clock::wall();
    let mut out: Vec<(String, bool)> = match compile(policy, &patrol_checks::CATALOGUE, now) {
        Ok(_) => vec![],
        Err(problems) => problems.iter().map(|p| (p.to_string(), false)).collect(),
    };
    let repeat = policy.spec.alerts.repeat;
    let intervals = [repeat.critical, repeat.high, repeat.medium, repeat.low];
    if intervals.iter().any(|span| *span < SHORT_REPEAT) {
        out.push((
            "spec.alerts.repeat: an interval under 5m repeats more often than people can act: use 5m or more"
                .into(),
            true,
        ));
    }
    let alerts = &policy.spec.alerts;
    let routes = alerts.receivers.iter().enumerate();
    let routes = routes.map(|(i, route)| (format!("receivers[{i}]"), &route.name));
    let steps = alerts
        .escalation
        .iter()
        .enumerate()
        .filter_map(|(i, step)| {
            let receiver = step.receiver.as_ref()?;
            Some((format!("escalation[{i}].receiver"), receiver))
        });
    for (field, name) in routes.chain(steps) {
        let known = all
            .iter()
            .any(|o| o.kind == "AlertReceiver" && o.name() == name);
        if !known {
            out.push((
                format!(
                    "spec.alerts.{field}: no AlertReceiver is named {name} in these files: create it or correct the name"
                ),
                true,
            ));
        }
    }
    out
}

/// What only a clock and the operator's namespace tell of a waiver. One that was not applied yet is created now.
fn waiver_problems(waiver: &TicketWaiver) -> Vec<(String, bool)> {
    let mut waiver = waiver.clone();
    let created = &mut waiver.metadata.creation_timestamp;
    let now = patrol_kube::boot_clock::wall();
    created.get_or_insert_with(|| patrol_api::condition::meta_time(now));
    match Waiver::compile(&waiver, patrol_api::names::DEFAULT_NAMESPACE) {
        Err(why) => vec![(why.message, false)],
        Ok(compiled) if compiled.until <= now => vec![(
            "spec.expiresAt: has passed: give a time that is still to come".into(),
            true,
        )],
        Ok(_) => vec![],
    }
}
