//! Sentences of the kinds that speak to programs first: one line for whoever looks at such a program's screen.

use std::borrow::Cow;

use patrol_api::receiver::Locale;
use patrol_api::words::{Severity, ToldState};
use patrol_core::notice::{Notice, NoticeKind, NoticeTicket};

use crate::text::clean;

/// The cluster as people know it: its name, else its id, of which something must be left to be seen.
pub(super) fn cluster(notice: &Notice) -> String {
    [&notice.cluster.name, &notice.cluster.id]
        .into_iter()
        .map(|name| clean(name))
        .find(|name| !name.is_empty())
        .map_or_else(|| "kube-patrol".to_owned(), Cow::into_owned)
}

/// A sign of life or a probe.
pub(super) fn sign(notice: &Notice, locale: Locale) -> String {
    let cluster = cluster(notice);
    match (notice.kind == NoticeKind::Heartbeat, locale) {
        (true, Locale::En) => format!("kube-patrol of {cluster} is alive"),
        (true, Locale::ZhCn) => format!("{cluster} 的 kube-patrol 运行正常"),
        (false, Locale::En) => format!("A test message of kube-patrol of {cluster}"),
        (false, Locale::ZhCn) => format!("{cluster} 的 kube-patrol 测试消息"),
    }
}

/// What a group is about.
pub(super) fn topic(notice: &Notice) -> String {
    let values: Vec<String> = notice
        .group
        .labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(_, value)| clean(value).into_owned())
        .collect();
    match values.is_empty() {
        true => clean(&notice.policy).into_owned(),
        false => format!("{} {}", clean(&notice.policy), values.join(" ")),
    }
}

/// A group in one line: how much is open, and the first of what is told.
pub(super) fn group(
    notice: &Notice,
    standing: u32,
    first: Option<&NoticeTicket>,
    style: super::Style,
) -> String {
    let severity = severity(notice);
    let topic = topic(notice);
    let cluster = cluster(notice);
    let mut line = match style.locale {
        Locale::En => format!("[{severity}] {cluster}: {standing} open: {topic}"),
        Locale::ZhCn => {
            let severity = chinese(severity);
            format!("[{severity}] {cluster}：{standing} 个未解决：{topic}")
        }
    };
    if let Some(first) = first {
        line.push_str(" - ");
        line.push_str(&one(first, style));
    }
    line
}

const fn chinese(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "严重",
        Severity::High => "高危",
        Severity::Medium => "中危",
        Severity::Low => "低危",
        Severity::Info => "提示",
    }
}

/// The highest severity that is told as firing.
pub(super) fn severity(notice: &Notice) -> Severity {
    notice
        .tickets
        .iter()
        .filter(|ticket| ticket.state == ToldState::Firing)
        .map(|ticket| ticket.severity)
        .max()
        .unwrap_or(Severity::Info)
}

/// A ticket in one line: what is wrong, and where.
pub(super) fn one(ticket: &NoticeTicket, style: super::Style) -> String {
    if style.minimal {
        let (check, namespace, name) = (&ticket.check, &ticket.namespace, &ticket.name);
        let line = match style.locale {
            Locale::En => format!("{check}: ticket {namespace}/{name}"),
            Locale::ZhCn => format!("{check}：工单 {namespace}/{name}"),
        };
        return clean(&line).into_owned();
    }
    let title = match ticket.title.as_str() {
        "" => &ticket.check,
        title => title,
    };
    let colon = match style.locale {
        Locale::En => ": ",
        Locale::ZhCn => "：",
    };
    format!("{}{colon}{}", clean(title), clean(&place(ticket)))
}

/// Where a ticket's subject is.
pub(super) fn place(ticket: &NoticeTicket) -> String {
    match &ticket.subject.namespace {
        Some(namespace) => format!("{namespace}/{}", ticket.subject_ref),
        None => ticket.subject_ref.clone(),
    }
}

/// At most so many characters, with a mark where something is missing.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}
