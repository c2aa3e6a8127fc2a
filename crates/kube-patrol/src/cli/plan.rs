//! `plan -f FILE`: what a policy would open and close, before it is applied.

use std::collections::BTreeSet;
use std::path::PathBuf;

use patrol_api::words::Phase;
use patrol_core::check::{Origin, OwnState, Verdict};
use patrol_core::facts::ObjectKey;
use patrol_core::inspect::{Inspector, inspect};
use patrol_core::kind::Kind;
use patrol_core::ticket::place;

use super::ui::{self, Colour, Table};
use super::{Exit, Failure, objects, rules, source};
use crate::manifests::Input;

/// Show what a policy would open and close
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol plan -f policy.yaml
  kube-patrol plan -f policy.yaml --manifests deploy/ --state deploy/.kube-patrol

Exit code: 0 nothing would be open, 1 findings, 2 could not run, 3 could not see
everything.")]
pub struct Args {
    /// File with the policy; repeatable
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Folders of manifests instead of the cluster
    #[arg(long, value_name = "DIR")]
    manifests: Vec<PathBuf>,
    /// State folder of local mode with the tickets there are
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The operator's namespace, where tickets about cluster-scoped subjects live
    #[arg(long, default_value = patrol_api::names::DEFAULT_NAMESPACE)]
    namespace: String,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let policies = rules::policies_in(&args.files)?;
    let book = rules::rulebook(&policies)?;
    let mut complete = true;
    let (inventory, tickets, origin, blind) = if args.manifests.is_empty() {
        let kinds: Vec<Kind> = Kind::ALL
            .into_iter()
            .filter(|k| !k.is_ours())
            .chain([Kind::Ticket])
            .collect();
        let seen = source::look(&kinds)?;
        (seen.inventory, seen.tickets, Origin::Cluster, seen.blind)
    } else {
        let tickets = match &args.state {
            Some(state) => source::tickets_in(state)?,
            None => vec![],
        };
        let inputs: Vec<Input> = args.manifests.iter().cloned().map(Input::Path).collect();
        let loaded = ui::loading(&inputs);
        let inventory = objects::inventory(&loaded.objects, &loaded.coverage);
        for missed in &loaded.coverage.not_inspected {
            eprintln!("kube-patrol: {}", ui::clean(&missed.sentence()));
        }
        complete = loaded.coverage.is_complete();
        (inventory, tickets, Origin::Files, vec![])
    };
    let own = OwnState::default();
    let catalogue = patrol_checks::CATALOGUE;
    let inspector = Inspector {
        catalogue: &catalogue,
        inventory: &inventory,
        rulebook: &book,
        origin,
        own: &own,
        now: patrol_kube::boot_clock::wall(),
    };
    let rules = book.policies.values().flat_map(|p| &p.rules);
    let found = inspect(&inspector, rules);
    let open: BTreeSet<ObjectKey> = tickets
        .iter()
        .filter(|t| super::tickets::phase(t) != Phase::Resolved)
        .map(|t| {
            ObjectKey::new(
                t.metadata.namespace.as_deref().unwrap_or(""),
                t.metadata.name.as_deref().unwrap_or(""),
            )
        })
        .collect();
    let mut failing = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    let mut table = Table::new(&["ACTION", "SEVERITY", "CHECK", "SUBJECT", "MESSAGE"]);
    let mut opens = 0;
    for result in &found.results {
        let rule = book
            .rules_of(&result.policy)
            .iter()
            .find(|r| r.check == result.check.id && r.requirement == result.requirement);
        let Some(rule) = rule else { continue };
        let key = place(rule, &result.judgement, &args.namespace);
        match result.judgement.verdict {
            Verdict::Fail => {}
            Verdict::Unknown(_) => {
                unknown.insert(key);
                continue;
            }
            _ => continue,
        }
        let action = if open.contains(&key) { "keep" } else { "open" };
        opens += usize::from(action == "open");
        table.row([
            (
                action.to_owned(),
                Some(if action == "open" {
                    Colour::Red
                } else {
                    Colour::Dim
                }),
            ),
            (
                result.severity.to_string(),
                Some(ui::severity_colour(result.severity)),
            ),
            (result.check.id.to_owned(), None),
            (subject_text(&result.judgement.subject), None),
            (result.judgement.message.clone(), None),
        ]);
        failing.insert(key);
    }
    let mut closes = 0;
    let names: BTreeSet<&str> = policies
        .iter()
        .filter_map(|p| p.metadata.name.as_deref())
        .collect();
    for ticket in &tickets {
        let key = ObjectKey::new(
            ticket.metadata.namespace.as_deref().unwrap_or(""),
            ticket.metadata.name.as_deref().unwrap_or(""),
        );
        let finding = &ticket.spec.finding;
        if !names.contains(finding.policy.as_str())
            || !open.contains(&key)
            || failing.contains(&key)
            || unknown.contains(&key)
        {
            continue;
        }
        closes += 1;
        let severity = ticket
            .status
            .as_ref()
            .and_then(|s| s.severity)
            .unwrap_or(patrol_api::words::Severity::Medium);
        table.row([
            ("close".to_owned(), Some(Colour::Green)),
            (severity.to_string(), None),
            (finding.check.clone(), None),
            (subject_text(&finding.subject), None),
            (String::new(), None),
        ]);
    }
    if !failing.is_empty() || closes > 0 {
        ui::print(&table.fit(ui::colours()))?;
    }
    eprintln!(
        "{opens} to open, {closes} to close, {} stay open",
        failing.len().saturating_sub(opens)
    );
    for (kind, why) in &blind {
        eprintln!(
            "kube-patrol: {}: not inspected: {}",
            kind.info().resource,
            source::advice(*kind, why)
        );
    }
    Ok(match (complete && blind.is_empty(), failing.is_empty()) {
        (false, _) => Exit::Incomplete,
        (true, false) => Exit::Findings,
        (true, true) => Exit::Clean,
    })
}

fn subject_text(subject: &patrol_api::ticket::Subject) -> String {
    match &subject.namespace {
        Some(ns) => format!("{ns}/{}/{}", subject.kind, subject.name),
        None => format!("{}/{}", subject.kind, subject.name),
    }
}
