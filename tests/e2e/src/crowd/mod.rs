//! Thousands of objects that the API server takes and nobody would write: names at their
//! limits, foreign scripts, control and direction characters, owners that are missing,
//! foreign, namesakes or their own grandchildren.
//!
//! They come in families: a few objects of one namespace that belong together, and what
//! the requirement of a sidecar `aegis` must say of them. The same seed makes the same
//! families. Nothing here looks at the product.

mod families;
mod texts;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

pub use families::family;
pub use texts::{is_harmless, namespace_names};

use crate::control_plane::{ADMIN, ControlPlane};
use crate::{Context, Error, Result};

/// Requests in flight at once.
const THREADS: usize = 6;

/// One request.
#[derive(Debug, Clone)]
pub enum Step {
    /// POST. An owner reference whose `uid` is `@NAME` gets the UID of the object of that
    /// name, of any kind, that this family made before.
    Create {
        /// The collection.
        path: String,
        /// The object.
        body: Value,
    },
    /// A merge patch; owner references as above.
    Patch {
        /// The object, or a subresource of it.
        path: String,
        /// What changes.
        body: Value,
    },
    /// DELETE of one object.
    Delete {
        /// The object.
        path: String,
    },
}

/// Objects that belong together.
#[derive(Debug, Clone, Default)]
pub struct Family {
    /// What kind of family it is, for failure messages.
    pub what: &'static str,
    /// In this order.
    pub steps: Vec<Step>,
    /// The namespace.
    pub namespace: String,
    /// `Kind/name` of the subject that lacks the sidecar: exactly one of these. Empty: none
    /// may be said to lack it.
    pub lacking: Vec<String>,
}

impl Family {
    /// How many objects it makes.
    pub fn size(&self) -> usize {
        let creates = |step: &&Step| matches!(step, Step::Create { .. });
        self.steps.iter().filter(creates).count()
    }

    fn make(&self, client: &mut crate::api_client::ApiClient) -> Result<()> {
        let mut uids: BTreeMap<String, Value> = BTreeMap::new();
        for step in &self.steps {
            let (method, path, body) = match step {
                Step::Create { path, body } => ("POST", path, Some(body)),
                Step::Patch { path, body } => ("PATCH", path, Some(body)),
                Step::Delete { path } => ("DELETE", path, None),
            };
            let body = body.map(|body| with_uids(body, &uids));
            let reply = client.request(method, path, body.as_ref())?;
            let what = format_args!("{}: {method} {path}", self.what);
            let made = reply.success().context(what)?;
            let text = |pointer: &str| made.pointer(pointer).cloned().unwrap_or_default();
            if let Some(name) = text("/metadata/name").as_str() {
                uids.insert(name.to_owned(), text("/metadata/uid"));
            }
        }
        Ok(())
    }
}

fn with_uids(body: &Value, uids: &BTreeMap<String, Value>) -> Value {
    let mut body = body.clone();
    let owners = body.pointer_mut("/metadata/ownerReferences");
    for owner in owners.and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(uid) = owner.get_mut("uid") else {
            continue;
        };
        let known = uid.as_str().and_then(|text| text.strip_prefix('@'));
        if let Some(real) = known.and_then(|name| uids.get(name)) {
            *uid = real.clone();
        }
    }
    body
}

/// Makes all families, several at a time.
///
/// # Errors
/// The API server refuses one of them: a mistake of the family.
pub fn make(plane: &ControlPlane, families: &[Family]) -> Result<()> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let mut client = plane.client(ADMIN)?;
                    while let Some(family) = families.get(next.fetch_add(1, Ordering::Relaxed)) {
                        family.make(&mut client)?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(Error::failed("a thread panicked")))
        })
    })
}
