//! Which workloads name which others as their owner. Names only: neither has to be here.

use std::collections::BTreeMap;

use crate::facts::ObjectKey;
use crate::kind::Kind;
use crate::sym::Sym;

/// One reference, sorted by owner first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Link {
    parent: Kind,
    parent_name: Sym,
    child: Kind,
    name: Sym,
}

/// All references, by namespace.
#[derive(Debug, Default)]
pub(super) struct Children {
    links: BTreeMap<Sym, Vec<Link>>,
}

impl Children {
    pub fn link(&mut self, parent: (Kind, &Sym), child: (Kind, &ObjectKey)) {
        let link = link(parent, child);
        let links = self.links.entry(child.1.namespace.clone()).or_default();
        if let Err(at) = links.binary_search(&link) {
            links.insert(at, link);
        }
    }

    pub fn unlink(&mut self, parent: (Kind, &Sym), child: (Kind, &ObjectKey)) {
        let Some(links) = self.links.get_mut(&child.1.namespace) else {
            return;
        };
        if let Ok(at) = links.binary_search(&link(parent, child)) {
            links.remove(at);
        }
        if links.is_empty() {
            self.links.remove(&child.1.namespace);
        }
    }

    /// The children of an object, by kind and name.
    pub fn of(&self, kind: Kind, key: &ObjectKey) -> impl Iterator<Item = (Kind, ObjectKey)> {
        let links = self.links.get(&key.namespace).map_or(&[][..], |l| l);
        let of = (kind, &*key.name);
        let from = links.partition_point(|l| (l.parent, l.parent_name.as_str()) < of);
        links
            .iter()
            .skip(from)
            .take_while(move |l| (l.parent, l.parent_name.as_str()) == of)
            .map(|l| {
                let key = ObjectKey {
                    namespace: key.namespace.clone(),
                    name: l.name.text(),
                };
                (l.child, key)
            })
    }

    /// Gives back what growing took in advance.
    pub fn shrink(&mut self) {
        self.links.values_mut().for_each(Vec::shrink_to_fit);
    }
}

fn link((parent, parent_name): (Kind, &Sym), (child, key): (Kind, &ObjectKey)) -> Link {
    Link {
        parent,
        parent_name: parent_name.clone(),
        child,
        name: Sym::new(&key.name),
    }
}
