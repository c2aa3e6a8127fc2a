//! Tables: URLs as an attacker or a tired admin writes them, and what the filter says.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::dns::Resolve;

use super::*;
use crate::secret::Secret;

/// What becomes of a URL before anything is looked up.
#[derive(Debug, PartialEq)]
enum Fate {
    Bad(UrlError),
    Blocked(Refusal),
    /// A permitted literal, in canonical form.
    Literal(&'static str),
    /// A name: judged at resolution.
    Name(&'static str),
}

fn fate(filter: &Filter, url: &str) -> Fate {
    let target = match Target::parse(&Secret::from(url)) {
        Ok(target) => target,
        Err(error) => return Fate::Bad(error),
    };
    if let Err(refusal) = filter.permits_literal(&target) {
        return Fate::Blocked(refusal);
    }
    let host: &'static str = Box::leak(target.host().to_string().into_boxed_str());
    match target.literal() {
        Some(_) => Fate::Literal(host),
        None => Fate::Name(host),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn production() -> Filter {
    Filter::new(
        false,
        [ip("10.96.0.1"), ip("10.244.1.7"), ip("fd12::9")],
        None,
    )
}

/// F19: every spelling of an address that no message may go to, and what may be sent to.
#[test]
fn f19_urls() {
    use Fate::{Bad, Blocked, Literal, Name};
    use Refusal::*;
    let rows = [
        // Loopback in every spelling.
        ("http://127.0.0.1/", Blocked(Loopback)),
        ("http://127.0.0.1:8080/x", Blocked(Loopback)),
        ("https://127.255.255.254/", Blocked(Loopback)),
        ("http://127.1/", Blocked(Loopback)),
        ("http://2130706433/", Blocked(Loopback)),
        ("http://0x7f000001/", Blocked(Loopback)),
        ("http://0x7f.1/", Blocked(Loopback)),
        ("http://0177.0.0.1/", Blocked(Loopback)),
        ("http://017700000001/", Blocked(Loopback)),
        ("http://127.0.0.1./", Blocked(Loopback)),
        ("http://127.0.0.1%2e/", Blocked(Loopback)),
        ("http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/", Blocked(Loopback)),
        ("http://127\u{3002}0\u{3002}0\u{3002}1/", Blocked(Loopback)),
        ("http://[::1]/", Blocked(Loopback)),
        ("http://[0:0:0:0:0:0:0:1]:9090/", Blocked(Loopback)),
        ("http://[::ffff:127.0.0.1]/", Blocked(Loopback)),
        ("http://[::ffff:7f00:1]/", Blocked(Loopback)),
        ("http://[::127.0.0.1]/", Blocked(Loopback)),
        ("http://[64:ff9b::7f00:1]/", Blocked(Loopback)),
        ("http://[2002:7f00:1::]/", Blocked(Loopback)),
        // A local NAT64 prefix of each length that it may have: /48, /56, /64.
        ("http://[64:ff9b:1:7f00:0:100:808:808]/", Blocked(Loopback)),
        ("http://[64:ff9b:1:7f:0:1:808:808]/", Blocked(Loopback)),
        ("http://[64:ff9b:1:0:7f:0:108:808]/", Blocked(Loopback)),
        ("http://[64:ff9b:1:0:aa7f:0:108:808]/", Blocked(Loopback)),
        ("http://[64:ff9b:1:1:2:3:127.0.0.1]/", Blocked(Loopback)),
        // Unspecified.
        ("http://0.0.0.0/", Blocked(Unspecified)),
        ("http://0/", Blocked(Unspecified)),
        ("http://0.1.2.3/", Blocked(Unspecified)),
        ("http://[::]/", Blocked(Unspecified)),
        ("http://[::ffff:0:0]/", Blocked(Unspecified)),
        // Link-local and metadata.
        (
            "http://169.254.169.254/latest/meta-data/",
            Blocked(LinkLocal),
        ),
        ("http://169.254.169.254./", Blocked(LinkLocal)),
        ("http://2852039166/", Blocked(LinkLocal)),
        ("http://0xa9fea9fe/", Blocked(LinkLocal)),
        ("http://0xA9.0xFE.0xA9.0xFE/", Blocked(LinkLocal)),
        ("http://0251.0376.0251.0376/", Blocked(LinkLocal)),
        ("http://169.16689662/", Blocked(LinkLocal)),
        ("http://169.254.170.2/v2/credentials", Blocked(LinkLocal)),
        ("http://[::ffff:a9fe:a9fe]/", Blocked(LinkLocal)),
        ("http://[::ffff:169.254.169.254]/", Blocked(LinkLocal)),
        ("http://[::169.254.169.254]/", Blocked(LinkLocal)),
        ("http://[::ffff:0:a9fe:a9fe]/", Blocked(LinkLocal)),
        ("http://[64:ff9b::a9fe:a9fe]/", Blocked(LinkLocal)),
        ("http://[64:ff9b::169.254.169.254]/", Blocked(LinkLocal)),
        ("http://[64:ff9b:1:ffff::a9fe:a9fe]/", Blocked(LinkLocal)),
        ("http://[2002:a9fe:a9fe::1]/", Blocked(LinkLocal)),
        (
            "http://[64:ff9b:1:a9fe:a9:fe00:808:808]/",
            Blocked(LinkLocal),
        ),
        ("http://[64:ff9b:1:0:64:6464:c808:808]/", Blocked(Platform)),
        (
            "http://[64:ff9b:1:6464:64:c800:808:808]/",
            Blocked(Platform),
        ),
        ("http://[fe80::1]/", Blocked(LinkLocal)),
        ("http://[febf::1]/", Blocked(LinkLocal)),
        ("http://100.100.100.200/", Blocked(Platform)),
        ("http://1684301000/", Blocked(Platform)),
        ("http://[::ffff:100.100.100.200]/", Blocked(Platform)),
        ("http://[64:ff9b::6464:64c8]/", Blocked(Platform)),
        ("http://168.63.129.16/", Blocked(Platform)),
        ("http://192.0.0.192/", Blocked(Platform)),
        ("http://100.96.0.96/", Blocked(Platform)),
        ("http://[fd00:ec2::254]/", Blocked(Platform)),
        ("http://[fd00:ec2::23]/", Blocked(Platform)),
        ("http://[fd20:ce::254]/", Blocked(Platform)),
        // Not unicast, not routable.
        ("http://224.0.0.1/", Blocked(Multicast)),
        ("http://239.255.255.250:1900/", Blocked(Multicast)),
        ("http://[ff02::1]/", Blocked(Multicast)),
        ("http://255.255.255.255/", Blocked(Broadcast)),
        ("http://4294967295/", Blocked(Broadcast)),
        ("http://240.0.0.1/", Blocked(Reserved)),
        ("http://192.0.0.8/", Blocked(Reserved)),
        ("http://[100::1]/", Blocked(Reserved)),
        ("http://[2001:0:1::1]/", Blocked(Reserved)),
        ("http://[fec0::1]/", Blocked(Reserved)),
        ("http://[5f00::1]/", Blocked(Reserved)),
        // The caller's list: API server and own pod.
        ("https://10.96.0.1/", Blocked(Denied)),
        ("https://[::ffff:10.96.0.1]/", Blocked(Denied)),
        ("https://[64:ff9b::a60:1]/", Blocked(Denied)),
        ("https://[64:ff9b:1:a60:0:100:808:808]/", Blocked(Denied)),
        ("https://[64:ff9b:1:a:60:1:808:808]/", Blocked(Denied)),
        ("https://[64:ff9b:1:0:a:6000:108:808]/", Blocked(Denied)),
        ("http://10.244.1.7:8080/metrics", Blocked(Denied)),
        ("http://[fd12::9]/", Blocked(Denied)),
        // Bad form.
        (
            "http://user:pass@hooks.example.com/",
            Bad(UrlError::Credentials),
        ),
        ("http://user@10.0.0.1/", Bad(UrlError::Credentials)),
        ("http://:pass@10.0.0.1/", Bad(UrlError::Credentials)),
        (
            "http://10.0.0.1@169.254.169.254/",
            Bad(UrlError::Credentials),
        ),
        ("ftp://hooks.example.com/", Bad(UrlError::Scheme)),
        ("file:///etc/passwd", Bad(UrlError::Scheme)),
        ("gopher://127.0.0.1:25/", Bad(UrlError::Scheme)),
        ("unix:/var/run/docker.sock", Bad(UrlError::Scheme)),
        ("hooks.example.com/path", Bad(UrlError::Malformed)),
        ("hooks.example.com:8080/path", Bad(UrlError::Scheme)),
        ("", Bad(UrlError::Malformed)),
        ("http://", Bad(UrlError::Malformed)),
        ("http://[fe80::1%25eth0]/", Bad(UrlError::Malformed)),
        ("http://1.2.3.4.5/", Bad(UrlError::Malformed)),
        ("http://256.0.0.1/", Bad(UrlError::Malformed)),
        ("http://10.0.0.1:0/", Bad(UrlError::Port)),
        ("http://10.0.0.1:70000/", Bad(UrlError::Malformed)),
        // Fine: public, private, names.
        ("https://203.0.113.10/hook", Literal("203.0.113.10")),
        ("https://10.0.0.5:8443/hook", Literal("10.0.0.5:8443")),
        ("http://192.168.1.1/", Literal("192.168.1.1")),
        ("http://172.16.3.4/", Literal("172.16.3.4")),
        ("http://100.64.0.1/", Literal("100.64.0.1")),
        ("http://3232235777/", Literal("192.168.1.1")),
        ("http://[fd00::5]:9093/", Literal("[fd00::5]:9093")),
        ("http://[2606:4700::1111]/", Literal("[2606:4700::1111]")),
        ("http://[::ffff:10.0.0.5]/", Literal("[::ffff:a00:5]")),
        (
            "http://[64:ff9b:1::10.0.0.5]/",
            Literal("[64:ff9b:1::a00:5]"),
        ),
        (
            "http://[64:ff9b:1:abcd::10.0.0.5]/",
            Literal("[64:ff9b:1:abcd::a00:5]"),
        ),
        (
            "https://hooks.example.com/T0/B0/secret\n",
            Name("hooks.example.com"),
        ),
        ("https://HOOKS.Example.com:443/", Name("hooks.example.com")),
        ("https://hooks.example.com./", Name("hooks.example.com.")),
        ("http://localhost/", Name("localhost")),
        (
            "http://metadata.google.internal/",
            Name("metadata.google.internal"),
        ),
        (
            "https://hooks.example.com\\@169.254.169.254/",
            Name("hooks.example.com"),
        ),
    ];
    assert!(rows.len() >= 40);
    let filter = production();
    for (url, expected) in rows {
        assert_eq!(fate(&filter, url), expected, "{url}");
    }
}

#[test]
fn loopback_can_be_lifted_and_nothing_else() {
    let filter = Filter::new(true, [ip("127.0.0.1"), ip("10.96.0.1")], None);
    for (address, expected) in [
        ("127.0.0.1", Ok(())),
        ("127.8.8.8", Ok(())),
        ("::1", Ok(())),
        ("::ffff:127.0.0.1", Ok(())),
        // Behind a translator it is another machine's loopback.
        ("64:ff9b::7f00:1", Err(Refusal::Loopback)),
        ("::127.0.0.1", Err(Refusal::Loopback)),
        ("0.0.0.0", Err(Refusal::Unspecified)),
        ("169.254.169.254", Err(Refusal::LinkLocal)),
        ("fe80::1", Err(Refusal::LinkLocal)),
        ("10.96.0.1", Err(Refusal::Denied)),
        ("100.100.100.200", Err(Refusal::Platform)),
    ] {
        assert_eq!(
            filter.permits("localhost", ip(address)),
            expected,
            "{address}"
        );
    }
}

#[test]
fn an_allow_list_narrows_and_never_lifts() {
    let allow = Allow::parse(&[
        "10.0.0.0/8",
        "192.168.7.9",
        "fd00::/8",
        "[2001:db8::1]",
        "Hooks.Example.com.",
        "169.254.0.0/16",
        "0.0.0.0/32",
    ])
    .unwrap();
    let filter = Filter::new(false, [ip("10.96.0.1")], Some(allow));
    for (host, address, expected) in [
        ("any.example.com", "10.1.2.3", Ok(())),
        ("any.example.com", "::ffff:10.1.2.3", Ok(())),
        ("any.example.com", "11.1.2.3", Err(Refusal::NotAllowed)),
        ("any.example.com", "192.168.7.9", Ok(())),
        ("any.example.com", "192.168.7.8", Err(Refusal::NotAllowed)),
        ("any.example.com", "fd00::5", Ok(())),
        ("any.example.com", "2001:db8::1", Ok(())),
        ("any.example.com", "2001:db8::2", Err(Refusal::NotAllowed)),
        ("hooks.example.com", "93.184.216.34", Ok(())),
        ("hooks.example.com.", "93.184.216.34", Ok(())),
        (
            "xhooks.example.com",
            "93.184.216.34",
            Err(Refusal::NotAllowed),
        ),
        // Allowed by name or network, still never.
        ("hooks.example.com", "127.0.0.1", Err(Refusal::Loopback)),
        ("hooks.example.com", "10.96.0.1", Err(Refusal::Denied)),
        (
            "any.example.com",
            "169.254.169.254",
            Err(Refusal::LinkLocal),
        ),
        ("any.example.com", "0.0.0.0", Err(Refusal::Unspecified)),
        ("hooks.example.com", "fd00:ec2::254", Err(Refusal::Platform)),
    ] {
        assert_eq!(
            filter.permits(host, ip(address)),
            expected,
            "{host} {address}"
        );
    }
}

#[test]
fn all_of_each_network_of_a_platform_is_refused() {
    let last = |network: IpAddr, prefix: u32| match network {
        IpAddr::V4(v4) => {
            IpAddr::V4((v4.to_bits() | u32::MAX.checked_shr(prefix).unwrap_or(0)).into())
        }
        IpAddr::V6(v6) => {
            IpAddr::V6((v6.to_bits() | u128::MAX.checked_shr(prefix).unwrap_or(0)).into())
        }
    };
    for (network, prefix) in platform_networks() {
        for address in [network, last(network, prefix)] {
            let found = production().permits("", address);
            assert!(
                matches!(found, Err(Refusal::LinkLocal | Refusal::Platform)),
                "{address}: {found:?}"
            );
        }
    }
    for (network, prefix, is_it) in [
        ("169.254.0.0", 16, true),
        ("169.254.169.254", 32, true),
        ("169.254.0.0", 15, false),
        ("100.100.100.200", 32, true),
        ("100.100.100.200", 31, false),
        ("10.0.0.0", 8, false),
        ("fd00:ec2::254", 128, true),
        ("fd00:ec2::", 31, false),
        ("fe80::", 10, true),
        // The bits of 169.254.0.0, in another family.
        ("a9fe::", 16, false),
    ] {
        assert_eq!(
            is_of_platform(ip(network), prefix),
            is_it,
            "{network}/{prefix}"
        );
    }
}

#[test]
fn everything_v6_or_v4_by_prefix_zero() {
    let filter = Filter::new(false, [], Some(Allow::parse(&["::/0"]).unwrap()));
    assert_eq!(filter.permits("a", ip("2606:4700::1")), Ok(()));
    assert_eq!(filter.permits("a", ip("8.8.8.8")), Err(Refusal::NotAllowed));
    let filter = Filter::new(false, [], Some(Allow::parse(&["0.0.0.0/0"]).unwrap()));
    assert_eq!(filter.permits("a", ip("8.8.8.8")), Ok(()));
    assert_eq!(
        filter.permits("a", ip("2606:4700::1")),
        Err(Refusal::NotAllowed)
    );
}

#[test]
fn an_empty_allow_list_is_not_set() {
    let none: [&str; 0] = [];
    let filter = Filter::new(false, [], Some(Allow::parse(&none).unwrap()));
    assert_eq!(filter.permits("a", ip("8.8.8.8")), Ok(()));
}

#[test]
fn bad_allow_entries_are_named_by_index() {
    for (entries, index) in [
        (vec!["10.0.0.0/33"], 0),
        (vec!["10.0.0.0/8", "fd00::/129"], 1),
        (vec!["10.0.0.0/8", "a.example.com", "10.0.0/8"], 2),
        (vec!["10.0.0.0/"], 0),
        (vec!["10.0.0.0/-1"], 0),
        (vec!["https://hooks.example.com/x"], 0),
        (vec!["hooks.example.com:443"], 0),
        (vec!["*.example.com"], 0),
        (vec![" "], 0),
        (vec!["a b"], 0),
    ] {
        let error = Allow::parse(&entries).unwrap_err();
        assert_eq!(error.index, index, "{entries:?}");
        let shown = error.to_string();
        assert!(
            shown.starts_with(&format!("addresses.allow[{index}]: ")),
            "{shown}"
        );
    }
}

#[test]
fn a_target_shows_its_host_only() {
    let target =
        Target::parse(&"https://h.example.com:8443/T0/S3CRET?key=S3CRET#S3CRET".into()).unwrap();
    assert_eq!(target.host(), "h.example.com:8443");
    assert!(!format!("{target:?}").contains("S3CRET"));
    assert_eq!(target.url().fragment(), None);
    for url in ["https://S3CRET@h/", "S3CRET://h", "http://S3CRET:99999/"] {
        let error = Target::parse(&url.into()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("S3CRET"));
        assert_eq!(error.to_string(), error.detail());
    }
}

/// Answers with what it was given.
struct Fixed(Vec<IpAddr>);

impl Lookup for Fixed {
    fn lookup(&self, _host: String) -> LookupFuture {
        let answers = self.0.clone();
        Box::pin(async move { Ok(answers) })
    }
}

async fn resolve(answers: &[&str]) -> Result<Vec<String>, Option<Refusal>> {
    let lookup = Fixed(answers.iter().map(|text| ip(text)).collect());
    let resolver = FilteredResolver::new(Arc::new(production()), Arc::new(lookup));
    match resolver.resolve("hooks.example.com".parse().unwrap()).await {
        Ok(addresses) => Ok(addresses.map(|address| address.ip().to_string()).collect()),
        Err(error) => Err(error.downcast_ref::<Refused>().map(|refused| refused.0)),
    }
}

#[tokio::test]
async fn f18_the_resolver_returns_permitted_answers_only() {
    assert_eq!(
        resolve(&["169.254.169.254", "10.0.0.5", "127.0.0.1", "2606:4700::1"]).await,
        Ok(vec!["10.0.0.5".into(), "2606:4700::1".into()])
    );
    assert_eq!(
        resolve(&["169.254.169.254", "127.0.0.1"]).await,
        Err(Some(Refusal::LinkLocal))
    );
    assert_eq!(
        resolve(&["::ffff:127.0.0.1"]).await,
        Err(Some(Refusal::Loopback))
    );
    assert_eq!(resolve(&["10.96.0.1"]).await, Err(Some(Refusal::Denied)));
    assert_eq!(resolve(&[]).await, Err(None));
}

#[tokio::test]
async fn of_very_many_addresses_the_same_sixteen_are_sent_to() {
    let all: Vec<IpAddr> = (1..=40).map(|n| ip(&format!("10.0.0.{n}"))).collect();
    let barred = ["169.254.169.254", "10.96.0.1"].map(ip);
    let answers = |turn: usize, count: usize| {
        let mut answers = all[..count].to_vec();
        answers.extend(barred);
        answers.extend(&all[..count]);
        answers.rotate_left(turn);
        Fixed(answers)
    };
    let url = Secret::from("http://members.example.com/");
    for (count, sent, left_out) in [(1, 1, 0), (16, 16, 0), (17, 16, 1), (40, 16, 24)] {
        for turn in [0, 7, 30] {
            let lookup = answers(turn % count, count);
            let found = every_address(&url, &production(), &lookup).await.unwrap();
            assert_eq!(found.addresses, all[..sent], "{count} turned by {turn}");
            assert_eq!(found.left_out, left_out, "{count} turned by {turn}");
        }
    }
}

#[tokio::test]
async fn the_system_resolver_answers_are_filtered_too() {
    let resolver = FilteredResolver::new(Arc::new(production()), Arc::new(SystemLookup));
    let error = match resolver.resolve("localhost".parse().unwrap()).await {
        Ok(_) => panic!("localhost must not pass"),
        Err(error) => error,
    };
    assert_eq!(
        error.downcast_ref::<Refused>().map(|refused| refused.0),
        Some(Refusal::Loopback)
    );
}
