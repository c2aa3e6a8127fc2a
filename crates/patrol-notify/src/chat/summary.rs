//! What is said about a message as a whole: its headline, its counts, and what it does not list.

use std::collections::BTreeMap;

use patrol_api::receiver::Locale;
use patrol_api::words::{AlertReason, Severity, ToldState};
use patrol_core::notice::{Notice, NoticeKind, NoticeTicket};
use patrol_core::ticket::text::cut;

use super::ticket::{self, Context, SCALES, labelled};
use super::words::{Words, mark};
use super::{Block, Line, Span, Tone, command, plain, when};

/// Characters of a headline: what Slack takes, less the room for a keyword's and a part's marks.
const TITLE: usize = 140;
/// Bytes of what is between those marks, so that the rest has room in the smallest of messages.
const TITLE_BYTES: usize = 280;
/// Characters of a name in it.
const NAME: usize = 40;

/// The worst that fires, if anything does.
fn worst(notice: &Notice) -> Option<Severity> {
    let firing = notice
        .tickets
        .iter()
        .filter(|t| t.state == ToldState::Firing);
    firing.map(|t| t.severity).max()
}

/// How the message looks at first glance.
pub(super) fn tone(notice: &Notice) -> Tone {
    match (worst(notice), notice.tickets.is_empty()) {
        (Some(severity), _) => Tone::Alarm(severity),
        (None, false) => Tone::Closed,
        (None, true) => Tone::Calm,
    }
}

/// The headline: keyword, how bad, what, where, how many, which cluster, which part.
pub(super) fn title(
    notice: &Notice,
    context: Context,
    keyword: Option<&str>,
    (part, parts): (usize, usize),
) -> String {
    let words = Words(context.style.locale);
    let mut said = match notice.kind {
        NoticeKind::Heartbeat => vec![format!("💚 {}", words.alive())],
        NoticeKind::Test => vec![format!("🔔 {}", words.test())],
        NoticeKind::Digest => vec![sign(notice, words), words.digest().to_owned()],
        NoticeKind::Alert if notice.gone.is_some() => vec![format!("✅ {}", words.closed())],
        NoticeKind::Alert => vec![sign(notice, words)],
    };
    if !notice.tickets.is_empty() {
        said.extend(subject(notice, context));
    }
    // A name says something in a headline; an id only below, where there is room.
    if !notice.cluster.name.is_empty() {
        said.extend(cluster(notice, NAME));
    }
    let keyword = keyword.map(|k| cut(k, 64)).filter(|k| !k.is_empty());
    let before = keyword.map(|k| format!("{k} ")).unwrap_or_default();
    let after = if parts > 1 {
        format!(" {}", words.part(part, parts))
    } else {
        String::new()
    };
    let room = TITLE.saturating_sub(before.chars().count() + after.chars().count());
    // The keyword stays as it is: the robot compares it.
    format!("{before}{}{after}", plain(&fitted(&said.join(" · "), room)))
}

/// At most so many characters, and at most [`TITLE_BYTES`].
fn fitted(text: &str, most: usize) -> String {
    let mut bytes = 0;
    let fitting = text
        .chars()
        .take_while(|c| {
            bytes += c.len_utf8();
            bytes <= TITLE_BYTES
        })
        .count();
    cut(text, most.min(fitting))
}

fn sign(notice: &Notice, words: Words) -> String {
    if let Some(severity) = worst(notice) {
        return format!("{} {}", mark(severity), words.severity(severity));
    }
    let mut ends: Vec<&str> = notice
        .tickets
        .iter()
        .map(|t| ticket::ended(t, words))
        .collect();
    ends.dedup();
    match ends.as_slice() {
        [one] => format!("✅ {one}"),
        _ => format!("✅ {}", words.closed()),
    }
}

/// What and where, or how many.
fn subject(notice: &Notice, context: Context) -> Vec<String> {
    let words = Words(context.style.locale);
    let mut said = vec![];
    if reason_says_more(notice) {
        said.push(words.reason(notice.reason).to_owned());
    }
    let same = common(notice, |t| &t.check);
    said.push(same.map_or_else(|| cut(&notice.policy, NAME), |check| cut(check, NAME)));
    match notice.tickets.as_slice() {
        [one] => {
            said.extend(one.subject.namespace.iter().map(|n| cut(n, NAME)));
            said.push(ticket::short_subject(one, context.style));
        }
        many => {
            let closed = many.iter().filter(|t| t.state == ToldState::Closed).count();
            said.push(how_many(words, many.len() - closed, closed));
        }
    }
    said
}

fn how_many(words: Words, firing: usize, closed: usize) -> String {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut said = vec![];
    if firing > 0 {
        said.push(words.firing(number(firing)));
    }
    if closed > 0 {
        said.push(words.ended(number(closed)));
    }
    said.join(words.comma())
}

fn reason_says_more(notice: &Notice) -> bool {
    !matches!(
        notice.reason,
        AlertReason::Mixed | AlertReason::Resolved | AlertReason::Waived
    )
}

/// What all tickets have in common.
fn common<'a>(notice: &'a Notice, of: impl Fn(&'a NoticeTicket) -> &'a str) -> Option<&'a str> {
    let (first, rest) = notice.tickets.split_first()?;
    rest.iter().all(|t| of(t) == of(first)).then(|| of(first))
}

/// The cluster's name, else its id.
fn cluster(notice: &Notice, most: usize) -> Option<String> {
    let names = [&notice.cluster.name, &notice.cluster.id];
    names
        .into_iter()
        .find(|n| !n.is_empty())
        .map(|n| cut(n, most))
}

/// Whether all firing tickets are fixed in the same way, which is then said once.
pub(super) fn shares_fix(notice: &Notice) -> bool {
    let mut firing = notice
        .tickets
        .iter()
        .filter(|t| t.state == ToldState::Firing);
    let Some(first) = firing.next() else {
        return false;
    };
    let mut more = firing.peekable();
    more.peek().is_some()
        && more.all(|t| (&t.check, &t.remediation) == (&first.check, &first.remediation))
}

/// How many tickets are gone with their objects, in a sentence.
pub(crate) fn gone(notice: &Notice, locale: Locale) -> Option<String> {
    let gone = notice.gone?;
    let policy = cut(&notice.policy, NAME);
    Some(Words(locale).gone(gone.count, &policy, &when::stamp(gone.since)))
}

/// What stands above the tickets: a single one speaks for itself.
pub(super) fn head(notice: &Notice, context: Context) -> Option<Block> {
    let words = Words(context.style.locale);
    let mut lines = vec![];
    match notice.kind {
        NoticeKind::Heartbeat => {
            lines.push(vec![Span::Text(words.alive_text().to_owned())]);
            lines.push(vec![
                Span::Text(format!("{}{}", words.alive_else(), words.colon())),
                Span::Code("kubectl patrol doctor".to_owned()),
            ]);
        }
        NoticeKind::Test => lines.push(vec![Span::Text(words.test_text().to_owned())]),
        NoticeKind::Alert | NoticeKind::Digest => {
            if notice.tickets.len() > 1 {
                lines.push(vec![Span::Strong(counted(notice, words))]);
                let all: Vec<&NoticeTicket> = notice.tickets.iter().collect();
                lines.extend(by_severity(words, &all));
            }
            let gone = gone(notice, context.style.locale);
            lines.extend(gone.map(|text| vec![Span::Text(text)]));
            if notice.tickets.iter().any(|t| t.failover) {
                lines.push(vec![Span::Text(words.failover().to_owned())]);
            }
            lines.extend(shared_fix(notice, context));
        }
    }
    (!lines.is_empty()).then_some(Block { lines })
}

/// What stands at the end: where the message comes from, and when it was put together.
pub(super) fn foot(notice: &Notice, context: Context) -> Block {
    let words = Words(context.style.locale);
    let most = if context.small { NAME / 2 } else { NAME };
    let probe = (notice.kind == NoticeKind::Test).then(|| cut(&notice.receiver, NAME));
    let said = [
        (words.cluster(), cluster(notice, most)),
        (words.policy(), named(&notice.policy, most)),
        (words.receiver(), probe),
        (words.sent(), Some(when::stamp(notice.at))),
    ];
    let line =
        |(label, text): (&str, Option<String>)| text.map(|text| labelled(words, label, text));
    Block {
        lines: said.into_iter().filter_map(line).collect(),
    }
}

fn named(name: &str, most: usize) -> Option<String> {
    Some(cut(name, most)).filter(|n| !n.is_empty())
}

fn counted(notice: &Notice, words: Words) -> String {
    let counts = &notice.counts;
    let said = [
        (counts.firing, words.firing(counts.firing)),
        (counts.new, words.opened(counts.new)),
        (counts.overdue, words.late(counts.overdue)),
        (counts.acknowledged, words.taken(counts.acknowledged)),
        (counts.closed, words.ended(counts.closed)),
        (counts.waived, words.put_aside(counts.waived)),
    ];
    let said: Vec<String> = said
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(_, s)| s)
        .collect();
    said.join(words.comma())
}

/// `Critical 1 · High 2`, of what fires.
fn by_severity(words: Words, tickets: &[&NoticeTicket]) -> Option<Line> {
    let mut counts: BTreeMap<Severity, usize> = BTreeMap::new();
    for ticket in tickets.iter().filter(|t| t.state == ToldState::Firing) {
        *counts.entry(ticket.severity).or_default() += 1;
    }
    if counts.is_empty() {
        return None;
    }
    let said: Vec<String> = counts
        .iter()
        .rev()
        .map(|(s, n)| words.of_severity(*s, *n))
        .collect();
    Some(vec![Span::Text(said.join(" · "))])
}

fn shared_fix(notice: &Notice, context: Context) -> Option<Line> {
    let first = notice
        .tickets
        .iter()
        .find(|t| t.state == ToldState::Firing)?;
    let [_, usual, short, ..] = SCALES;
    let scale = if context.small { short } else { usual };
    context
        .shared_fix
        .then(|| ticket::fix(first, context, scale))?
}

/// What stands below the tickets: those that are told by number, and the command that lists them.
pub(super) fn rest(notice: &Notice, context: Context, covered: &[&NoticeTicket]) -> Option<Block> {
    if covered.is_empty() {
        return None;
    }
    let words = Words(context.style.locale);
    let mut lines = vec![vec![Span::Strong(words.not_listed(covered.len()))]];
    lines.extend(by_severity(words, covered));
    lines.push(vec![
        Span::Strong(words.all_of_them().to_owned()),
        Span::Text(words.colon().to_owned()),
        Span::Code(command::list(notice, covered)),
    ]);
    Some(Block { lines })
}
