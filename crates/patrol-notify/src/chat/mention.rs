//! Who is called by name: only whom the receiver's object names, and only for a firing ticket that is bad enough.

use patrol_api::receiver::Mentions;
use patrol_api::words::ToldState;
use patrol_core::notice::NoticeTicket;

/// Bytes of ids in one message: what is wrong needs the room.
const IDS: usize = 900;

/// Who is called by one message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Calls {
    /// Ids of users.
    pub(crate) users: Vec<String>,
    /// Numbers of mobile phones.
    pub(crate) mobiles: Vec<String>,
    /// Everybody.
    pub(crate) all: bool,
}

impl Calls {
    /// Those who are called for these tickets.
    pub(super) fn of(mentions: Option<&Mentions>, tickets: &[&NoticeTicket]) -> Self {
        let Some(mentions) = mentions.filter(|_| due(mentions, tickets)) else {
            return Self::default();
        };
        let mut room = IDS;
        Self {
            users: known(&mentions.users, &mut room),
            mobiles: known(&mentions.mobiles, &mut room),
            all: mentions.all,
        }
    }
}

/// Whether anybody is called for these tickets.
pub(crate) fn due(mentions: Option<&Mentions>, tickets: &[&NoticeTicket]) -> bool {
    mentions.is_some_and(|mentions| {
        tickets.iter().any(|t| {
            t.state == ToldState::Firing
                && t.severity >= mentions.min_severity
                && !t.reason.is_quiet()
        })
    })
}

/// The ids as the schema allows them, as many as there is room for; whatever else an object of an older schema may hold is
/// left out.
fn known(ids: &[String], room: &mut usize) -> Vec<String> {
    let mut kept = vec![];
    for id in ids {
        let id: String = id
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '@' | '-' | '+'))
            .collect();
        if id.is_empty() {
            continue;
        }
        let Some(left) = room.checked_sub(id.len()) else {
            break;
        };
        *room = left;
        kept.push(id);
    }
    kept
}
