//! `explain TICKET`: why it is open, whose turn it is, who was told what, what comes next and
//! when, how to fix it, and how to have the risk taken instead.

mod known;
mod next;
mod waiver;

use std::path::PathBuf;

use patrol_api::condition;
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::Time;
use patrol_api::words::{Party, Phase};
use patrol_core::engine::Foresight;
use patrol_core::ticket::overlay::Waived;

use super::ui::{self, Colour, when};
use super::{Exit, Failure, Lang, find};
use known::Known;

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
    /// Its namespace, when the name alone is not enough or you may not look elsewhere
    #[arg(short, long)]
    namespace: Option<String>,
    /// State folder of local mode instead of the cluster
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

pub(super) fn run(args: &Args, lang: Lang) -> Result<Exit, Failure> {
    let namespace = args.namespace.as_deref();
    let (ticket, known) = match &args.state {
        Some(state) => {
            let ticket = find::ticket_in(state, &args.ticket, namespace)?;
            let known = Known::of_folder(state, &ticket);
            (ticket, known)
        }
        None => find::runtime()?.block_on(async {
            let connection = find::connect().await?;
            let ticket = find::ticket_of(&connection, &args.ticket, namespace).await?;
            let known = Known::of_cluster(&connection, &ticket).await;
            Ok::<_, Failure>((ticket, known))
        })?,
    };
    let now = patrol_kube::boot_clock::wall();
    let foresight = known.foresee(&ticket, now);
    let mut out = head(&ticket, foresight.muted.as_ref(), lang);
    out.push_str(&told(&ticket));
    out.push_str(&coming(&ticket, &known, &foresight, now));
    out.push_str(&history(&ticket));
    out.push_str(&to_waive(&ticket, now));
    ui::print(&out)
}

fn head(ticket: &Ticket, mute: Option<&Waived>, lang: Lang) -> String {
    let width = ui::width();
    let status = ticket.status.clone().unwrap_or_default();
    let finding = &ticket.spec.finding;
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        if !text.is_empty() {
            let text = ui::wrap(&ui::clean(&text), INDENT.len(), INDENT, width);
            out.push_str(&format!("{:<11}{text}\n", format!("{name}:")));
        }
    };
    line("Ticket", ui::ticket_name(ticket));
    line("Subject", subject(ticket));
    line(
        "Check",
        match &finding.requirement {
            Some(r) => format!("{} ({r}), policy {}", finding.check, finding.policy),
            None => format!("{}, policy {}", finding.check, finding.policy),
        },
    );
    line("Severity", ui::severity_of(ticket).to_string());
    line("State", state(&status));
    line("Overlay", overlay(ticket, &status));
    line("Muted", mute.map(muted).unwrap_or_default());
    line(
        "Turn",
        turn(
            status.party,
            finding.layer.as_str(),
            ticket.spec.assignee.as_deref(),
        ),
    );
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
    line("Seen", seen(&status));
    line("Fix", lang.remedy(&finding.check, &status.remediation));
    if let Some(due) = status.episode.due_at {
        let late = if status.episode.breached_at.is_some() {
            " (passed)"
        } else {
            ""
        };
        line("Due", format!("{due}{late}"));
    }
    out
}

fn title(name: &str) -> String {
    format!("\n{}\n", ui::paint(name, Colour::Bold, ui::colours()))
}

fn told(ticket: &Ticket) -> String {
    let alerts = ticket.status.as_ref().map_or(&[][..], |s| &s.alerts);
    let mut out = title("Told");
    if alerts.is_empty() {
        out.push_str("  nobody yet\n");
    }
    for record in alerts {
        let reason = record.reason.map(|r| r.to_string()).unwrap_or_default();
        let digest = if record.digest { ", by number" } else { "" };
        out.push_str(&ui::clean(&format!(
            "  {}  {}: {} ({reason}, edge {}, telling {}{digest})",
            record.at, record.receiver, record.state, record.seq, record.n
        )));
        out.push('\n');
    }
    out
}

fn coming(ticket: &Ticket, known: &Known, foresight: &Foresight, now: Time) -> String {
    let mut out = title("Next");
    let steps = next::steps(ticket, known, foresight, now);
    if steps.is_empty() {
        out.push_str("  nothing by itself\n");
    }
    for step in steps {
        let at = format!("{:<20}", step.when.text(now));
        out.push_str(&ui::clean(&format!("  {at}  {}", step.what)));
        out.push('\n');
    }
    for gap in &known.gaps {
        out.push_str(&ui::clean(&format!("  {gap}")));
        out.push('\n');
    }
    out
}

fn history(ticket: &Ticket) -> String {
    let entries = ticket.status.as_ref().map_or(&[][..], |s| &s.history);
    let mut out = title("History");
    for entry in entries {
        let actor = match entry.actor.as_str() {
            "" | "kube-patrol" => String::new(),
            other => format!(" by {other}"),
        };
        out.push_str(&ui::clean(&format!(
            "  {}  {} ({}){actor}",
            entry.at, entry.reason, entry.to
        )));
        out.push('\n');
    }
    out
}

fn to_waive(ticket: &Ticket, now: Time) -> String {
    let phase = ticket.status.as_ref().map_or(Phase::Open, |s| s.phase);
    if matches!(phase, Phase::Resolved | Phase::Waived) {
        return String::new();
    }
    let mut out = title("To take the risk instead: say why, who and until when, then apply this");
    for line in waiver::yaml(ticket, now).lines() {
        out.push_str(&format!("  {}\n", ui::clean(line)));
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

fn state(status: &TicketStatus) -> String {
    let since = |at: Option<Time>| at.map(|at| format!(" since {at}")).unwrap_or_default();
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
            let again = match status.recurrences {
                0 => String::new(),
                1 => ", came back once".to_owned(),
                n => format!(", came back {n} times"),
            };
            let flapping = if status.flapping {
                ", comes and goes"
            } else {
                ""
            };
            let opened = since(status.episode.opened_at);
            format!("{phase}, open{opened}{again}{flapping}").replace("Open, open", "Open")
        }
    }
}

/// What people laid over it; and what they asked for and is not taken in yet.
fn overlay(ticket: &Ticket, status: &TicketStatus) -> String {
    let mut parts = vec![];
    if let Some(overlay) = &status.overlay {
        let by = overlay
            .by
            .as_ref()
            .map_or(String::new(), |by| format!(" by {by}"));
        let waiver = overlay
            .waiver
            .as_ref()
            .map_or(String::new(), |name| format!(" (TicketWaiver {name})"));
        parts.push(format!(
            "{} until {}{by}{waiver}: {}",
            overlay.kind,
            when(overlay.until),
            overlay.reason
        ));
    }
    let taken_in = status.observed_generation >= ticket.metadata.generation;
    for (word, pause) in [
        ("acknowledgement", &ticket.spec.acknowledge),
        ("snooze", &ticket.spec.snooze),
    ] {
        if let Some(pause) = pause.as_ref().filter(|_| !taken_in) {
            let by = pause
                .by
                .as_ref()
                .map_or(String::new(), |by| format!(" by {by}"));
            parts.push(format!(
                "{word} until {}{by} asked for: {}",
                when(pause.until),
                pause.reason
            ));
        }
    }
    parts.join("; ")
}

/// Who hears nothing of it for now, and because of whom.
fn muted(mute: &Waived) -> String {
    format!(
        "until {} by {} (TicketWaiver {}): {}; only deadlines that pass and its end are told",
        when(mute.until),
        mute.owner,
        mute.waiver,
        mute.reason
    )
}

/// When it was last looked at, or why it cannot be.
fn seen(status: &TicketStatus) -> String {
    let blind = condition::get(&status.conditions, "Verified").filter(|c| c.status != "True");
    if let Some(blind) = blind.filter(|_| status.phase != Phase::Resolved) {
        return format!(
            "cannot be seen now: {}: {}; nothing is resolved until it can",
            blind.reason, blind.message
        );
    }
    status
        .evidence
        .verdict_at
        .map(|at| format!("last at {at}"))
        .unwrap_or_default()
}

fn turn(party: Option<Party>, layer: &str, assignee: Option<&str>) -> String {
    let whose = match party {
        Some(Party::Customer) => format!("the customer's (layer {layer})"),
        Some(Party::Platform) => format!("the platform's (layer {layer})"),
        Some(Party::Shared) => format!("shared: whoever introduced it (layer {layer})"),
        None => String::new(),
    };
    match assignee {
        Some(who) => format!("{whose}, assigned to {who}"),
        None => whose,
    }
}
