//! A table of objects of one kind: by namespace, then sorted by name. A sorted list of
//! boxes wastes a third of what a tree of the same rows does, and a list from the API
//! server, which is sorted too, only ever appends.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::facts::ObjectKey;
use crate::sym::Sym;

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Held<T> {
    pub key: ObjectKey,
    pub fact: T,
    /// The list that last mentioned it.
    pub epoch: u32,
}

/// Every object of a kind.
#[derive(Debug)]
pub(super) struct Table<T> {
    rows: BTreeMap<Sym, Vec<Box<Held<T>>>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
        }
    }
}

fn place<T>(rows: &[Box<Held<T>>], name: &str) -> Result<usize, usize> {
    let last = rows.last().map(|row| row.key.name.as_str().cmp(name));
    match last {
        None | Some(Ordering::Less) => Err(rows.len()),
        _ => rows.binary_search_by(|row| row.key.name.as_str().cmp(name)),
    }
}

impl<T> Table<T> {
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Held<T>> {
        let rows = self.rows.get(namespace)?;
        let at = place(rows, name).ok()?;
        rows.get(at).map(Box::as_ref)
    }

    pub fn get_mut(&mut self, key: &ObjectKey) -> Option<&mut Held<T>> {
        let rows = self.rows.get_mut(&key.namespace)?;
        let at = place(rows, &key.name).ok()?;
        rows.get_mut(at).map(Box::as_mut)
    }

    /// Stores an object in the place of what was there.
    pub fn insert(&mut self, key: ObjectKey, fact: T, epoch: u32) {
        let rows = self.rows.entry(key.namespace.clone()).or_default();
        let at = place(rows, &key.name);
        let held = Box::new(Held { key, fact, epoch });
        match at {
            Ok(at) => {
                if let Some(row) = rows.get_mut(at) {
                    *row = held;
                }
            }
            Err(at) => rows.insert(at, held),
        }
    }

    pub fn remove(&mut self, key: &ObjectKey) -> Option<Held<T>> {
        let rows = self.rows.get_mut(&key.namespace)?;
        let at = place(rows, &key.name).ok()?;
        let held = rows.remove(at);
        if rows.is_empty() {
            self.rows.remove(&key.namespace);
        }
        Some(*held)
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Held<T>> {
        self.rows.values().flatten().map(Box::as_ref)
    }

    /// Those of a namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Held<T>> {
        self.rows
            .get(namespace)
            .into_iter()
            .flatten()
            .map(Box::as_ref)
    }

    /// Namespaces with any, in order.
    pub fn namespaces(&self) -> impl Iterator<Item = &Sym> {
        self.rows.keys()
    }

    pub fn len(&self) -> usize {
        self.rows.values().map(Vec::len).sum()
    }

    /// Gives back what growing took in advance.
    pub fn shrink(&mut self) {
        self.rows.values_mut().for_each(Vec::shrink_to_fit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_and_walked_by_key_whatever_the_order_they_came_in() {
        let mut table = Table::default();
        for (i, key) in ["b/c", "a/z", "b/a", "a/b", "b/b", "b/a"]
            .into_iter()
            .enumerate()
        {
            let (namespace, name) = key.split_once('/').unwrap();
            table.insert(ObjectKey::new(namespace, name), i, 1);
        }
        let keys: Vec<String> = table.iter().map(|h| h.key.to_string()).collect();
        assert_eq!(keys, ["a/b", "a/z", "b/a", "b/b", "b/c"]);
        assert_eq!(table.get("b", "a").unwrap().fact, 5);
        assert!(table.get("b", "d").is_none() && table.get("c", "a").is_none());
        assert_eq!(table.in_namespace("b").count(), 3);
        assert_eq!(table.remove(&ObjectKey::new("a", "z")).unwrap().fact, 1);
        assert!(table.remove(&ObjectKey::new("a", "z")).is_none());
        assert_eq!(table.len(), 4);
    }
}
