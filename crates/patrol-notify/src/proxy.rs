//! The way out to receivers: directly, or through the proxy that an admin has set.
//!
//! Behind a proxy the receiver's name is resolved there, so the address decision is the proxy's. What can be said before it
//! is asked is said here: addresses that are written out are judged in full, names by what they say, and `addresses.allow`
//! by the hosts it names. Its credentials are read on use and appear nowhere.

mod credentials;
mod exchange;
mod tunnel;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use url::Url;

use crate::address::{Bypass, BypassError, Filter, Refusal, Target};
use crate::secret::Secret;
use crate::tls::{self, TlsError};

pub use credentials::ProxyCredentials;

pub(crate) use exchange::{Reply, Way, send};

/// How receivers are reached. The default is directly.
#[derive(Clone, Default)]
pub struct Egress {
    https: Option<Arc<Hop>>,
    http: Option<Arc<Hop>>,
    bypass: Bypass,
    /// Names in lower case that are never sent to: the API server's.
    denied: Vec<String>,
}

/// One proxy.
pub(crate) struct Hop {
    /// Scheme, host and port, and nothing else.
    url: Url,
    /// For a proxy that is itself spoken to over TLS.
    tls: Option<Arc<ClientConfig>>,
    credentials: ProxyCredentials,
}

/// What is wrong with a proxy's settings. Never quotes them: an address may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// No address of a proxy.
    #[error("it is no proxy's address: write http://HOST:PORT or https://HOST:PORT")]
    Url,
    /// A password where everybody can read it.
    #[error(
        "it holds a user name or password, which everybody on the machine can read: store USER:PASSWORD in a file and name it in --receiver-proxy-credentials"
    )]
    Credentials,
    /// The authorities of an https proxy.
    #[error("its authorities cannot be used: {0}")]
    Ca(TlsError),
    /// The list of what is reached directly.
    #[error(transparent)]
    Bypass(#[from] BypassError),
}

/// A proxy as it is written down.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub url: Secret,
    /// Whether the URL may hold `USER:PASSWORD@`, as those of the environment do.
    pub may_hold_credentials: bool,
    /// File with `USER:PASSWORD`.
    pub credentials: Option<PathBuf>,
    /// PEM bundle that replaces the system's roots for an https proxy.
    pub ca_pem: Option<Secret>,
}

impl Egress {
    /// Adds the proxy for receivers of a scheme, both when it is `None`.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn through(
        mut self,
        settings: &ProxySettings,
        only: Option<Scheme>,
    ) -> Result<Self, ProxyError> {
        let hop = Arc::new(Hop::new(settings)?);
        if only != Some(Scheme::Http) {
            self.https = Some(Arc::clone(&hop));
        }
        if only != Some(Scheme::Https) {
            self.http = Some(hop);
        }
        Ok(self)
    }

    /// Reaches these receivers directly.
    ///
    /// # Errors
    /// Names the entry that cannot be understood.
    pub fn except(mut self, list: &str) -> Result<Self, ProxyError> {
        self.bypass = Bypass::parse(list)?;
        Ok(self)
    }

    /// Never asks a proxy for these names.
    #[must_use]
    pub fn never(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.denied = names
            .into_iter()
            .map(|name| name.trim_end_matches('.').to_ascii_lowercase())
            .collect();
        self
    }

    /// Whether a proxy is set at all.
    #[must_use]
    pub fn has_proxy(&self) -> bool {
        self.https.is_some() || self.http.is_some()
    }

    /// Whether the receiver at this URL is reached through a proxy.
    #[must_use]
    pub fn is_proxied(&self, url: &Secret) -> bool {
        Target::parse(url).is_ok_and(|target| self.hop(&target).is_some())
    }

    /// The proxy on the way to a receiver. This machine is never looked for behind one.
    pub(crate) fn hop(&self, target: &Target) -> Option<&Arc<Hop>> {
        let hop = match target.url().scheme() {
            "https" => self.https.as_ref(),
            _ => self.http.as_ref(),
        };
        hop.filter(|_| !target.is_loopback() && !self.bypass.covers(target))
    }

    /// Whether the proxy may be asked for this receiver.
    pub(crate) fn permits(&self, filter: &Filter, target: &Target) -> Result<(), Refusal> {
        filter.permits_unresolved(target, &self.denied)
    }
}

/// The scheme of a receiver's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

impl Hop {
    fn new(settings: &ProxySettings) -> Result<Self, ProxyError> {
        let text = settings.url.expose_text().ok_or(ProxyError::Url)?;
        // The environment's convention leaves the scheme out.
        let url = match text.contains("://") {
            false if settings.may_hold_credentials => Url::parse(&format!("http://{text}")),
            _ => Url::parse(text),
        };
        let mut url = url.map_err(|_| ProxyError::Url)?;
        let is_plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        if !matches!(url.scheme(), "http" | "https")
            || !is_plain
            || !has_host
            || url.port() == Some(0)
        {
            return Err(ProxyError::Url);
        }
        let mut credentials = ProxyCredentials::None;
        if !url.username().is_empty() || url.password().is_some() {
            if !settings.may_hold_credentials {
                return Err(ProxyError::Credentials);
            }
            credentials = ProxyCredentials::of_url(&url);
            // Neither can fail for a URL with a host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        if let Some(file) = &settings.credentials {
            credentials = ProxyCredentials::File(file.clone());
        }
        let tls = match url.scheme() {
            "https" => {
                let ca = settings.ca_pem.as_ref().map(Secret::expose);
                // What receivers are shown of us is not the proxy's business.
                Some(Arc::new(tls::config(ca, None).map_err(ProxyError::Ca)?))
            }
            _ => None,
        };
        Ok(Hop {
            url,
            tls,
            credentials,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> ProxySettings {
        ProxySettings {
            url: url.into(),
            ..ProxySettings::default()
        }
    }

    #[test]
    fn addresses_of_proxies() {
        for good in [
            "http://proxy.test:3128",
            "http://proxy.test",
            "https://proxy.test:8443/",
            "http://127.0.0.1:3128",
            "http://[::1]:3128",
        ] {
            assert!(Hop::new(&settings(good)).is_ok(), "{good}");
        }
        for bad in [
            "",
            "proxy.test:3128",
            "proxy.test",
            "socks5://proxy.test:1080",
            "http://",
            "http://proxy.test:0",
            "http://proxy.test/path",
            "http://proxy.test/?q",
            "http://proxy.test:99999",
        ] {
            let error = Hop::new(&settings(bad)).err();
            assert_eq!(error, Some(ProxyError::Url), "{bad}");
        }
        for bad in [
            "http://user:s3cret@proxy.test",
            "http://user@proxy.test:3128",
        ] {
            let error = Hop::new(&settings(bad)).err().unwrap();
            assert_eq!(error, ProxyError::Credentials, "{bad}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        let ca = ProxySettings {
            ca_pem: Some("hello".into()),
            ..settings("https://proxy.test")
        };
        let error = Hop::new(&ca).err();
        assert_eq!(error, Some(ProxyError::Ca(TlsError::NoCertificate)));
    }

    #[test]
    fn the_environments_may_hold_credentials_and_leave_the_scheme_out() {
        for (url, expected) in [
            ("http://user:p%40ss@proxy.test:3128", Some("user:p@ss")),
            ("user:pass@proxy.test:3128", Some("user:pass")),
            ("proxy.test:3128", None),
        ] {
            let hop = Hop::new(&ProxySettings {
                may_hold_credentials: true,
                ..settings(url)
            });
            let hop = hop.unwrap();
            assert_eq!(hop.url.as_str(), "http://proxy.test:3128/", "{url}");
            match (&hop.credentials, expected) {
                (ProxyCredentials::Value(secret), Some(expected)) => {
                    assert_eq!(secret.expose_text(), Some(expected));
                }
                (ProxyCredentials::None, None) => {}
                _ => panic!("{url}"),
            }
        }
    }

    #[test]
    fn who_goes_through_it() {
        let all = Egress::default().through(&settings("http://proxy.test"), None);
        let all = all.unwrap().except(".svc,10.0.0.0/8").unwrap();
        let only = Egress::default().through(&settings("http://proxy.test"), Some(Scheme::Https));
        let only = only.unwrap();
        for (url, by_all, by_only) in [
            ("https://hooks.test/x", true, true),
            ("http://hooks.test/x", true, false),
            ("http://alertmanager.monitoring.svc:9093/", false, false),
            ("https://10.1.1.1/", false, true),
            ("https://localhost/", false, false),
            ("https://a.localhost./", false, false),
            ("https://127.8.8.8/", false, false),
            ("https://[::1]/", false, false),
            ("https://[::ffff:127.0.0.1]/", false, false),
            ("no url", false, false),
        ] {
            assert_eq!(all.is_proxied(&url.into()), by_all, "{url}");
            assert_eq!(only.is_proxied(&url.into()), by_only, "{url}");
            assert!(!Egress::default().is_proxied(&url.into()), "{url}");
        }
        assert!(all.has_proxy() && !Egress::default().has_proxy());
        assert!(Egress::default().except("a b:c").is_err());
    }

    #[test]
    fn what_is_never_asked_for() {
        let cidr = crate::Allow::parse(&["10.0.0.0/8", "hooks.test"]).unwrap();
        let server: std::net::IpAddr = "10.96.0.1".parse().unwrap();
        let egress = Egress::default().never(["API.corp.test.".to_owned()]);
        let open = Filter::new(false, [server], None);
        let narrow = Filter::new(false, [server], Some(cidr));
        for (url, by_open, by_narrow) in [
            ("https://hooks.test/", None, None),
            ("https://HOOKS.test./", None, None),
            ("https://other.test/", None, Some(Refusal::NotNamed)),
            ("https://10.1.1.1/", None, None),
            ("https://203.0.113.9/", None, Some(Refusal::NotAllowed)),
            (
                "https://240.0.0.1/",
                Some(Refusal::Reserved),
                Some(Refusal::Reserved),
            ),
            (
                "https://0.0.0.0/",
                Some(Refusal::Unspecified),
                Some(Refusal::Unspecified),
            ),
            (
                "https://10.96.0.1/",
                Some(Refusal::Denied),
                Some(Refusal::Denied),
            ),
            (
                "https://api.corp.test/",
                Some(Refusal::Denied),
                Some(Refusal::Denied),
            ),
            (
                "https://kubernetes.default.svc/",
                Some(Refusal::Denied),
                Some(Refusal::Denied),
            ),
            (
                "http://metadata.google.internal/",
                Some(Refusal::Platform),
                Some(Refusal::Platform),
            ),
            (
                "http://localhost/",
                Some(Refusal::Loopback),
                Some(Refusal::Loopback),
            ),
            (
                "http://169.254.169.254/",
                Some(Refusal::LinkLocal),
                Some(Refusal::LinkLocal),
            ),
            (
                "http://2852039166/",
                Some(Refusal::LinkLocal),
                Some(Refusal::LinkLocal),
            ),
            (
                "http://[::ffff:a9fe:a9fe]/",
                Some(Refusal::LinkLocal),
                Some(Refusal::LinkLocal),
            ),
            (
                "http://100.100.100.200/",
                Some(Refusal::Platform),
                Some(Refusal::Platform),
            ),
        ] {
            let target = Target::parse(&url.into()).unwrap();
            assert_eq!(egress.permits(&open, &target).err(), by_open, "{url}");
            assert_eq!(egress.permits(&narrow, &target).err(), by_narrow, "{url}");
        }
    }
}
