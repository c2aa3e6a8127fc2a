//! `explain TICKET`: why it is open, whose turn it is, who was told what, what comes next,
//! and how to fix it.

use std::path::PathBuf;

use patrol_api::ticket::Ticket;
use patrol_api::words::{Party, Phase, Severity};

use super::ui::{self, Colour};
use super::{Exit, Failure, source};

/// Where the texts begin.
const INDENT: &str = "           ";

/// Explain a ticket
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol explain sidecar-missing-3ilfflg5xlf4k32sybjbmdu2gd -n shop
  kube-patrol explain sidecar-missing --state deploy/examples/local/.kube-patrol")]
pub struct Args {
    /// Name of the ticket, or the beginning of it
    ticket: String,
    /// Its namespace, when the name alone is not enough
    #[arg(short, long)]
    namespace: Option<String>,
    /// State folder of local mode instead of the cluster
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let tickets = source::tickets(args.state.as_deref())?;
    let matching: Vec<&Ticket> = tickets
        .iter()
        .filter(|t| {
            args.namespace
                .as_deref()
                .is_none_or(|ns| t.metadata.namespace.as_deref() == Some(ns))
        })
        .filter(|t| {
            t.metadata
                .name
                .as_deref()
                .is_some_and(|n| n.starts_with(&args.ticket))
        })
        .collect();
    match matching.as_slice() {
        [one] => ui::print(&explain(one)),
        [] => Err(Failure::new(format!(
            "ticket {}: not found: `kube-patrol tickets` lists them",
            args.ticket
        ))),
        many => Err(Failure::new(format!(
            "ticket {}: {} tickets begin like this: give more of the name, or -n NAMESPACE",
            args.ticket,
            many.len()
        ))),
    }
}

fn explain(ticket: &Ticket) -> String {
    let colours = ui::colours();
    let width = ui::width();
    let status = ticket.status.clone().unwrap_or_default();
    let finding = &ticket.spec.finding;
    let severity = status.severity.unwrap_or(Severity::Medium);
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        if !text.is_empty() {
            let text = ui::wrap(&ui::clean(&text), INDENT.len(), INDENT, width);
            out.push_str(&format!("{:<11}{text}\n", format!("{name}:")));
        }
    };
    line(
        "Ticket",
        format!(
            "{}/{}",
            ticket.metadata.namespace.clone().unwrap_or_default(),
            ticket.metadata.name.clone().unwrap_or_default()
        ),
    );
    line("Subject", subject(ticket));
    line(
        "Check",
        match &finding.requirement {
            Some(r) => format!("{} ({r}), policy {}", finding.check, finding.policy),
            None => format!("{}, policy {}", finding.check, finding.policy),
        },
    );
    line("Severity", severity.to_string());
    line("State", state(&status));
    line("Turn", turn(status.party, finding.layer.as_str()));
    line("Wrong", status.message.clone());
    line("Reasons", status.evidence.reasons.join(", "));
    if status.evidence.affected.total > 0 {
        line(
            "Affected",
            format!(
                "{} of {}: {}",
                status.evidence.affected.count,
                status.evidence.affected.total,
                status.evidence.affected.sample.join(", ")
            ),
        );
    }
    line("Fix", status.remediation.clone());
    if let Some(due) = status.episode.due_at {
        let late = if status.episode.breached_at.is_some() {
            " (passed)"
        } else {
            ""
        };
        line("Due", format!("{due}{late}"));
    }
    out.push_str(&format!("\n{}\n", ui::paint("Told", Colour::Bold, colours)));
    if status.alerts.is_empty() {
        out.push_str("  nobody yet\n");
    }
    for record in &status.alerts {
        let reason = record.reason.map(|r| r.to_string()).unwrap_or_default();
        out.push_str(&ui::clean(&format!(
            "  {}  {}: {} ({reason}, edge {}, telling {})",
            record.at, record.receiver, record.state, record.seq, record.n
        )));
        out.push('\n');
    }
    out.push_str(&format!(
        "\n{}\n",
        ui::paint("History", Colour::Bold, colours)
    ));
    for entry in &status.history {
        out.push_str(&ui::clean(&format!(
            "  {}  {} ({})",
            entry.at, entry.reason, entry.to
        )));
        out.push('\n');
    }
    out
}

fn subject(ticket: &Ticket) -> String {
    let subject = &ticket.spec.finding.subject;
    match &subject.namespace {
        Some(ns) => format!("{} in namespace {ns}", ticket.spec.finding.subject_ref),
        None => ticket.spec.finding.subject_ref.clone(),
    }
}

fn state(status: &patrol_api::ticket::TicketStatus) -> String {
    let since = |at: Option<patrol_api::time::Time>| {
        at.map(|at| format!(" since {at}")).unwrap_or_default()
    };
    match status.phase {
        Phase::Resolved => {
            let how = status
                .episode
                .resolution
                .map(|r| r.to_string())
                .unwrap_or_default();
            format!("Resolved ({how}){}", since(status.episode.resolved_at))
        }
        phase => {
            let again = if status.recurrences > 0 {
                format!(", came back {} times", status.recurrences)
            } else {
                String::new()
            };
            format!("{phase}{}{again}", since(status.episode.opened_at))
        }
    }
}

fn turn(party: Option<Party>, layer: &str) -> String {
    match party {
        Some(Party::Customer) => format!("the customer's (layer {layer})"),
        Some(Party::Platform) => format!("the platform's (layer {layer})"),
        Some(Party::Shared) => format!("shared: whoever introduced it (layer {layer})"),
        None => String::new(),
    }
}
