//! Where a receiver's URL points.
//!
//! The URL as a whole is a credential (chat URLs are). Only the host, and the port if written, may be
//! shown; parse errors are fixed sentences.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use super::names;
use crate::secret::Secret;

/// A URL that can be sent to, as far as its form goes. Its address is the filter's business.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    host: String,
}

/// What is wrong with a URL's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// Does not parse, or is not text.
    Malformed,
    /// Neither http nor https.
    Scheme,
    /// `user:password@`.
    Credentials,
    /// Port 0.
    Port,
}

impl UrlError {
    /// Our own sentence about it.
    pub fn detail(self) -> &'static str {
        match self {
            UrlError::Malformed => {
                "the receiver's URL cannot be parsed: write it as https://host/path"
            }
            UrlError::Scheme => {
                "the receiver's URL has another scheme than http or https: use one of these"
            }
            UrlError::Credentials => {
                "the receiver's URL carries a user name or password: take it out of the URL, use a header from a Secret"
            }
            UrlError::Port => "the receiver's URL has port 0: use a real port",
        }
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())
    }
}

impl std::error::Error for UrlError {}

impl Target {
    /// Parses the whole URL.
    ///
    /// # Errors
    /// The first fault of its form; never a part of it.
    pub fn parse(url: &Secret) -> Result<Self, UrlError> {
        let text = url.expose_text().ok_or(UrlError::Malformed)?;
        let mut url = Url::parse(text).map_err(|_| UrlError::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials);
        }
        if url.port() == Some(0) {
            return Err(UrlError::Port);
        }
        // A fragment is never sent.
        url.set_fragment(None);
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_string(),
            (None, _) => return Err(UrlError::Malformed),
        };
        Ok(Target { url, host })
    }

    /// Host, and port when it is written: the only part that may be shown.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address when the host is one. The URL parser has already turned decimal, octal and
    /// hexadecimal spellings and a trailing dot into the plain form.
    pub(crate) fn literal(&self) -> Option<IpAddr> {
        match self.url.host()? {
            Host::Ipv4(v4) => Some(IpAddr::V4(v4)),
            Host::Ipv6(v6) => Some(IpAddr::V6(v6)),
            Host::Domain(_) => None,
        }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Whether the host is this machine, by its address or its name.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.literal() {
            Some(address) => address.to_canonical().is_loopback(),
            None => names::is_loopback(&names::normal(self.url.host_str().unwrap_or(""))),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}
