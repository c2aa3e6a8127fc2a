//! Which receivers are reached without the proxy: the list that others call `NO_PROXY`.
//!
//! Pure. `example.com` covers that host and what is below it, `.example.com` and `*.example.com` only what is below,
//! `*` everything; a port after a host narrows it; CIDRs and addresses cover hosts that are written as an address, for
//! names are not resolved to decide it. (The rules are those of Go's `httpproxy`, which most of a cluster follows.)

use super::allow::Allow;
use super::names::normal;
use super::target::Target;

/// A parsed list. Empty: everything goes through the proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bypass {
    all: bool,
    networks: Allow,
    hosts: Vec<Host>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    /// `.example.com`.
    below: String,
    /// The domain itself, too.
    itself: bool,
    port: Option<u16>,
}

/// An entry that is none of what the list takes. Position from 1: what stands there may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {0} is no host, domain or CIDR: write them as in .svc,example.com,10.0.0.0/8")]
pub struct BypassError(pub usize);

impl Bypass {
    /// Parses a list separated by commas or spaces.
    ///
    /// # Errors
    /// The position of the first entry that cannot be understood.
    pub fn parse(text: &str) -> Result<Self, BypassError> {
        let mut bypass = Bypass::default();
        let mut networks = vec![];
        let entries = text.split([',', ' ', '\t', '\n']).map(str::trim);
        for (index, entry) in entries.filter(|entry| !entry.is_empty()).enumerate() {
            let wrong = BypassError(index + 1);
            let bare = entry.trim_start_matches('[').trim_end_matches(']');
            if entry == "*" {
                bypass.all = true;
            } else if entry.contains('/') || bare.parse::<std::net::IpAddr>().is_ok() {
                Allow::parse(&[bare]).map_err(|_| wrong)?;
                networks.push(bare.to_owned());
            } else {
                bypass.hosts.push(host(entry).ok_or(wrong)?);
            }
        }
        bypass.networks = Allow::parse(&networks).unwrap_or_default();
        Ok(bypass)
    }

    /// Whether a receiver is reached directly.
    #[must_use]
    pub fn covers(&self, target: &Target) -> bool {
        if self.all {
            return true;
        }
        if let Some(address) = target.literal() {
            return self.networks.covers("", address.to_canonical());
        }
        let name = normal(target.url().host_str().unwrap_or(""));
        let port = target.url().port_or_known_default();
        self.hosts.iter().any(|host| {
            let fits = name.ends_with(&host.below)
                || (host.itself && Some(name.as_str()) == host.below.strip_prefix('.'));
            fits && host.port.is_none_or(|wanted| Some(wanted) == port)
        })
    }
}

fn host(entry: &str) -> Option<Host> {
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok()?)),
        None => (entry, None),
    };
    let below = name.strip_prefix("*.").or_else(|| name.strip_prefix('.'));
    let (itself, domain) = match below {
        Some(domain) => (false, domain),
        None => (true, name),
    };
    // The URL parser's own idea of a host, so that both sides are written alike.
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(domain)) if !domain.contains('*') => Some(Host {
            below: format!(".{}", normal(&domain)),
            itself,
            port,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::parse(&url.into()).unwrap()
    }

    #[test]
    fn what_is_reached_directly() {
        let list = ".svc, example.com,*.corp.test,10.0.0.0/8 192.0.2.7,2001:db8::/32,[::5],one.test:8443,BÜCHER.test";
        let bypass = Bypass::parse(list).unwrap();
        for (url, expected) in [
            ("http://alertmanager.monitoring.svc:9093/", true),
            ("http://alertmanager.monitoring.svc./", true),
            ("http://svc/", false),
            ("https://example.com/", true),
            ("https://EXAMPLE.com./", true),
            ("https://a.example.com/", true),
            ("https://notexample.com/", false),
            ("https://a.corp.test/", true),
            ("https://corp.test/", false),
            ("http://10.1.2.3/", true),
            ("http://[::ffff:10.1.2.3]/", true),
            ("http://11.1.2.3/", false),
            ("http://192.0.2.7/", true),
            ("http://[2001:db8::1]/", true),
            ("http://[::5]/", true),
            ("https://one.test:8443/", true),
            ("https://one.test/", false),
            ("https://bücher.test/", true),
            ("https://hooks.slack.com/", false),
        ] {
            assert_eq!(bypass.covers(&target(url)), expected, "{url}");
        }
        assert!(!Bypass::parse("").unwrap().covers(&target("http://a/")));
        let all = Bypass::parse("a.test,*").unwrap();
        assert!(all.covers(&target("http://anything/")));
        assert!(all.covers(&target("http://203.0.113.1/")));
    }

    #[test]
    fn what_cannot_be_understood_is_named_by_its_position() {
        for (list, position) in [
            ("a.test,b c.test,10.0.0.0/33", 4),
            ("host:port", 1),
            ("x, a*b.test", 2),
            (".", 1),
            ("10.0.0/8", 1),
        ] {
            assert_eq!(Bypass::parse(list), Err(BypassError(position)), "{list}");
        }
    }
}
