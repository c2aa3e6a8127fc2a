//! Where tickets and facts come from for commands that look once: a state folder of local
//! mode, or the cluster of the current kubeconfig with the caller's own rights.

use std::path::Path;
use std::time::Duration;

use patrol_api::policy::PatrolPolicy;
use patrol_api::ticket::Ticket;
use patrol_api::waiver::TicketWaiver;
use patrol_core::event::Event;
use patrol_core::facts::Fact;
use patrol_core::inventory::{Blindness, Inventory};
use patrol_core::kind::Kind;
use patrol_kube::Connection;
use patrol_kube::reader::{Reader, ReaderSettings, Received};
use tokio::sync::mpsc;

use super::{Failure, ui};
use crate::manifests::{self, Decoded, Input};

/// A look at a cluster takes at most this long.
const LOOK: Duration = Duration::from_secs(60);

/// What one look at a cluster saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Facts.
    pub inventory: Inventory,
    /// Tickets.
    pub tickets: Vec<Ticket>,
    /// Policies.
    pub policies: Vec<PatrolPolicy>,
    /// Waivers.
    pub waivers: Vec<TicketWaiver>,
    /// Kinds that could not be read, and why.
    pub blind: Vec<(Kind, String)>,
}

/// The tickets of a state folder.
///
/// # Errors
/// When the folder does not exist or a ticket file cannot be read.
pub fn tickets_in(state: &Path) -> Result<Vec<Ticket>, Failure> {
    let folder = state.join("tickets");
    if !state.is_dir() {
        return Err(Failure::new(format!(
            "{}: no such folder: name the state folder of `kube-patrol local` (default DIR/.kube-patrol)",
            state.display()
        )));
    }
    if !folder.is_dir() {
        return Ok(vec![]);
    }
    let loaded = manifests::load(&[Input::Path(folder)], &[], |_, _| {});
    if let Some(missed) = loaded.coverage.not_inspected.first() {
        return Err(Failure::new(missed.to_string()));
    }
    Ok(loaded
        .objects
        .into_iter()
        .filter_map(|object| match object.decoded {
            Decoded::Fact(seen) => match seen.fact {
                Fact::Ticket(ticket) => Some(*ticket),
                _ => None,
            },
            _ => None,
        })
        .collect())
}

/// Looks at the cluster once.
///
/// # Errors
/// When there is no kubeconfig or it cannot be used.
pub fn look(kinds: &[Kind]) -> Result<Seen, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let connection = Connection::infer()
            .await
            .map_err(|e| Failure::new(e.to_string()))?;
        let (sender, mut events) = mpsc::channel(1024);
        let settings = ReaderSettings {
            verify_every: None,
            ..ReaderSettings::default()
        };
        let reader = Reader::new(connection.reads, kinds.iter().copied(), settings, sender);
        let mut seen = Seen::default();
        let collect = collect(kinds, &mut events, &mut seen);
        tokio::select! {
            () = collect => {}
            _ = reader.run() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        for kind in kinds {
            if let Some(why) = seen.inventory.sight(*kind).blindness() {
                seen.blind.push((*kind, why.reason().to_owned()));
            }
        }
        Ok(seen)
    })
}

async fn collect(kinds: &[Kind], events: &mut mpsc::Receiver<Received>, seen: &mut Seen) {
    let now = patrol_kube::boot_clock::wall();
    let mut progress = ui::Progress::new();
    let mut open: std::collections::BTreeSet<Kind> = kinds.iter().copied().collect();
    while !open.is_empty() {
        let Some(Received { event, .. }) = events.recv().await else {
            return;
        };
        match event {
            Event::Seen(object) => match object.fact {
                Fact::Ticket(ticket) => seen.tickets.push(*ticket),
                Fact::Policy(policy) => seen.policies.push(*policy),
                Fact::Waiver(waiver) => seen.waivers.push(*waiver),
                _ => drop(seen.inventory.upsert(*object)),
            },
            Event::ListStarted(kind) => seen.inventory.relist_started(kind),
            Event::ListFinished(kind) => {
                progress.show(format!("reading the cluster: {} kinds to go", open.len()));
                seen.inventory.relist_finished(kind);
                seen.inventory.sight_mut(kind).heard(now);
                open.remove(&kind);
            }
            Event::NotInstalled(kind) => {
                seen.inventory.sight_mut(kind).not_installed();
                open.remove(&kind);
            }
            Event::Lost(kind, why) => {
                let lasting = matches!(why, Blindness::Denied(_) | Blindness::Failing(_));
                seen.inventory.sight_mut(kind).lost(why);
                if lasting {
                    open.remove(&kind);
                }
            }
            Event::Undecodable(error) => {
                seen.inventory
                    .blind_object(error.kind, error.key, error.reason);
            }
            _ => {}
        }
    }
}

/// Why a kind cannot be read, and what to do.
#[must_use]
pub fn advice(kind: Kind, why: &str) -> String {
    let info = kind.info();
    match why {
        "AccessDenied" if info.group.is_empty() => format!(
            "{why}: allow list and watch on {} in all namespaces",
            info.resource
        ),
        "AccessDenied" => format!(
            "{why}: allow list and watch on {} of group {} in all namespaces",
            info.resource, info.group
        ),
        _ => format!("{why}: see whether the API server answers at the address in the kubeconfig"),
    }
}

/// That there are no tickets in this cluster, and can be none.
#[must_use]
pub fn not_installed() -> Failure {
    Failure::new(
        "tickets.kubepatrol.io: the kind is not installed in this cluster: install kube-patrol, or give --state DIR for local mode",
    )
}

/// Tickets from a state folder, or from the cluster.
///
/// # Errors
/// As [`tickets_in`] and [`look`], or when tickets cannot be listed.
pub fn tickets(state: Option<&Path>) -> Result<Vec<Ticket>, Failure> {
    let mut tickets = match state {
        Some(state) => tickets_in(state)?,
        None => {
            let seen = look(&[Kind::Ticket])?;
            if seen.inventory.sight(Kind::Ticket).is_absent() {
                return Err(not_installed());
            }
            if let Some((kind, why)) = seen.blind.first() {
                return Err(Failure::new(format!(
                    "{}: cannot be listed: {}",
                    kind.info().resource,
                    advice(*kind, why)
                )));
            }
            seen.tickets
        }
    };
    tickets.sort_by_key(|t| (t.metadata.namespace.clone(), t.metadata.name.clone()));
    Ok(tickets)
}
