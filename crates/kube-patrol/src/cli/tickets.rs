//! `tickets`: the tickets of a cluster or of local mode's state folder.

use std::path::PathBuf;

use clap::ValueEnum;
use patrol_api::ticket::Ticket;
use patrol_api::words::{Phase, Severity};
use serde_json::json;

use super::ui::{self, Colour, Table};
use super::{Exit, Failure, source};
use crate::manifests::to_yaml;

/// List tickets
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol tickets -A
  kube-patrol tickets -n shop -o wide
  kube-patrol tickets --state deploy/examples/local/.kube-patrol")]
pub struct Args {
    /// Only tickets of this namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// Tickets of all namespaces (the default without -n)
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Resolved tickets too
    #[arg(long)]
    all: bool,
    /// Output format: table, wide, json or yaml (with resolved tickets)
    #[arg(short, long, value_enum, hide_possible_values = true, default_value_t = Output::Table)]
    output: Output,
    /// State folder of local mode instead of the cluster
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For people, with more columns
    Wide,
    /// A List object
    Json,
    /// A List object
    Yaml,
}

impl Output {
    const fn is_data(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let wanted = args.namespace.as_deref().filter(|_| !args.all_namespaces);
    let tickets: Vec<Ticket> = source::tickets(args.state.as_deref())?
        .into_iter()
        .filter(|t| wanted.is_none_or(|ns| t.metadata.namespace.as_deref() == Some(ns)))
        .filter(|t| args.all || args.output.is_data() || phase(t) != Phase::Resolved)
        .collect();
    match args.output {
        Output::Json | Output::Yaml => {
            let items: Vec<_> = tickets
                .iter()
                .map(|t| serde_json::to_value(t).unwrap_or_default())
                .collect();
            let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
            let text = match args.output {
                Output::Yaml => {
                    to_yaml(&list).map_err(|e| Failure::new(format!("tickets: {e}")))?
                }
                _ => serde_json::to_string_pretty(&list).unwrap_or_default(),
            };
            ui::print(&format!("{}\n", text.trim_end()))
        }
        Output::Table | Output::Wide => {
            if tickets.is_empty() {
                eprintln!("No open tickets.");
                return Ok(Exit::Clean);
            }
            ui::print(&table(&tickets, args.output == Output::Wide).fit(ui::colours()))
        }
    }
}

pub(super) fn phase(ticket: &Ticket) -> Phase {
    ticket.status.as_ref().map_or(Phase::Open, |s| s.phase)
}

fn table(tickets: &[Ticket], wide: bool) -> Table {
    let mut header = vec![
        "NAMESPACE",
        "NAME",
        "SEVERITY",
        "CHECK",
        "SUBJECT",
        "STATE",
        "PARTY",
        "AGE",
        "DUE",
    ];
    if wide {
        header.extend(["LAST-SEEN", "ALERTED", "POLICY", "MESSAGE"]);
    }
    let mut table = Table::new(&header);
    let now = patrol_kube::boot_clock::wall();
    for ticket in tickets {
        let status = ticket.status.clone().unwrap_or_default();
        let severity = status.severity.unwrap_or(Severity::Medium);
        let finding = &ticket.spec.finding;
        let state_colour = if status.phase == Phase::Resolved {
            Colour::Green
        } else {
            Colour::Yellow
        };
        let mut cells = vec![
            (ticket.metadata.namespace.clone().unwrap_or_default(), None),
            (ticket.metadata.name.clone().unwrap_or_default(), None),
            (severity.to_string(), Some(ui::severity_colour(severity))),
            (finding.check.clone(), None),
            (finding.subject_ref.clone(), None),
            (status.phase.to_string(), Some(state_colour)),
            (
                status.party.map(|p| p.to_string()).unwrap_or_default(),
                None,
            ),
            (
                status
                    .episode
                    .opened_at
                    .map(|at| ui::age(at, now))
                    .unwrap_or_default(),
                None,
            ),
        ];
        let due = status
            .episode
            .due_at
            .filter(|_| status.phase != Phase::Resolved);
        cells.push((
            due.map(|at| at.to_string()).unwrap_or_default(),
            due.filter(|at| *at < now).map(|_| Colour::Red),
        ));
        if wide {
            for at in [status.last_seen_at, status.last_alerted_at] {
                cells.push((at.map(|at| ui::age(at, now)).unwrap_or_default(), None));
            }
            cells.push((finding.policy.clone(), None));
            cells.push((status.message.clone(), None));
        }
        table.row(cells);
    }
    table
}
