//! Edits of ticket files by another process: what people ask for on the command line.
//!
//! Whoever reads a ticket file to write it again holds the folder of the tickets for that
//! moment, so that neither side overwrites what the other has just written. The hold is the
//! system's and ends with the process.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use patrol_api::ticket::{Ticket, TicketSpec};
use patrol_core::effect::Effect;
use patrol_core::event::{Event, WriteResult};
use patrol_core::facts::ObjectKey;

use super::{atomic, names};
use crate::manifests::{read_yaml, to_yaml};

/// Keeps other processes from writing tickets until it is dropped.
#[derive(Debug)]
pub struct Hold {
    _folder: File,
}

/// Whether the tickets could be held.
#[derive(Debug)]
pub enum Held {
    /// By us, or they need not be: there is nothing to hold, or the system cannot.
    Here(Option<Hold>),
    /// By another process, for a moment.
    Elsewhere,
}

/// Holds the tickets of a state folder if nobody else does.
#[must_use]
pub fn try_hold(tickets: &Path) -> Held {
    let Ok(folder) = File::open(tickets) else {
        return Held::Here(None);
    };
    match folder.try_lock() {
        Ok(()) => Held::Here(Some(Hold { _folder: folder })),
        Err(TryLockError::WouldBlock) => Held::Elsewhere,
        Err(TryLockError::Error(_)) => Held::Here(None),
    }
}

/// Somebody changes a ticket at this very moment: the engine asks again.
pub(super) fn held_elsewhere(effect: &Effect) -> Vec<Event> {
    let id = match effect {
        Effect::CreateTicket { id, .. }
        | Effect::WriteTicketStatus { id, .. }
        | Effect::WriteTicketLabels { id, .. }
        | Effect::DeleteTicket { id, .. }
        | Effect::ReadTicket { id, .. } => *id,
        _ => return vec![],
    };
    vec![Event::Written(id, WriteResult::Failed)]
}

/// Why an edit was not made.
#[derive(Debug)]
pub enum EditError {
    /// The ticket is not there any more.
    Gone,
    /// It is not as it was when it was read.
    Changed,
    /// The disk refuses.
    Io(io::Error),
}

impl From<io::Error> for EditError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Changes the spec of a ticket, if it is still as it was read. A running local mode notices
/// the file and takes it as the newer version.
///
/// # Errors
/// When the ticket is another one by now, or the disk refuses.
pub fn change(
    state: &Path,
    read: &Ticket,
    edit: impl FnOnce(&mut TicketSpec),
) -> Result<(), EditError> {
    let tickets = state.join("tickets");
    let metadata = &read.metadata;
    let key = ObjectKey::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    );
    let path = names::path(&tickets, &key).ok_or(EditError::Gone)?;
    let folder = File::open(&tickets)?;
    // Local mode holds it for as long as it writes one file; a system that cannot lock has
    // the comparison below.
    let _ = folder.lock();
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(EditError::Gone),
        other => other?,
    };
    let mut ticket: Ticket = read_yaml(&text).map_err(|_| EditError::Changed)?;
    let is_same = ticket.metadata.uid == metadata.uid
        && ticket.metadata.resource_version == metadata.resource_version
        && ticket.spec == read.spec;
    if !is_same {
        return Err(EditError::Changed);
    }
    edit(&mut ticket.spec);
    // As an API server does, whether local mode runs or not: it counts on from what it knows.
    if ticket.spec != read.spec {
        let generation = ticket.metadata.generation.unwrap_or(0);
        ticket.metadata.generation = Some(generation.saturating_add(1));
    }
    let text = to_yaml(&ticket).map_err(|_| EditError::Changed)?;
    atomic::write(state, &path, text.as_bytes())?;
    Ok(())
}
