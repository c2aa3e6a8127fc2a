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
use unicode_width::UnicodeWidthStr;

use crate::cli::ui::{self, Colour, paint, severity_colour};

/// What is said of a ticket beyond its first line begins here.
const INDENT: &str = "            ";

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
    let width = ui::width();
    let tickets = notice.tickets.iter();
    let text: String = tickets.map(|t| lines(t, colours, width)).collect();
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What happened to whom, and how to fix it while it lasts.
fn lines(ticket: &NoticeTicket, colours: bool, width: Option<usize>) -> String {
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
    let check = ui::clean(&ticket.check);
    let mut rest = ui::clean(&format!("{place}{}", ticket.subject_ref));
    // What was wrong is wrong no more.
    if is_firing {
        rest.push_str(": ");
        rest.push_str(&ui::clean(&ticket.message));
    }
    let used = INDENT.len() + 9 + check.width() + 1;
    let mut out = format!(
        "{} {} {} {}\n",
        paint(&format!("{word:<11}"), colour, colours),
        paint(&format!("{:<8}", ticket.severity.as_str()), colour, colours),
        paint(&check, Colour::Bold, colours),
        ui::wrap(&rest, used, INDENT, width),
    );
    let mut detail = |text: String| {
        let text = ui::wrap(&ui::clean(&text), INDENT.len(), INDENT, width);
        // Painted line by line, so that no colour runs over the indentation.
        let lines: Vec<String> = text
            .split('\n')
            .map(|line| paint(line, Colour::Dim, colours))
            .collect();
        out.push_str(&format!("{INDENT}{}\n", lines.join("\n")));
    };
    if is_firing && !ticket.remediation.is_empty() {
        detail(format!("fix: {}", ticket.remediation));
    }
    detail(format!("ticket {}/{}", ticket.namespace, ticket.name));
    out
}
