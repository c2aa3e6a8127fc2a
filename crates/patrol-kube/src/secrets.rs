//! One key of one Secret of the operator's namespace, read when it is used. Secrets are
//! never listed or watched, and nothing of them is logged.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
use serde::Deserialize;

use crate::boot_clock;
use crate::client::Http;
use crate::path;

/// A value is read again after this time.
const CACHED: Duration = Duration::from_secs(60);

/// Bytes of a secret; printing them prints nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(pub Vec<u8>);

impl std::fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

/// Reads Secrets of one namespace.
pub struct Secrets {
    http: Http,
    namespace: String,
    cache: Mutex<HashMap<(String, String), (Duration, SecretBytes)>>,
}

impl Secrets {
    /// Secrets of `namespace`.
    #[must_use]
    pub fn new(http: Http, namespace: &str) -> Self {
        Self {
            http,
            namespace: namespace.to_owned(),
            cache: Mutex::new(HashMap::new()),
        }
    }

    /// The value of `key` in the Secret `name`; `None` when it cannot be read. With
    /// `fresh`, whatever was cached is read again.
    pub async fn read(&self, name: &str, key: &str, fresh: bool) -> Option<SecretBytes> {
        let place = (name.to_owned(), key.to_owned());
        if !fresh && let Some(value) = self.cached(&place) {
            return Some(value);
        }
        let target = format!(
            "{}/namespaces/{}/secrets/{}",
            path::version_root("", "v1"),
            path::escape(&self.namespace),
            path::escape(name)
        );
        let reply = match self.http.get(target).await {
            Ok(reply) if reply.status == 200 => reply,
            Ok(reply) if reply.status == 404 => {
                // Taken away on purpose: an old value is not used any longer.
                self.forget(&place);
                return None;
            }
            // The API server does not answer: the last good value is better than silence.
            _ => return self.last_good(&place),
        };
        let object: Object = serde_json::from_slice(&reply.body).ok()?;
        let Some(text) = object.data.get(key) else {
            self.forget(&place);
            return None;
        };
        let value = SecretBytes(BASE64.decode(text.as_bytes()).ok()?);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(place, (boot_clock::boot(), value.clone()));
        Some(value)
    }

    fn cached(&self, place: &(String, String)) -> Option<SecretBytes> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, value) = cache.get(place)?;
        (boot_clock::boot().saturating_sub(*at) < CACHED).then(|| value.clone())
    }

    fn last_good(&self, place: &(String, String)) -> Option<SecretBytes> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(place).map(|(_, value)| value.clone())
    }

    fn forget(&self, place: &(String, String)) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.remove(place);
    }
}
