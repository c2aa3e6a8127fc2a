//! Secrets of local mode: from Secret objects among the manifests, or from files named on
//! the command line. Values are wrapped and never printed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
use patrol_notify::Secret;
use serde_json::Value;

/// Values by Secret name and key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<(String, String), Secret>);

impl Secrets {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, name: &str, key: &str) -> Option<&Secret> {
        self.0.get(&(name.to_owned(), key.to_owned()))
    }

    /// Adds what is not there yet.
    pub fn add(&mut self, other: &Self) {
        for (place, value) in &other.0 {
            self.0.entry(place.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// A value that was not used for so long is forgotten: its receiver may be gone.
const KEPT: Duration = Duration::from_secs(3600);

/// The last value of each key that was not blank. Who writes a file empties it first, and a key must not be taken for
/// lost because it was read in that moment.
#[derive(Default)]
pub(super) struct LastGood(Mutex<BTreeMap<(String, String), (Secret, Duration)>>);

impl LastGood {
    /// What counts of a value that was read now; one that is taken away is not used any longer.
    pub fn take(
        &self,
        name: &str,
        key: &str,
        value: Option<Secret>,
        now: Duration,
    ) -> Option<Secret> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (name.to_owned(), key.to_owned());
        let good = match value.as_ref().map(Secret::is_blank) {
            None => None,
            Some(false) => value.clone(),
            Some(true) => all.get(&place).map(|(good, _)| good.clone()),
        };
        all.retain(|_, (_, used)| now.saturating_sub(*used) < KEPT);
        match &good {
            Some(good) => drop(all.insert(place, (good.clone(), now))),
            None => drop(all.remove(&place)),
        }
        good.or(value)
    }
}

/// The values of a Secret object, when it is in the given namespace.
#[must_use]
pub fn of_object(object: &Value, namespace: &str) -> Secrets {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let mut secrets = Secrets::default();
    let (Some(name), true) = (
        text("/metadata/name"),
        text("/metadata/namespace") == Some(namespace),
    ) else {
        return secrets;
    };
    for (field, plain) in [("data", false), ("stringData", true)] {
        let Some(Value::Object(pairs)) = object.get(field) else {
            continue;
        };
        for (key, value) in pairs {
            let Some(value) = value.as_str() else {
                continue;
            };
            let value = if plain {
                Some(value.as_bytes().to_vec())
            } else {
                // Long values are often wrapped over several lines.
                let packed: String = value.split_whitespace().collect();
                BASE64.decode(packed.as_bytes()).ok()
            };
            if let Some(value) = value {
                // `stringData` wins over `data`, as at an API server.
                secrets
                    .0
                    .insert((name.to_owned(), key.clone()), Secret::new(value));
            }
        }
    }
    secrets
}

/// `NAME/KEY=FILE` of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// Name of the Secret it stands for.
    pub name: String,
    /// Key in it.
    pub key: String,
    /// File with the value.
    pub file: PathBuf,
}

impl SecretFile {
    /// Reads the value, each time anew so that a rotation is noticed.
    #[must_use]
    pub fn read(&self) -> Option<Secret> {
        fs::read(&self.file).ok().map(Secret::new)
    }
}

impl FromStr for SecretFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('=')
            .and_then(|(place, file)| Some((place.split_once('/')?, file)))
            .filter(|((name, key), file)| !name.is_empty() && !key.is_empty() && !file.is_empty());
        let Some(((name, key), file)) = parts else {
            return Err("write NAME/KEY=FILE".into());
        };
        Ok(Self {
            name: name.to_owned(),
            key: key.to_owned(),
            file: file.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_operators_namespace_are_read() {
        let object = serde_json::json!({"metadata": {"name": "soc", "namespace": "kube-patrol"},
            "data": {"url": "aHR0cHM6\nLy9h", "bad": "%", "both": "YQ=="}, "stringData": {"both": "b"}});
        let secrets = of_object(&object, "kube-patrol");
        let read = |key| secrets.get("soc", key).and_then(Secret::expose_text);
        assert_eq!(read("url"), Some("https://a"));
        assert_eq!(read("both"), Some("b"));
        assert_eq!(read("bad"), None);
        assert!(!format!("{secrets:?}").contains("https"));
        assert_eq!(of_object(&object, "shop"), Secrets::default());
    }

    #[test]
    fn row89_a_file_that_is_blank_for_a_moment_keeps_its_last_good_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let file: SecretFile = format!("soc/key={}", path.display()).parse().unwrap();
        let last = LastGood::default();
        let hour = |n: u32| KEPT * n;
        let read = |now| last.take("soc", "key", file.read(), now);
        assert_eq!(read(hour(0)), None, "there is no file");
        for blank in ["", "\n"] {
            fs::write(&path, blank).unwrap();
            assert_eq!(read(hour(0)), Some(blank.into()), "there is no other yet");
        }
        fs::write(&path, "old\n").unwrap();
        assert_eq!(read(hour(1)), Some("old\n".into()));
        for blank in ["", " \r\n"] {
            fs::write(&path, blank).unwrap();
            assert_eq!(read(hour(1)), Some("old\n".into()), "{blank:?}");
        }
        let other = last.take("soc", "other", Some("x".into()), hour(3));
        assert_eq!(other, Some("x".into()));
        assert_eq!(last.0.lock().unwrap().len(), 1, "nobody used the first");
        fs::write(&path, "new").unwrap();
        assert_eq!(read(hour(3)), Some("new".into()));
        fs::remove_file(&path).unwrap();
        assert_eq!(read(hour(3)), None, "it was taken away");
        fs::write(&path, "").unwrap();
        assert_eq!(read(hour(3)), Some("".into()), "and is forgotten");
    }

    #[test]
    fn a_file_stands_for_a_key() {
        let file: SecretFile = "soc/url=/run/x=y".parse().unwrap();
        assert_eq!((&*file.name, &*file.key), ("soc", "url"));
        assert_eq!(file.file, PathBuf::from("/run/x=y"));
        for bad in ["", "a=b", "/k=f", "n/=f", "n/k="] {
            assert!(bad.parse::<SecretFile>().is_err(), "{bad}");
        }
    }
}
