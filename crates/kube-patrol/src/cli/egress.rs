//! `--receiver-proxy` and what belongs to it: the way out to receivers, as an admin sets it for the whole process.
//! Never prints an address of a proxy or a credential.

use std::path::PathBuf;
use std::sync::Arc;

use patrol_notify::Secret;
use patrol_notify::proxy::{Egress, ProxyError, ProxySettings, Scheme};

use super::Failure;

/// What stands for the environment's own variables.
const FROM_ENVIRONMENT: &str = "env";

/// The way to receivers
#[derive(clap::Args)]
pub(super) struct EgressArgs {
    /// Reach receivers through this proxy: http://HOST:PORT or https://HOST:PORT; or `env`: as HTTPS_PROXY, HTTP_PROXY and NO_PROXY say. Default: directly
    #[arg(
        long,
        value_name = "URL",
        env = "RECEIVER_PROXY",
        hide_env_values = true
    )]
    receiver_proxy: Option<String>,
    /// Receivers that are reached without the proxy: hosts, .domains, CIDRs of literal addresses, separated by commas
    #[arg(
        long,
        value_name = "LIST",
        env = "RECEIVER_NO_PROXY",
        hide_env_values = true
    )]
    receiver_no_proxy: Option<String>,
    /// File with USER:PASSWORD for the proxy, read each time
    #[arg(
        long,
        value_name = "FILE",
        env = "RECEIVER_PROXY_CREDENTIALS_FILE",
        hide_env_values = true
    )]
    receiver_proxy_credentials: Option<PathBuf>,
    /// File with the authorities in PEM that an https proxy is trusted by. Default: the system's
    #[arg(
        long,
        value_name = "FILE",
        env = "RECEIVER_PROXY_CA_FILE",
        hide_env_values = true
    )]
    receiver_proxy_ca: Option<PathBuf>,
}

/// Reads a variable of the environment.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

impl EgressArgs {
    /// The way out. `server` is what the API server is called by, which no proxy is asked for.
    pub fn egress(self, server: Option<String>) -> Result<Arc<Egress>, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let has_setting = self.receiver_proxy.is_some();
        let egress = self.read(&variable)?.never(server);
        if !has_setting
            && ["HTTPS_PROXY", "https_proxy"]
                .iter()
                .any(|name| variable(name).is_some())
        {
            tracing::info!(
                "HTTPS_PROXY is set, but receivers are reached directly: give --receiver-proxy=env to reach them through it"
            );
        }
        Ok(Arc::new(egress))
    }

    fn read(self, variable: Variable<'_>) -> Result<Egress, Failure> {
        let ca_pem = match &self.receiver_proxy_ca {
            None => None,
            Some(file) => Some(Secret::new(std::fs::read(file).map_err(|error| {
                Failure::new(format!(
                    "--receiver-proxy-ca: {}: {error}: name a file with certificates in PEM",
                    file.display()
                ))
            })?)),
        };
        let settings = |url: &str, may_hold_credentials: bool| ProxySettings {
            url: url.into(),
            may_hold_credentials,
            credentials: self.receiver_proxy_credentials.clone(),
            ca_pem: ca_pem.clone(),
        };
        let Some(url) = self.receiver_proxy.as_deref() else {
            let beside = [
                ("--receiver-no-proxy", self.receiver_no_proxy.is_some()),
                (
                    "--receiver-proxy-credentials",
                    self.receiver_proxy_credentials.is_some(),
                ),
                ("--receiver-proxy-ca", self.receiver_proxy_ca.is_some()),
            ];
            return match beside.iter().find(|(_, given)| *given) {
                Some((flag, _)) => Err(Failure::new(format!(
                    "{flag}: there is no proxy it could be about: give --receiver-proxy as well"
                ))),
                None => Ok(Egress::default()),
            };
        };
        let mut egress = Egress::default();
        let mut list = self.receiver_no_proxy.clone();
        if url == FROM_ENVIRONMENT {
            let mut any = false;
            for (names, scheme) in [
                (["HTTPS_PROXY", "https_proxy"], Scheme::Https),
                (["HTTP_PROXY", "http_proxy"], Scheme::Http),
            ] {
                let found = names.iter().find_map(|name| Some((name, variable(name)?)));
                if let Some((name, value)) = found {
                    egress = egress
                        .through(&settings(&value, true), Some(scheme))
                        .map_err(|error| wrong(name, &error))?;
                    any = true;
                }
            }
            if !any {
                return Err(Failure::new(
                    "--receiver-proxy=env: neither HTTPS_PROXY nor HTTP_PROXY is set: set one, or leave the flag out",
                ));
            }
            list = list.or_else(|| variable("NO_PROXY").or_else(|| variable("no_proxy")));
        } else {
            egress = egress
                .through(&settings(url, false), None)
                .map_err(|error| wrong("--receiver-proxy", &error))?;
        }
        match list {
            None => Ok(egress),
            Some(list) => egress
                .except(&list)
                .map_err(|error| wrong("--receiver-no-proxy", &error)),
        }
    }
}

fn wrong(what: &str, error: &ProxyError) -> Failure {
    Failure::new(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(proxy: Option<&str>, list: Option<&str>) -> EgressArgs {
        EgressArgs {
            receiver_proxy: proxy.map(Into::into),
            receiver_no_proxy: list.map(Into::into),
            receiver_proxy_credentials: None,
            receiver_proxy_ca: None,
        }
    }

    fn none(_: &str) -> Option<String> {
        None
    }

    fn proxied(egress: &Egress, url: &str) -> bool {
        egress.is_proxied(&url.into())
    }

    #[test]
    fn the_environment_counts_only_when_asked_for() {
        let env = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://user:s3cret@proxy.test:3128".to_owned()),
            "no_proxy" => Some(".svc,10.0.0.0/8".to_owned()),
            _ => None,
        };
        let direct = args(None, None).read(&env).unwrap();
        assert!(!direct.has_proxy());
        let by_env = args(Some("env"), None).read(&env).unwrap();
        for (url, expected) in [
            ("https://hooks.test/", true),
            ("http://hooks.test/", false),
            ("https://am.monitoring.svc/", false),
            ("https://10.1.1.1/", false),
        ] {
            assert_eq!(proxied(&by_env, url), expected, "{url}");
        }
        let ours = args(Some("env"), Some(".corp.test")).read(&env).unwrap();
        assert!(
            proxied(&ours, "https://am.monitoring.svc/"),
            "our list wins"
        );
        assert!(args(Some("env"), None).read(&none).is_err());
    }

    #[test]
    fn what_is_wrong_is_one_sentence_without_the_address() {
        for (proxy, list, says) in [
            (
                Some("socks5://s3cret.test"),
                None,
                "--receiver-proxy: it is no proxy's address",
            ),
            (
                Some("http://u:s3cret@proxy.test"),
                None,
                "--receiver-proxy: it holds a user name",
            ),
            (
                Some("http://proxy.test"),
                Some("s3cret:x"),
                "--receiver-no-proxy: entry 1",
            ),
            (None, Some(".svc"), "--receiver-no-proxy: there is no proxy"),
        ] {
            let error = args(proxy, list).read(&none).err().unwrap().to_string();
            assert!(error.starts_with(says), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        let both = args(Some("http://proxy.test"), Some(".svc"))
            .read(&none)
            .unwrap();
        assert!(proxied(&both, "http://hooks.test/") && !proxied(&both, "http://a.svc/"));
    }
}
