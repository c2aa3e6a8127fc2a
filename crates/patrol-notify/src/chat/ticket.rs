//! One ticket in words: what is wrong, where, since when, whose turn it is, how to fix it, which command shows more.

use patrol_api::words::{AlertReason, OverlayKind, Resolution, ToldState};
use patrol_core::notice::NoticeTicket;
use patrol_core::ticket::text::cut;

use super::words::{Words, mark};
use super::{Block, Line, Span, command, when};
use crate::kinds::Style;
use crate::render::reference;
use patrol_api::time::Time;

/// How much of each text is said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Characters of a sentence; 0 leaves it out.
    prose: usize,
    /// Characters of a name.
    name: usize,
}

/// From all that is read on a phone down to what identifies: the command shows the rest.
pub(super) const SCALES: [Scale; 5] = [
    Scale {
        prose: 400,
        name: 253,
    },
    Scale {
        prose: 160,
        name: 253,
    },
    Scale {
        prose: 60,
        name: 120,
    },
    Scale { prose: 0, name: 60 },
    Scale { prose: 0, name: 16 },
];

/// What is the same for all tickets of one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) style: Style,
    pub(super) at: Time,
    /// The message is a small one: what surrounds the tickets is said in few words.
    pub(super) small: bool,
    /// How to fix is said once for all.
    pub(super) shared_fix: bool,
}

/// A line with a label before it.
pub(super) fn labelled(words: Words, label: &str, text: impl Into<String>) -> Line {
    vec![
        Span::Strong(label.to_owned()),
        // Outside: many renderers end no emphasis between a punctuation mark and a letter.
        Span::Text(format!("{}{}", words.colon(), text.into())),
    ]
}

/// The ticket, said at a scale.
pub(super) fn block(ticket: &NoticeTicket, context: Context, scale: Scale) -> Block {
    let words = Words(context.style.locale);
    let mut lines = vec![
        headline(ticket, context, scale),
        vec![Span::Text(news(ticket, words))],
    ];
    lines.push(labelled(
        words,
        words.place(),
        place(ticket, context, scale),
    ));
    if !context.style.minimal && scale.prose > 0 && !ticket.message.is_empty() {
        let label = match ticket.state {
            ToldState::Firing => words.what(),
            ToldState::Closed => words.was(),
        };
        lines.push(labelled(words, label, cut(&ticket.message, scale.prose)));
    }
    lines.push(time(ticket, context));
    if ticket.state == ToldState::Firing {
        lines.extend(deadline(ticket, context));
        lines.push(turn(ticket, context, scale));
    }
    lines.extend(overlay(ticket, context, scale));
    if ticket.state == ToldState::Firing && !context.shared_fix {
        lines.extend(fix(ticket, context, scale));
    }
    lines.push(vec![
        Span::Strong(words.more().to_owned()),
        Span::Text(words.colon().to_owned()),
        Span::Code(command::explain(ticket)),
    ]);
    Block { lines }
}

fn headline(ticket: &NoticeTicket, context: Context, scale: Scale) -> Line {
    let words = Words(context.style.locale);
    let name = if context.style.minimal || ticket.title.is_empty() || scale.prose == 0 {
        cut(&ticket.check, scale.name)
    } else {
        cut(&ticket.title, scale.prose)
    };
    let (sign, state) = match ticket.state {
        ToldState::Firing => (mark(ticket.severity), words.severity(ticket.severity)),
        ToldState::Closed => ("✅", ended(ticket, words)),
    };
    vec![Span::Strong(format!("{sign} {state} · {name}"))]
}

/// The word for how it ended, which is only «fixed» when that was seen.
pub(super) fn ended(ticket: &NoticeTicket, words: Words) -> &'static str {
    match ticket.resolution {
        Some(Resolution::Fixed) => words.fixed(),
        Some(Resolution::Waived) => words.waived(),
        None if ticket.reason == AlertReason::Waived => words.waived(),
        None
        | Some(
            Resolution::SubjectGone
            | Resolution::NoLivePods
            | Resolution::PolicyRemoved
            | Resolution::OutOfScope
            | Resolution::CheckDisabled,
        ) => words.closed(),
    }
}

/// Why it is told now, and its past.
fn news(ticket: &NoticeTicket, words: Words) -> String {
    let plain = ticket.state == ToldState::Closed
        && matches!(ticket.reason, AlertReason::Resolved | AlertReason::Waived);
    let mut said: Vec<String> = vec![];
    match ticket
        .resolution
        .filter(|_| ticket.state == ToldState::Closed)
    {
        Some(resolution) if plain => said.push(words.resolution(resolution).to_owned()),
        Some(resolution) => {
            said.push(words.reason(ticket.reason).to_owned());
            said.push(words.resolution(resolution).to_owned());
        }
        // The step says it.
        None if ticket.reason == AlertReason::Escalated && ticket.level > 0 => {}
        None => said.push(words.reason(ticket.reason).to_owned()),
    }
    if ticket.level > 0 {
        said.push(words.step(ticket.level));
    }
    if ticket.recurrences > 0 {
        said.push(words.recurrences(ticket.recurrences));
    }
    if ticket.flapping {
        said.push(words.flapping().to_owned());
    }
    said.join(" · ")
}

fn place(ticket: &NoticeTicket, context: Context, scale: Scale) -> String {
    let words = Words(context.style.locale);
    let mut said: Vec<String> = ticket
        .subject
        .namespace
        .iter()
        .map(|n| cut(n, scale.name))
        .collect();
    said.push(subject(ticket, context.style, scale));
    if ticket.affected > 1 {
        said.push(words.affected(ticket.affected));
    }
    said.join(" · ")
}

/// `Deployment/web`; the kind alone for whom names are none of their business.
fn subject(ticket: &NoticeTicket, style: Style, scale: Scale) -> String {
    if style.minimal {
        cut(&ticket.subject.kind, scale.name)
    } else {
        let kind = cut(&ticket.subject.kind, scale.name);
        format!("{kind}/{}", cut(&ticket.subject.name, scale.name))
    }
}

/// The subject in a headline, where it is short.
pub(super) fn short_subject(ticket: &NoticeTicket, style: Style) -> String {
    subject(ticket, style, Scale { prose: 0, name: 40 })
}

fn time(ticket: &NoticeTicket, context: Context) -> Line {
    let words = Words(context.style.locale);
    let began = when::stamp(ticket.opened_at);
    let end = ticket.resolved_at.unwrap_or(context.at);
    let length = when::length(end.since(ticket.opened_at), context.style.locale);
    let open = ticket.resolved_at.is_none() || ticket.state == ToldState::Firing;
    if open {
        return labelled(
            words,
            words.since(),
            format!("{began} · {}", words.ago(&length)),
        );
    }
    labelled(
        words,
        words.lasted(),
        format!("{length} · {began} – {}", when::stamp(end)),
    )
}

fn deadline(ticket: &NoticeTicket, context: Context) -> Option<Line> {
    let words = Words(context.style.locale);
    let due = ticket.due_at?;
    let locale = context.style.locale;
    let distance = if context.at >= due {
        words.overdue(&when::length(context.at.since(due), locale))
    } else {
        words.ahead(&when::length(due.since(context.at), locale))
    };
    Some(labelled(
        words,
        words.due(),
        format!("{} · {distance}", when::stamp(due)),
    ))
}

fn turn(ticket: &NoticeTicket, context: Context, scale: Scale) -> Line {
    let words = Words(context.style.locale);
    let mut said = words.party(ticket.party).to_owned();
    if !context.style.minimal {
        let who = ticket
            .assignee
            .as_ref()
            .map_or_else(|| words.nobody().to_owned(), |a| cut(a, scale.name.min(64)));
        said = format!("{said} · {who}");
    }
    labelled(words, words.turn(), said)
}

fn overlay(ticket: &NoticeTicket, context: Context, scale: Scale) -> Option<Line> {
    let overlay = ticket.overlay.as_ref()?;
    let words = Words(context.style.locale);
    let by = match overlay.kind {
        OverlayKind::Waived => overlay.waiver.as_ref().or(overlay.by.as_ref()),
        _ => overlay.by.as_ref(),
    };
    let by = by
        .filter(|_| !context.style.minimal)
        .map(|by| cut(by, scale.name.min(120)));
    let until = when::stamp(overlay.until);
    Some(vec![Span::Text(words.overlay(
        overlay.kind,
        by.as_deref(),
        &until,
    ))])
}

/// How to fix it, with a link to the check's page.
pub(super) fn fix(ticket: &NoticeTicket, context: Context, scale: Scale) -> Option<Line> {
    let words = Words(context.style.locale);
    let guide = Span::Link {
        label: words.guide().to_owned(),
        url: page(&ticket.check),
    };
    let label = Span::Strong(words.fix().to_owned());
    let colon = words.colon();
    if context.style.minimal {
        return Some(vec![label, Span::Text(colon.to_owned()), guide]);
    }
    if scale.prose == 0 || ticket.remediation.is_empty() {
        return None;
    }
    let text = format!("{colon}{} ", cut(&ticket.remediation, scale.prose));
    Some(vec![label, Span::Text(text), guide])
}

/// The address of a check's page: of the id only what ids are made of.
fn page(check: &str) -> String {
    let id: String = check
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(64)
        .collect();
    reference(&id)
}
