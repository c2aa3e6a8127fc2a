//! Facts of manifests as an inventory, for commands that judge once. What could not be read
//! is a blind spot in it: nothing is concluded from its absence.

use patrol_core::facts::ObjectKey;
use patrol_core::inventory::Inventory;
use patrol_core::kind::Kind;

use crate::manifests::{Coverage, Decoded, MayHold, Object};

/// An inventory of these objects, as if every kind had been listed, with the blind spots of
/// the account.
#[must_use]
pub fn inventory<'a>(
    objects: impl IntoIterator<Item = &'a Object>,
    coverage: &Coverage,
) -> Inventory {
    let mut inventory = Inventory::new();
    for kind in Kind::ALL {
        inventory.relist_started(kind);
    }
    for object in objects {
        if let Decoded::Fact(seen) = &object.decoded {
            inventory.upsert((**seen).clone());
        }
    }
    for missed in &coverage.not_inspected {
        let reason = missed.to_string();
        match (&missed.object, &missed.may_hold) {
            (Some((kind, key)), _) => blind(&mut inventory, *kind, Some(key.clone()), &reason),
            (None, MayHold::Kinds(kinds)) => {
                for kind in kinds {
                    blind(&mut inventory, *kind, None, &reason);
                }
            }
            (None, MayHold::Anything) => {
                for kind in Kind::ALL {
                    blind(&mut inventory, kind, None, &reason);
                }
            }
        }
    }
    let now = patrol_kube::boot_clock::wall();
    for kind in Kind::ALL {
        inventory.relist_finished(kind);
        inventory.sight_mut(kind).heard(now);
    }
    inventory
}

fn blind(inventory: &mut Inventory, kind: Kind, key: Option<ObjectKey>, reason: &str) {
    inventory.blind_object(kind, key, reason.to_owned());
}
