//! The terminal as a receiver: a policy that names none is told here, so that the same
//! obligations, repeats and ledger hold as for any other receiver.

use std::io::{self, Write};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use patrol_api::policy::{PatrolPolicy, Route};
use patrol_api::receiver::{AlertReceiver, AlertReceiverSpec, WebhookSpec};
use patrol_api::time::Span;
use patrol_api::words::ToldState;
use patrol_core::fingerprint::derived_uid;
use patrol_core::notice::{Notice, NoticeTicket};

use crate::cli::ui::{self, Colour, paint, severity_colour};

/// Name of the receiver; a manifest of this name is not taken.
pub const NAME: &str = "kube-patrol-terminal";

/// The receiver. Its address is never used: the courier prints instead.
#[must_use]
pub fn receiver() -> AlertReceiver {
    AlertReceiver {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            uid: Some(derived_uid("AlertReceiver", "", NAME)),
            ..ObjectMeta::default()
        },
        spec: AlertReceiverSpec {
            webhook: Some(WebhookSpec {
                url: Some("https://terminal.invalid/".to_owned()),
                ..WebhookSpec::default()
            }),
            send_resolved: true,
            ..AlertReceiverSpec::default()
        },
        status: None,
    }
}

/// Sends a policy that tells nobody here.
pub fn tell_somebody(policy: &mut PatrolPolicy) {
    let alerts = &mut policy.spec.alerts;
    if alerts.webhook.is_none() && alerts.receivers.is_empty() {
        alerts.receivers.push(Route {
            name: NAME.to_owned(),
            ..Route::default()
        });
        // Lines on a terminal need no bundling.
        alerts.group_wait = Span::ZERO;
        alerts.group_interval = Span::seconds(1);
    }
}

/// Prints a notice on stdout.
///
/// # Errors
/// When stdout is closed; the notice is then due again.
pub fn print(notice: &Notice) -> io::Result<()> {
    let colours = ui::colours();
    let text: String = notice.tickets.iter().map(|t| lines(t, colours)).collect();
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Two lines a ticket: what happened to whom, and how to fix it while it lasts.
fn lines(ticket: &NoticeTicket, colours: bool) -> String {
    let is_firing = ticket.state == ToldState::Firing;
    let (word, colour) = if is_firing {
        (
            format!("{}", ticket.reason),
            severity_colour(ticket.severity),
        )
    } else {
        let how = ticket.resolution.map_or("Resolved", |r| r.as_str());
        (how.to_owned(), Colour::Green)
    };
    let place = ticket
        .subject
        .namespace
        .as_deref()
        .map_or(String::new(), |n| format!("{n}/"));
    let head = format!(
        "{} {} {} {}{}",
        paint(&format!("{word:<11}"), colour, colours),
        paint(&format!("{:<8}", ticket.severity.as_str()), colour, colours),
        paint(&ui::clean(&ticket.check), Colour::Bold, colours),
        ui::clean(&place),
        ui::clean(&ticket.subject_ref),
    );
    let dim = |text: &str| paint(&ui::clean(text), Colour::Dim, colours);
    // What was wrong is wrong no more.
    let mut out = match is_firing {
        true => format!("{head}: {}\n", ui::clean(&ticket.message)),
        false => format!("{head}\n"),
    };
    if is_firing && !ticket.remediation.is_empty() {
        out.push_str(&format!("            fix: {}\n", dim(&ticket.remediation)));
    }
    out.push_str(&format!(
        "            {}\n",
        dim(&format!("ticket {}/{}", ticket.namespace, ticket.name))
    ));
    out
}
