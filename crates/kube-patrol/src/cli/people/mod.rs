//! `ack`, `snooze`, `assign`, `recheck`: what people may do with a ticket. Each command says
//! what follows from it and until when. None closes a ticket: only the patrol does.

mod decide;
mod desk;

use std::path::PathBuf;

use patrol_api::time::Span;
use patrol_api::words::OverlayKind;

use super::ui;
use super::{Exit, Failure};
use decide::{Asked, Pausing, Until};
use desk::Desk;

/// Which tickets there are.
#[derive(clap::Args)]
struct Where {
    /// Namespace of the ticket, when the name alone is not enough or you may not look elsewhere
    #[arg(short, long)]
    namespace: Option<String>,
    /// State folder of local mode instead of the cluster
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// How long and why.
#[derive(clap::Args)]
struct Pause {
    /// Names of tickets, or the beginning of one
    #[arg(required = true, value_name = "TICKET")]
    tickets: Vec<String>,
    /// For how long
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "until")]
    span: Option<Span>,
    /// Until when: 2026-11-30T12:00:00+08:00, or without a zone in UTC: 2026-11-30, "2026-11-30 12:00"
    #[arg(long, value_name = "TIME")]
    until: Option<Until>,
    /// Why; it is kept in the ticket
    #[arg(long, value_name = "TEXT", required_unless_present = "clear")]
    reason: Option<String>,
    /// Take it back
    #[arg(long, conflicts_with_all = ["span", "until", "reason"])]
    clear: bool,
    #[command(flatten)]
    place: Where,
}

/// Acknowledge tickets: you know, and reminders pause for a while
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol ack sidecar-missing-3ilfflg5xlf4k32sybjbmdu2gd -n shop --reason \"fix is in review\"
  kube-patrol ack sidecar-missing --for 8h --reason \"release tonight\" --state deploy/examples/local/.kube-patrol
  kube-patrol ack sidecar-missing -n shop --clear

The longest time: critical 24h, high 72h, medium 7d, low 14d. Without --for and --until:
critical 8h, high 24h, medium 72h, low 7d. It ends early when the gap becomes worse, and
the due time counts on. There is no command that closes a ticket: mend the gap, and the
patrol resolves it; or have the risk taken with a TicketWaiver (`explain` shows one).")]
pub struct AckArgs {
    #[command(flatten)]
    pause: Pause,
}

/// Put tickets off for a while: not now
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol snooze sidecar-missing -n shop --for 4h --reason \"freeze until tonight\"
  kube-patrol snooze sidecar-missing -n shop --until 2026-12-01 --reason \"vendor delivers on Monday\"
  kube-patrol snooze sidecar-missing -n shop --clear

The longest time: critical 24h, high 72h, others 14d. Without --for and --until: critical
4h, high 12h, others 24h. It ends early when the gap becomes worse, and the due time
counts on. There is no command that closes a ticket: mend the gap, and the patrol
resolves it.")]
pub struct SnoozeArgs {
    #[command(flatten)]
    pause: Pause,
}

/// Say who works on a ticket
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol assign sidecar-missing -n shop ann
  kube-patrol assign sidecar-missing -n shop --none

Reminders go on: acknowledge the ticket to pause them.")]
pub struct AssignArgs {
    /// Name of the ticket, or the beginning of it
    ticket: String,
    /// Who: a person or a team, free text
    #[arg(required_unless_present = "none")]
    who: Option<String>,
    /// Nobody
    #[arg(long, conflicts_with = "who")]
    none: bool,
    #[command(flatten)]
    place: Where,
}

/// Ask for tickets' subjects to be inspected at once
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol recheck sidecar-missing -n shop

What changes is inspected within seconds anyway: this is for when you do not want to
believe it. A subject that passes is resolved as always, after `clearAfter`.")]
pub struct RecheckArgs {
    /// Names of tickets, or the beginning of one
    #[arg(required = true, value_name = "TICKET")]
    tickets: Vec<String>,
    #[command(flatten)]
    place: Where,
}

pub(super) fn ack(args: AckArgs) -> Result<Exit, Failure> {
    pause(OverlayKind::Acknowledged, args.pause)
}

pub(super) fn snooze(args: SnoozeArgs) -> Result<Exit, Failure> {
    pause(OverlayKind::Snoozed, args.pause)
}

fn pause(kind: OverlayKind, args: Pause) -> Result<Exit, Failure> {
    let asked = match args.reason {
        Some(reason) if !args.clear => Asked::Pause(Pausing {
            kind,
            until: args.until,
            span: args.span,
            reason,
        }),
        _ => Asked::Resume(kind),
    };
    carry_out(&args.tickets, &args.place, &asked)
}

pub(super) fn assign(args: AssignArgs) -> Result<Exit, Failure> {
    carry_out(
        &[args.ticket],
        &args.place,
        &Asked::Assign(args.who.filter(|_| !args.none)),
    )
}

pub(super) fn recheck(args: &RecheckArgs) -> Result<Exit, Failure> {
    let nonce = crate::local::store::random::hex()
        .map_err(|error| Failure::new(format!("nonce: {error}")))?;
    carry_out(&args.tickets, &args.place, &Asked::Recheck(nonce))
}

/// Decides about every ticket before the first is written.
fn carry_out(names: &[String], place: &Where, asked: &Asked) -> Result<Exit, Failure> {
    let desk = Desk::open(place.state.as_deref())?;
    let now = patrol_kube::boot_clock::wall();
    let mut tickets = vec![];
    for name in names {
        let ticket = desk.find(name, place.namespace.as_deref())?;
        decide::decide(&ticket, asked, desk.who(), now).map_err(Failure::new)?;
        tickets.push(ticket);
    }
    for ticket in tickets {
        let decided = desk.change(ticket, |ticket| {
            decide::decide(ticket, asked, desk.who(), now)
        })?;
        ui::print(&format!("{}\n", ui::clean(&decided.says)))?;
    }
    Ok(Exit::Clean)
}
