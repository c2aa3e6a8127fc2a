//! Real peers on loopback: alerts arrive in Debian's Alertmanager and close there, what we send as Alertmanager's webhook is
//! what Alertmanager sends, and Prometheus scrapes us and runs the shipped rules.

#![allow(
    clippy::indexing_slicing,
    reason = "JSON of others: what is missing is null, and the test says so"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use patrol_e2e::operator::Process;
use patrol_e2e::peers::{Peer, free_address};
use patrol_e2e::receiver::Receiver;
use patrol_e2e::skip::or_skip;
use patrol_e2e::{Context, Result, http, installed, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(120);

const POLICY: &str = r#"
apiVersion: kubepatrol.io/v1alpha1
kind: PatrolPolicy
metadata: {name: shop}
spec:
  schedule: {every: 10s}
  checks:
  - name: security-sidecar
    severity: Critical
    sidecar: {container: aegis}
  tickets: {clearAfter: 1s}
  alerts: {groupWait: 1s, groupInterval: 1s, receivers: [RECEIVERS]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
"#;

/// A folder with a gap and these receivers.
struct World(tempfile::TempDir);

impl World {
    fn new(receivers: &[(&str, String)]) -> Result<Self> {
        let world = Self(tempfile::tempdir().context("a folder")?);
        let names: Vec<String> = receivers
            .iter()
            .map(|(name, _)| format!("{{name: {name}}}"))
            .collect();
        let mut text = POLICY.replace("RECEIVERS", &names.join(", "));
        for (name, spec) in receivers {
            text.push_str(&format!(
                "---\napiVersion: kubepatrol.io/v1alpha1\nkind: AlertReceiver\nmetadata: {{name: {name}}}\nspec: {spec}\n"
            ));
        }
        world.write("policy.yaml", &text)?;
        world.mended(false)?;
        Ok(world)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let file = self.0.path().join(name);
        fs::write(&file, text).context(file.display())
    }

    fn mended(&self, is_mended: bool) -> Result<()> {
        let sidecar = match is_mended {
            true => "\n      - {name: aegis, image: registry.example.com/security/aegis:3.1.0}",
            false => "",
        };
        self.write(
            "web.yaml",
            &format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: shop}}\nspec:\n  \
                 replicas: 3\n  selector: {{matchLabels: {{app: web}}}}\n  template:\n    \
                 metadata: {{labels: {{app: web}}}}\n    spec:\n      containers:\n      \
                 - {{name: web, image: registry.example.com/shop/web:1}}{sidecar}\n"
            ),
        )
    }

    fn patrol(&self, more: &[&str]) -> Result<Process> {
        let dir: &Path = self.0.path();
        let args = Process::builder().arg("local").arg(dir);
        args.args(more).spawn()
    }
}

/// Alertmanager that tells a webhook at once, and would forget an alert without an end within a second.
fn config(webhook: &str) -> String {
    format!(
        "global: {{resolve_timeout: 1s}}\n\
         route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers: [{{name: hook, webhook_configs: [{{url: \"{webhook}\", send_resolved: true}}]}}]\n"
    )
}

/// The alert about the gap, while it is active.
fn active(alertmanager: &Peer) -> Result<Option<Value>> {
    let alerts = alertmanager.json("/api/v2/alerts?active=true")?;
    let mut ours = alerts.as_array().into_iter().flatten();
    Ok(ours
        .find(|alert| alert["labels"]["alertname"] == "KubePatrolSidecarMissing")
        .cloned())
}

fn wait_active(alertmanager: &Peer, wanted: bool) -> Result<Option<Value>> {
    let what = format!("an active alert: {wanted}");
    wait_until(SOON, &what, || match active(alertmanager) {
        Ok(alert) if alert.is_some() == wanted => Ok(alert),
        Ok(alert) => Err(format!("{alert:?}")),
        Err(error) => Err(error.to_string()),
    })
}

/// Messages at a path of the receiver, of a status.
fn message(receiver: &Receiver, path: &str, status: &str) -> Result<Value> {
    let what = format!("a {status} message at {path}");
    wait_until(SOON, &what, || {
        receiver
            .requests()
            .iter()
            .filter(|request| request.path == path)
            .filter_map(|request| serde_json::from_slice::<Value>(&request.body).ok())
            .find(|body| {
                body["status"] == status
                    && body["commonLabels"]["alertname"] == "KubePatrolSidecarMissing"
            })
    })
}

/// Names of fields with the kind of their values; of maps of labels and annotations only that they are maps of texts.
fn shape(value: &Value) -> BTreeSet<String> {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    };
    let fields = value.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| format!("{name}: {}", kind(value)))
        .collect()
}

/// F34 and F35: alerts arrive, survive our absence, are there again after a restart, and close; and what Alertmanager tells
/// its webhook is what we tell one in its stead.
#[test]
fn f34_f35_a_real_alertmanager_is_told_holds_and_closes() -> Result<()> {
    let receiver = Receiver::start()?;
    let alertmanager = Peer::alertmanager(&config(&receiver.url("/alertmanager")));
    let Some(mut alertmanager) = or_skip("real_alertmanager", alertmanager)? else {
        return Ok(());
    };
    let world = World::new(&[
        (
            "am",
            format!(
                "{{alertmanager: {{url: \"http://localhost:{}\", everyAddress: true, holdFor: 1h}}}}",
                alertmanager.address().port()
            ),
        ),
        (
            "v4",
            format!(
                "{{webhook: {{url: \"{}\", format: alertmanager/v4}}}}",
                receiver.url("/v4")
            ),
        ),
    ])?;
    let mut patrol = world.patrol(&[])?;
    let alert = wait_active(&alertmanager, true)?.unwrap_or_default();
    for (label, value) in [
        ("severity", "critical"),
        ("policy", "shop"),
        ("namespace", "shop"),
        ("subject_kind", "Deployment"),
        ("subject_name", "web"),
        ("check", "sidecar-missing"),
    ] {
        assert_eq!(alert["labels"][label], value, "{label}");
    }

    // The same message from both, field by field. Only what names the alert leaves the severity out, which may change while it
    // is the same alert for us.
    let theirs = message(&receiver, "/alertmanager", "firing")?;
    let ours = message(&receiver, "/v4", "firing")?;
    assert_eq!(shape(&ours), shape(&theirs));
    let (their, our) = (&theirs["alerts"][0], &ours["alerts"][0]);
    assert_eq!(shape(our), shape(their));
    for field in ["labels", "status", "endsAt", "generatorURL"] {
        assert_eq!(our[field], their[field], "{field}");
    }
    let name = our["fingerprint"].as_str().unwrap_or_default();
    assert_eq!(name.len(), 16, "{name}");
    assert_ne!(our["fingerprint"], their["fingerprint"]);

    // We are away, and it would have forgotten an alert without an end.
    patrol.kill()?;
    assert!(active(&alertmanager)?.is_some(), "held while we are away");
    // It is away too, and has forgotten everything.
    alertmanager.stop()?;
    alertmanager.start()?;
    assert_eq!(
        active(&alertmanager)?,
        None,
        "it keeps alerts in memory alone"
    );
    let mut patrol = world.patrol(&[])?;
    wait_active(&alertmanager, true)?;
    patrol.check_alive()?;

    world.mended(true)?;
    wait_active(&alertmanager, false)?;
    message(&receiver, "/alertmanager", "resolved")?;
    let ours = message(&receiver, "/v4", "resolved")?;
    assert_eq!(ours["alerts"][0]["status"], "resolved");
    Ok(())
}

/// As much of an IRC server as lets a relay in; says every line that it gets.
fn irc() -> Result<(std::net::SocketAddr, mpsc::Receiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("an IRC server")?;
    let address = listener.local_addr().context("an IRC server")?;
    let (say, said) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(mut answers) = stream.try_clone() else {
                return;
            };
            for line in BufReader::new(stream).lines().map_while(|line| line.ok()) {
                let word = line.split(' ').next().unwrap_or("");
                let rest = line.get(word.len()..).unwrap_or("").trim();
                let answer = match word {
                    "USER" => ":irc 001 patrol :hello\r\n".to_owned(),
                    "JOIN" => format!(":patrol!p@h JOIN {rest}\r\n"),
                    "PING" => format!(":irc PONG irc {rest}\r\n"),
                    _ => String::new(),
                };
                if answers.write_all(answer.as_bytes()).is_err() || say.send(line).is_err() {
                    break;
                }
            }
        }
    });
    Ok((address, said))
}

/// A program that was written for Alertmanager's webhook, and knows nothing of us, reads what we send in its stead.
#[test]
fn a_real_reader_of_alertmanagers_webhook_reads_ours() -> Result<()> {
    let (server, said) = irc()?;
    let Some(relay) = or_skip("real_webhook_reader", Peer::relay(server))? else {
        return Ok(());
    };
    let world = World::new(&[(
        "relay",
        format!(
            "{{webhook: {{url: \"http://{}/patrol\", format: alertmanager/v4}}}}",
            relay.address()
        ),
    )])?;
    let _patrol = world.patrol(&[])?;
    let wait = |words: &str| {
        wait_until(SOON, words, || {
            said.try_iter()
                .find(|line| line.contains(words))
                .map(|_| ())
        })
    };
    wait("firing KubePatrolSidecarMissing web")?;
    world.mended(true)?;
    wait("resolved KubePatrolSidecarMissing web")
}

/// The value of an instant query.
fn query(prometheus: &Peer, query: &str) -> Result<Option<String>> {
    let answer = prometheus.json(&format!("/api/v1/query?query={query}"))?;
    let value = answer["data"]["result"][0]["value"][1].as_str();
    Ok(value.map(str::to_owned))
}

fn wait_rule(prometheus: &Peer, alert: &str, fires: bool) -> Result<()> {
    let wanted = if fires { "firing" } else { "inactive" };
    wait_until(SOON, &format!("{alert} to be {wanted}"), || {
        let rules = prometheus
            .json("/api/v1/rules")
            .map_err(|error| error.to_string())?;
        let rules = rules["data"]["groups"][0]["rules"].as_array().cloned();
        let rule = rules.unwrap_or_default();
        let rule = rule.iter().find(|rule| rule["name"] == alert);
        match rule.map(|rule| &rule["state"]) {
            Some(state) if state == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
}

/// Prometheus scrapes our metrics, finds every shipped rule sound, and the rules fire and clear. They wait for minutes before
/// they fire; here for a second.
#[test]
fn a_real_prometheus_scrapes_us_and_the_shipped_rules_fire_and_clear() -> Result<()> {
    let listen = free_address()?;
    let rules = installed::repository("deploy/alerts/rules.yaml");
    let rules = fs::read_to_string(&rules).context(rules.display())?;
    let impatient: Vec<String> = rules
        .lines()
        .map(|line| match line.trim_start().starts_with("for: ") {
            true => "    for: 1s".to_owned(),
            false => line.to_owned(),
        })
        .collect();
    let config = format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\n\
         rule_files: [rules.yml]\n\
         scrape_configs: [{{job_name: kube-patrol, static_configs: [{{targets: [\"{listen}\"]}}]}}]\n"
    );
    let prometheus = Peer::prometheus(&config, &impatient.join("\n"));
    let Some(prometheus) = or_skip("real_prometheus", prometheus)? else {
        return Ok(());
    };
    wait_rule(&prometheus, "KubePatrolNoLeader", true)?;

    let world = World::new(&[])?;
    let listen = listen.to_string();
    let mut patrol = world.patrol(&["--listen", &listen])?;
    wait_rule(&prometheus, "KubePatrolNoLeader", false)?;
    wait_rule(&prometheus, "KubePatrolCriticalTicketOpen", true)?;
    assert_eq!(query(&prometheus, "up")?.as_deref(), Some("1"));
    let rules = prometheus.json("/api/v1/rules")?;
    let rules = rules["data"]["groups"][0]["rules"].as_array().cloned();
    for rule in rules.unwrap_or_default() {
        assert_eq!(rule["health"], "ok", "{rule}");
    }

    world.mended(true)?;
    wait_rule(&prometheus, "KubePatrolCriticalTicketOpen", false)?;
    patrol.kill()?;
    wait_rule(&prometheus, "KubePatrolNoLeader", true)?;
    let _ = http::get(prometheus.address(), "/-/healthy")?;
    Ok(())
}
