//! From a notice to messages: what is listed, what is told by number, and how much goes into one.
//!
//! Critical tickets are always listed, in as many messages as they need; the others are while there is room in the last one
//! and told by number after that. A digest is one message. Nothing is left out: every ticket is in exactly one part.

use patrol_api::receiver::Mentions;
use patrol_api::words::Severity;
use patrol_core::notice::{Notice, NoticeKind, NoticeTicket};

use super::ticket::{Context, SCALES};
use super::{Block, Calls, Dialect, Message, summary, ticket};
use crate::kinds::Style;
use crate::render::{Limits, Part, webhook_id};

/// Critical tickets that a digest lists.
const DIGEST_ITEMS: usize = 20;
/// Bytes of a message in which every word counts.
const SMALL: usize = 3_000;
/// Bytes by which an estimate of what surrounds the tickets may be short: digits, a plural, a part's number.
const SLACK: usize = 192;

/// What a receiver's object says about its messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wishes<'a> {
    pub(crate) mentions: Option<&'a Mentions>,
    pub(crate) keyword: Option<&'a str>,
}

/// The tickets of one message.
#[derive(Default)]
struct Pack<'a> {
    listed: Vec<(&'a NoticeTicket, Block)>,
    covered: Vec<&'a NoticeTicket>,
    bytes: usize,
}

impl<'a> Pack<'a> {
    fn tickets(&self) -> Vec<&'a NoticeTicket> {
        let listed = self.listed.iter().map(|(ticket, _)| *ticket);
        listed.chain(self.covered.iter().copied()).collect()
    }
}

struct Packer<'a, D> {
    notice: &'a Notice,
    limits: &'a Limits,
    wishes: Wishes<'a>,
    context: Context,
    dialect: &'a D,
    /// Bytes for tickets in a message.
    room: usize,
}

/// Writes the notice in parts.
pub(crate) fn write<D: Dialect>(
    notice: &Notice,
    limits: &Limits,
    style: Style,
    wishes: Wishes<'_>,
    dialect: &D,
) -> Vec<Part> {
    let context = Context {
        style,
        at: notice.at,
        small: limits.max_bytes < SMALL,
        shared_fix: summary::shares_fix(notice),
    };
    let mut packer = Packer {
        notice,
        limits,
        wishes,
        context,
        dialect,
        room: 0,
    };
    packer.room = limits.max_bytes.saturating_sub(packer.frame());
    let packs = packer.packs();
    let parts = packs.len();
    let write = |(index, pack): (usize, Pack<'_>)| packer.part(&pack, index, parts);
    packs.into_iter().enumerate().map(write).collect()
}

impl<'a, D: Dialect> Packer<'a, D> {
    /// The bytes around the tickets, at most.
    fn frame(&self) -> usize {
        let all: Vec<&NoticeTicket> = self.notice.tickets.iter().collect();
        let mut blocks = vec![];
        blocks.extend(summary::head(self.notice, self.context));
        blocks.extend(summary::rest(self.notice, self.context, &all));
        blocks.push(summary::foot(self.notice, self.context));
        let message = Message {
            title: summary::title(self.notice, self.context, self.wishes.keyword, (1, 1)),
            tone: summary::tone(self.notice),
            blocks,
            calls: Calls::of(self.wishes.mentions, &all),
        };
        self.dialect.body(&message).to_string().len() + SLACK
    }

    fn packs(&self) -> Vec<Pack<'a>> {
        let (must, may, rest) = self.sorted();
        let mut packs = vec![];
        let mut pack = Pack::default();
        for ticket in must {
            let (block, bytes) = self.block(ticket, self.room);
            if !self.fits(&pack, bytes) && !pack.listed.is_empty() {
                packs.push(std::mem::take(&mut pack));
            }
            pack.bytes += bytes;
            pack.listed.push((ticket, block));
        }
        let mut may = may.into_iter();
        for ticket in may.by_ref() {
            let (block, bytes) = self.block(ticket, self.room);
            // A message about tickets names at least one of them.
            if !self.fits(&pack, bytes) && !pack.listed.is_empty() {
                pack.covered.push(ticket);
                break;
            }
            pack.bytes += bytes;
            pack.listed.push((ticket, block));
        }
        pack.covered.extend(may.chain(rest));
        packs.push(pack);
        packs
    }

    /// What has to be listed, what is when there is room, what is not.
    fn sorted(
        &self,
    ) -> (
        Vec<&'a NoticeTicket>,
        Vec<&'a NoticeTicket>,
        Vec<&'a NoticeTicket>,
    ) {
        let critical = |t: &&NoticeTicket| t.severity == Severity::Critical;
        let (critical, others): (Vec<_>, Vec<_>) = self.notice.tickets.iter().partition(critical);
        if self.notice.kind != NoticeKind::Digest {
            return (critical, others, vec![]);
        }
        let mut first = critical;
        let mut rest = first.split_off(first.len().min(DIGEST_ITEMS));
        rest.extend(others);
        (vec![], first, rest)
    }

    fn fits(&self, pack: &Pack<'_>, bytes: usize) -> bool {
        pack.listed.len() < self.limits.max_items && pack.bytes + bytes <= self.room
    }

    /// The ticket in as many words as a message of its own has room for.
    fn block(&self, ticket: &NoticeTicket, room: usize) -> (Block, usize) {
        let mut said = (Block::default(), 0);
        for scale in SCALES {
            let block = ticket::block(ticket, self.context, scale);
            let bytes = self.dialect.weigh(&block);
            let enough = bytes <= room && self.dialect.takes(&block);
            said = (block, bytes);
            if enough {
                break;
            }
        }
        said
    }

    fn part(&self, pack: &Pack<'_>, index: usize, parts: usize) -> Part {
        let tickets = pack.tickets();
        let position = (index + 1, parts);
        let mut blocks = vec![];
        blocks.extend(summary::head(self.notice, self.context));
        blocks.extend(pack.listed.iter().map(|(_, block)| block.clone()));
        blocks.extend(summary::rest(self.notice, self.context, &pack.covered));
        blocks.push(summary::foot(self.notice, self.context));
        let message = Message {
            title: summary::title(self.notice, self.context, self.wishes.keyword, position),
            tone: summary::tone(self.notice),
            blocks,
            calls: Calls::of(self.wishes.mentions, &tickets),
        };
        let event_ids: Vec<String> = tickets.iter().map(|t| t.event_id.clone()).collect();
        Part {
            webhook_id: webhook_id(
                self.notice,
                &event_ids,
                u32::try_from(index).unwrap_or(u32::MAX),
            ),
            body: self.dialect.body(&message).to_string().into_bytes(),
            event_ids,
            by_number: pack.covered.len(),
        }
    }
}
