//! Interned strings: one allocation for each distinct text, whatever the number of
//! objects that carry it. Labels, images, node and namespace names repeat thousands of
//! times in a cluster; object names do not and must never be interned.
//!
//! The table is only looked up and swept, never iterated into a result, so its order
//! cannot reach a decision.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::{LazyLock, Mutex, PoisonError};

use arcstr::ArcStr;
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A text that is shared but not interned: the name of an object.
pub type Name = ArcStr;

/// An interned string. Cloning is a reference count; equality is by text.
#[derive(Clone, Eq)]
pub struct Sym(ArcStr);

struct Table {
    known: HashSet<ArcStr>,
    sweep_at: usize,
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(|| {
    Mutex::new(Table {
        known: HashSet::new(),
        sweep_at: 4096,
    })
});

impl Table {
    /// Texts that only the table still holds belong to objects long gone.
    fn sweep(&mut self) {
        self.known
            .retain(|text| ArcStr::strong_count(text) != Some(1));
        self.sweep_at = (self.known.len() * 2).max(4096);
    }
}

/// Forgets every text that nothing holds any more, and gives the space back.
pub(crate) fn sweep() {
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    table.sweep();
    table.known.shrink_to_fit();
}

impl Sym {
    /// Interns `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = table.known.get(text) {
            return Self(ArcStr::clone(known));
        }
        if table.known.len() >= table.sweep_at {
            table.sweep();
        }
        let text = ArcStr::from(text);
        table.known.insert(ArcStr::clone(&text));
        Self(text)
    }

    /// A text that hardly anything else carries: not interned, and otherwise the same.
    #[must_use]
    pub fn unshared(text: &str) -> Self {
        Self(ArcStr::from(text))
    }

    /// The text, to be shared further.
    #[must_use]
    pub fn text(&self) -> Name {
        ArcStr::clone(&self.0)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Sym {
    fn eq(&self, other: &Self) -> bool {
        ArcStr::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl PartialEq<str> for Sym {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Sym {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl PartialOrd for Sym {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sym {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if ArcStr::ptr_eq(&self.0, &other.0) {
            return std::cmp::Ordering::Equal;
        }
        self.0.cmp(&other.0)
    }
}

impl std::hash::Hash for Sym {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // As str does, so that `Borrow<str>` look-ups work.
        self.0.as_str().hash(state);
    }
}

impl Borrow<str> for Sym {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for Sym {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Sym {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<&String> for Sym {
    fn from(text: &String) -> Self {
        Self::new(text)
    }
}

impl Default for Sym {
    fn default() -> Self {
        Self::new("")
    }
}

impl fmt::Display for Sym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Sym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Interns while parsing, so that a repeated string never becomes a heap `String`.
impl<'de> Deserialize<'de> for Sym {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Intern;
        impl Visitor<'_> for Intern {
            type Value = Sym;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Sym, E> {
                Ok(Sym::new(text))
            }
        }
        deserializer.deserialize_str(Intern)
    }
}

impl serde::Serialize for Sym {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_one_allocation() {
        let a = Sym::new("registry.example.com/agent:1");
        let b: Sym = serde_json::from_str("\"registry.example.com/agent:1\"").unwrap();
        assert!(ArcStr::ptr_eq(&a.0, &b.0));
    }

    #[test]
    fn order_is_by_text() {
        let mut syms = [Sym::new("b"), Sym::new("a"), Sym::new("c")];
        syms.sort();
        assert_eq!(syms.map(|s| s.to_string()), ["a", "b", "c"]);
    }
}
