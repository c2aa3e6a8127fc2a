//! Messages for chats: what they say, in words, independent of any provider's format.
//!
//! A notice becomes [`Message`]s here, one for each part; a [`Dialect`] writes a message as its provider wants it and
//! escapes every text, whoever wrote it. Pure. Texts of other people reach a dialect only as [`Span`]s, never as markup.

mod command;
mod escape;
mod mention;
mod pack;
mod reply;
mod summary;
mod ticket;
mod when;
mod words;

use patrol_api::words::Severity;
use serde_json::Value;

pub(crate) use command::explain;
pub(crate) use escape::plain;
pub(crate) use mention::{Calls, due};
pub(crate) use pack::{Wishes, write};
pub(crate) use reply::{Reply, config, is_page, payload, throttled, transient};
pub(crate) use summary::gone;

/// A piece of a line. Its text is cleaned and not escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Span {
    /// Text as it is.
    Text(String),
    /// Text that stands out.
    Strong(String),
    /// A command to copy: letters, digits and the few marks of [`command`], nothing of any markup.
    Code(String),
    /// A link of ours.
    Link {
        /// What is read.
        label: String,
        /// Where it leads: only addresses of our own making.
        url: String,
    },
}

/// A line of a message.
pub(crate) type Line = Vec<Span>;

/// Lines that belong together: the counts, a ticket, what is not listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Block {
    /// The lines.
    pub(crate) lines: Vec<Line>,
}

/// How a message looks at first glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Something is wrong.
    Alarm(Severity),
    /// Something ended.
    Closed,
    /// Nothing is wrong.
    Calm,
}

/// One part of a notice, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The headline: one short line, keyword first.
    pub(crate) title: String,
    /// How it looks.
    pub(crate) tone: Tone,
    /// The rest, in order.
    pub(crate) blocks: Vec<Block>,
    /// Who is called.
    pub(crate) calls: Calls,
}

/// How a provider wants its messages.
pub(crate) trait Dialect {
    /// The whole body.
    fn body(&self, message: &Message) -> Value;

    /// At most so many bytes does a block add to a body.
    fn weigh(&self, block: &Block) -> usize;

    /// Whether the provider takes a block of this size at all.
    fn takes(&self, _block: &Block) -> bool {
        true
    }
}

/// The bytes of a text inside a JSON string.
pub(crate) fn json_bytes(text: &str) -> usize {
    // The two quotes stand for whatever joins it to its neighbours.
    Value::from(text).to_string().len()
}
