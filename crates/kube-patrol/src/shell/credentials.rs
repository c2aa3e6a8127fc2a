//! The values of the Secrets that a receiver names: read on use, in the operator's namespace. Never shows one.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use patrol_api::receiver::{Endpoint, HeaderFrom, SecretKeyRef, TlsSecretRef, UrlFrom};
use patrol_core::effect::Target;
use patrol_core::event::DeliveryClass;
use patrol_notify::Secret;

use super::delivery::Post;

/// What an endpoint names, whatever its kind.
pub(super) struct Needs<'a> {
    pub urls: Vec<&'a str>,
    pub url_from: Option<&'a UrlFrom>,
    pub credential: Option<&'a SecretKeyRef>,
    pub ca: Option<&'a SecretKeyRef>,
    pub certificate: Option<&'a TlsSecretRef>,
    pub headers: &'a [HeaderFrom],
}

impl<'a> Needs<'a> {
    pub fn of(endpoint: &'a Endpoint) -> Self {
        let chat = |url_from: &'a UrlFrom, credential: Option<&'a SecretKeyRef>| Needs {
            urls: vec![],
            url_from: Some(url_from),
            credential,
            ca: None,
            certificate: None,
            headers: &[],
        };
        match endpoint {
            Endpoint::Webhook(webhook) => Needs {
                urls: webhook.url.as_deref().into_iter().collect(),
                url_from: webhook.url_from.as_ref(),
                credential: webhook.signing_secret_ref.as_ref(),
                ca: webhook.ca_secret_ref.as_ref(),
                certificate: webhook.client_cert_secret_ref.as_ref(),
                headers: &webhook.headers_from,
            },
            Endpoint::Alertmanager(spec) => Needs {
                urls: spec
                    .url
                    .iter()
                    .chain(&spec.urls)
                    .map(String::as_str)
                    .collect(),
                url_from: spec.url_from.as_ref(),
                credential: None,
                ca: spec.ca_secret_ref.as_ref(),
                certificate: spec.client_cert_secret_ref.as_ref(),
                headers: &spec.headers_from,
            },
            Endpoint::Slack(spec) => chat(&spec.url_from, None),
            Endpoint::Teams(spec) => chat(&spec.url_from, None),
            Endpoint::Dingtalk(spec) => chat(&spec.url_from, spec.signing_secret_ref.as_ref()),
            Endpoint::Feishu(spec) => chat(&spec.url_from, spec.signing_secret_ref.as_ref()),
            Endpoint::Wecom(spec) => chat(&spec.url_from, None),
            Endpoint::Pagerduty(spec) => Needs {
                urls: vec![&spec.url],
                url_from: None,
                credential: Some(&spec.routing_key_secret_ref),
                ca: None,
                certificate: None,
                headers: &[],
            },
        }
    }
}

impl Needs<'_> {
    /// The keys of Secrets that have a part in reaching it.
    fn keys(&self) -> Vec<SecretKeyRef> {
        let url = self.url_from.filter(|_| self.urls.is_empty());
        let pair = self
            .certificate
            .into_iter()
            .flat_map(|at| [at.certificate(), at.private_key()]);
        let headers = self.headers.iter().map(|header| &header.secret_key_ref);
        url.map(|from| &from.secret_key_ref)
            .into_iter()
            .chain(self.credential)
            .chain(self.ca)
            .chain(headers)
            .cloned()
            .chain(pair)
            .collect()
    }
}

/// The values of the Secrets that a target names.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    values: BTreeMap<(String, String), Secret>,
    /// The first that cannot be read; none is read after it.
    missing: Option<(String, String)>,
    /// Whether that one is there, but empty.
    is_blank: bool,
}

impl Credentials {
    /// Reads them; `fresh` reads past any cache.
    pub async fn read(post: &Post, target: &Target, fresh: bool) -> Self {
        let mut all = Self::default();
        for at in Needs::of(&target.endpoint).keys() {
            match post.secrets.read(&at.name, &at.key, fresh).await {
                Some(value) if !value.is_blank() => {
                    drop(all.values.insert((at.name, at.key), value));
                }
                other => {
                    all.is_blank = other.is_some();
                    all.missing = Some((at.name, at.key));
                    break;
                }
            }
        }
        all
    }

    #[cfg(test)]
    pub fn of<'a>(pairs: impl IntoIterator<Item = (SecretKeyRef, &'a str)>) -> Self {
        let pairs = pairs.into_iter();
        Self {
            values: pairs.map(|(at, v)| ((at.name, at.key), v.into())).collect(),
            ..Self::default()
        }
    }

    /// Whether all of them can be read.
    pub fn are_complete(&self) -> bool {
        self.missing.is_none()
    }

    /// Whether there are any.
    pub fn are_none(&self) -> bool {
        self.values.is_empty() && self.missing.is_none()
    }

    /// A number that is another one as soon as a value is, and says nothing of it to whoever does not know the state of
    /// the hasher, which is random in each process.
    pub fn mark(&self, hasher: &RandomState) -> u64 {
        let values = self.values.iter();
        let values: Vec<_> = values.map(|(at, value)| (at, value.expose())).collect();
        hasher.hash_one((values, &self.missing))
    }

    /// A condition cannot say which Secret is missing, so the log does.
    pub fn get(&self, target: &Target, at: &SecretKeyRef) -> Result<Secret, DeliveryClass> {
        let value = self.values.get(&(at.name.clone(), at.key.clone()));
        value.cloned().ok_or_else(|| {
            tracing::warn!(
                receiver = target.name,
                secret = at.name,
                key = at.key,
                "{}",
                self.why(at)
            );
            DeliveryClass::SecretMissing
        })
    }

    /// What is wrong with a key that is missing.
    pub fn why(&self, at: &SecretKeyRef) -> &'static str {
        let is_it = |(name, key): &(String, String)| *name == at.name && *key == at.key;
        match self.is_blank && self.missing.as_ref().is_some_and(is_it) {
            true => "a key of a Secret that the receiver names is empty: write its value",
            false => {
                "a Secret or key that the receiver names cannot be read in the operator's namespace: create it"
            }
        }
    }
}
