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
/// A value that was not used for so long is forgotten: its receiver may be gone.
const KEPT: Duration = Duration::from_secs(3600);

/// Bytes of a secret; printing them prints nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(pub Vec<u8>);

impl std::fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl SecretBytes {
    /// Whether it holds nothing but white space: no key is like that, but one that is just being written is.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.0.trim_ascii().is_empty()
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
    cache: Mutex<Cache>,
}

/// Name and key of a value.
type Place = (String, String);

#[derive(Default)]
struct Cache(HashMap<Place, Cached>);

struct Cached {
    value: SecretBytes,
    read: Duration,
    used: Duration,
}

impl Cache {
    fn put(&mut self, place: Place, value: SecretBytes, now: Duration) {
        self.0
            .retain(|_, cached| now.saturating_sub(cached.used) < KEPT);
        let cached = Cached {
            value,
            read: now,
            used: now,
        };
        self.0.insert(place, cached);
    }

    /// What counts of a value that was read now: of a blank one, the last good one as long as there is any.
    fn take(&mut self, place: Place, value: SecretBytes, now: Duration) -> SecretBytes {
        if value.is_blank() {
            return self.get(&place, Duration::MAX, now).unwrap_or(value);
        }
        self.put(place, value.clone(), now);
        value
    }

    /// The last good value, if it is not older than `age`.
    fn get(&mut self, place: &Place, age: Duration, now: Duration) -> Option<SecretBytes> {
        let cached = self.0.get_mut(place)?;
        cached.used = now;
        (now.saturating_sub(cached.read) < age).then(|| cached.value.clone())
    }
}

impl Secrets {
    /// Secrets of `namespace`.
    #[must_use]
    pub fn new(http: Http, namespace: &str) -> Self {
        Self {
            http,
            namespace: namespace.to_owned(),
            cache: Mutex::default(),
        }
    }

    /// The value of `key` in the Secret `name`; `None` when it cannot be read, and blank only where there never was
    /// anything else. With `fresh`, whatever was cached is read again.
    pub async fn read(&self, name: &str, key: &str, fresh: bool) -> Option<SecretBytes> {
        let place = (name.to_owned(), key.to_owned());
        if !fresh && let Some(value) = self.cached(&place, CACHED) {
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
            _ => return self.cached(&place, Duration::MAX),
        };
        let object: Object = serde_json::from_slice(&reply.body).ok()?;
        let Some(text) = object.data.get(key) else {
            self.forget(&place);
            return None;
        };
        let value = SecretBytes(BASE64.decode(text.as_bytes()).ok()?);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        Some(cache.take(place, value, boot_clock::boot()))
    }

    fn cached(&self, place: &Place, age: Duration) -> Option<SecretBytes> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(place, age, boot_clock::boot())
    }

    fn forget(&self, place: &Place) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.0.remove(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_uses_is_forgotten_and_what_is_used_is_kept() {
        let mut cache = Cache::default();
        let place = |name: &str| (name.to_owned(), "url".to_owned());
        let value = |text: &str| SecretBytes(text.into());
        cache.put(place("used"), value("u"), Duration::ZERO);
        for n in 0..100 {
            cache.put(place(&format!("gone-{n}")), value("g"), Duration::ZERO);
        }
        let later = KEPT - Duration::from_secs(1);
        assert_eq!(cache.get(&place("used"), CACHED, later), None, "too old");
        let last_good = cache.get(&place("used"), Duration::MAX, later);
        assert_eq!(last_good, Some(value("u")));
        cache.put(place("new"), value("n"), KEPT);
        assert_eq!(cache.0.len(), 2, "the used and the new");
    }

    #[test]
    fn row89_a_secret_that_is_blank_for_a_moment_keeps_its_last_good_value() {
        let mut cache = Cache::default();
        let place = || ("soc".to_owned(), "key".to_owned());
        let value = |text: &str| SecretBytes(text.into());
        let blanks = ["", "\n", " \t\r\n"];
        for blank in blanks {
            let taken = cache.take(place(), value(blank), Duration::ZERO);
            assert_eq!(taken, value(blank), "there is no other yet");
            let known = cache.get(&place(), Duration::MAX, Duration::ZERO);
            assert_eq!(known, None, "and it is none to keep");
        }
        cache.take(place(), value("old"), Duration::ZERO);
        for blank in blanks {
            let taken = cache.take(place(), value(blank), CACHED * 2);
            assert_eq!(taken, value("old"), "{blank:?}");
            let young = cache.get(&place(), CACHED, CACHED * 2);
            assert_eq!(young, None, "it is read again at the next use");
        }
        assert_eq!(cache.take(place(), value("new"), CACHED * 3), value("new"));
        assert_eq!(cache.take(place(), value(""), CACHED * 3), value("new"));
    }
}
