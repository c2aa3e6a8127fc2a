//! A notice made of choices and texts, within what the schema lets names and texts be.

use patrol_api::ticket::{Overlay, Subject};
use patrol_api::time::Time;
use patrol_api::words::{
    AlertReason, Layer, OverlayKind, Party, Phase, Resolution, Severity, ToldState,
};
use patrol_core::notice::{Alarm, Cluster, Counts, Gone, Group, Notice, NoticeKind, NoticeTicket};

use crate::feed::Feed;

/// 2027-01-15T08:00:00Z.
const NOW: i64 = 1_800_000_000;
const TITLE: usize = 160;
const SENTENCE: usize = 1024;
const NAME: usize = 253;
const LABEL: usize = 63;

/// Texts in turn, each as long as where it goes lets it be.
struct Texts<'a> {
    all: &'a [String],
    next: usize,
}

impl Texts<'_> {
    fn take(&mut self, most: usize) -> String {
        let Some(text) = self.all.get(self.next % self.all.len().max(1)) else {
            return "web".to_owned();
        };
        self.next += 1;
        text.chars().take(most).collect()
    }

    fn maybe(&mut self, wanted: bool, most: usize) -> Option<String> {
        wanted.then(|| self.take(most))
    }
}

pub(super) fn choose(feed: &mut Feed<'_>, texts: &[String]) -> Notice {
    let mut texts = Texts {
        all: texts,
        next: 0,
    };
    let kind = *feed.pick(&[
        NoticeKind::Alert,
        NoticeKind::Alert,
        NoticeKind::Digest,
        NoticeKind::Heartbeat,
        NoticeKind::Test,
    ]);
    let many = match (kind, feed.byte()) {
        (NoticeKind::Heartbeat | NoticeKind::Test, _) => 0,
        // Mostly few, at times more than any message holds.
        (_, byte @ 0..=239) => usize::from(byte % 5),
        (_, byte) => usize::from(byte - 235) * 5,
    };
    let mut tickets: Vec<NoticeTicket> = (0..many)
        .map(|number| ticket(feed, &mut texts, number))
        .collect();
    tickets.sort_by_key(|ticket| std::cmp::Reverse(ticket.severity));
    let names = ["check", "namespace", "severity", "party"];
    let labels = (0..feed.upto(3))
        .map(|_| ((*feed.pick(&names)).to_owned(), texts.take(NAME)))
        .collect();
    Notice {
        kind,
        at: Time::from_unix(NOW),
        cluster: Cluster {
            id: texts.take(NAME),
            name: texts.take(NAME),
        },
        receiver: texts.take(NAME),
        policy: texts.take(NAME),
        reason: *feed.pick(AlertReason::ALL),
        next_within: None,
        group: Group {
            key: texts.take(2 * NAME),
            labels,
        },
        standing: *feed.pick(&[0, 1, 2, 1001]),
        numbered: *feed.pick(&[0, 1, 70_000]),
        counts: counted(&tickets),
        incident: u64::from(feed.byte() & 7),
        begins_incident: feed.flag(),
        acknowledges: feed.flag(),
        gone: (tickets.is_empty() && feed.flag()).then(|| Gone {
            count: u64::from(feed.byte()),
            since: Time::from_unix(NOW),
        }),
        others: tickets.iter().take(feed.upto(3)).cloned().collect(),
        tickets,
    }
}

fn ticket(feed: &mut Feed<'_>, texts: &mut Texts<'_>, number: usize) -> NoticeTicket {
    let opened = NOW - i64::from(u16::from_be_bytes(feed.bytes())) * 60;
    let [what, people, state] = feed.bytes::<3>();
    let bit = |byte: u8, bit: u8| byte >> bit & 1 == 1;
    let state = if state % 3 == 0 {
        ToldState::Closed
    } else {
        ToldState::Firing
    };
    let later = |wanted: bool, minutes: i64| wanted.then(|| Time::from_unix(opened + minutes * 60));
    let kind = texts.take(LABEL);
    let name = texts.take(NAME);
    NoticeTicket {
        event_id: format!("event{number:021}"),
        title: texts.take(TITLE),
        message: texts.take(SENTENCE),
        remediation: texts.take(SENTENCE),
        subject_ref: format!("{kind}/{name}"),
        subject: Subject {
            group: texts.take(LABEL),
            kind,
            namespace: texts.maybe(bit(what, 0), LABEL),
            name,
            uid: texts.maybe(bit(what, 1), LABEL),
        },
        check: texts.take(LABEL),
        namespace: texts.take(LABEL),
        name: texts.take(NAME),
        uid: format!("uid-{number}"),
        requirement: texts.maybe(bit(what, 2), LABEL),
        assignee: texts.maybe(bit(people, 0), NAME),
        overlay: bit(people, 1).then(|| overlay(feed, texts, people)),
        episode: 1 + u64::from(bit(what, 3)),
        seq: 1,
        n: 1 + u64::from(what >> 4),
        reason: *feed.pick(AlertReason::ALL),
        level: u64::from(people >> 6),
        failover: bit(people, 5),
        state,
        phase: *feed.pick(Phase::ALL),
        severity: *feed.pick(Severity::ALL),
        resolution: bit(people, 4).then(|| *feed.pick(Resolution::ALL)),
        layer: *feed.pick(Layer::ALL),
        party: *feed.pick(Party::ALL),
        affected: u64::from(feed.byte()),
        opened_at: Time::from_unix(opened),
        first_opened_at: Time::from_unix(opened),
        due_at: later(bit(what, 4), 1440),
        sla_breached: bit(what, 5),
        resolved_at: later(state == ToldState::Closed && bit(what, 6), 30),
        recurrences: u64::from(what & 7),
        flapping: bit(what, 7),
        verified_at: later(bit(people, 2), 1),
        alarm: Alarm {
            named: bit(people, 2),
            numbered: bit(people, 3),
            former: if bit(what, 5) {
                vec![Severity::Low, Severity::High]
            } else {
                vec![]
            },
        },
    }
}

fn overlay(feed: &mut Feed<'_>, texts: &mut Texts<'_>, people: u8) -> Overlay {
    Overlay {
        kind: *feed.pick(OverlayKind::ALL),
        by: texts.maybe(people & 8 == 0, NAME),
        reason: texts.take(SENTENCE),
        until: Time::from_unix(NOW + 3600),
        asked: None,
        reset_sla: false,
        waiver: texts.maybe(people & 4 == 0, 2 * NAME),
    }
}

fn counted(tickets: &[NoticeTicket]) -> Counts {
    let number = |wanted: &dyn Fn(&NoticeTicket) -> bool| {
        u32::try_from(tickets.iter().filter(|t| wanted(t)).count()).unwrap()
    };
    let firing = |t: &NoticeTicket| t.state == ToldState::Firing;
    Counts {
        firing: number(&firing),
        new: number(&|t| firing(t) && t.reason == AlertReason::Opened),
        closed: number(&|t| !firing(t)),
        acknowledged: number(&|t| firing(t) && t.phase == Phase::Acknowledged),
        waived: number(&|t| !firing(t) && t.phase == Phase::Waived),
        overdue: number(&|t| firing(t) && t.sla_breached),
        by_severity: [4, 3, 2, 1, 0]
            .map(|rank| number(&|t| firing(t) && t.severity == Severity::ALL[rank])),
    }
}
