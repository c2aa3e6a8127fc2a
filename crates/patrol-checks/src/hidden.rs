//! Objects that exist and cannot be decoded: absence must not be concluded past them.

use patrol_core::facts::ObjectKey;
use patrol_core::inventory::Inventory;
use patrol_core::kind::Kind;

/// Whether what is looked for may be one of the objects of `kind` that cannot be decoded:
/// one whose key could be it, or one without a readable name.
pub(crate) fn may_be_hidden(
    inventory: &Inventory,
    kind: Kind,
    could_be: impl Fn(&ObjectKey) -> bool,
) -> bool {
    let sight = inventory.sight(kind);
    if sight.blind_count() == 0 {
        return false;
    }
    let named = sight.blind_objects().count();
    sight.blind_count() > named || sight.blind_objects().any(|(key, _)| could_be(key))
}
