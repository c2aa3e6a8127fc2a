//! The same flood through Debian's Alertmanager: as many alerts in its own words, one webhook behind it that fails as
//! often, and as long an outage.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use patrol_e2e::peers::Peer;
use patrol_e2e::random::Random;
use patrol_e2e::receiver::{Receiver, Reply};
use serde_json::{Value, json};

use super::super::store::resident_of;
use super::{OUTAGE, watch};
use crate::Failure;

const LONG: Duration = Duration::from_secs(900);
/// Alerts in one post, as Prometheus sends them.
const BATCH: usize = 256;

/// Posts them, and counts what comes out.
pub fn run(alerts: usize) -> Result<(), Failure> {
    let receiver = Receiver::start()?;
    let seen: Arc<Mutex<(usize, BTreeSet<String>)>> = Arc::default();
    let (kept, mut random) = (Arc::clone(&seen), Random::new(1));
    receiver.script_with(move |request| {
        let reply = match random.below(100) {
            0..10 => Reply::status(503),
            10..15 => Reply::hang(),
            _ => Reply::ok(),
        };
        let mut seen = kept.lock().unwrap_or_else(PoisonError::into_inner);
        seen.0 += 1;
        if reply == Reply::ok()
            && let Ok(body) = serde_json::from_slice::<Value>(&request.body)
        {
            let told = body
                .get("alerts")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            seen.1
                .extend(told.filter_map(|a| Some(a.get("fingerprint")?.as_str()?.to_owned())));
        }
        Some(reply)
    });
    let config = format!(
        "route: {{receiver: soc, group_by: [alertname], group_wait: 5s, group_interval: 30s, repeat_interval: 4h}}\n\
         receivers: [{{name: soc, webhook_configs: [{{url: '{}'}}]}}]\n",
        receiver.url("/flood")
    );
    let mut peer = match Peer::alertmanager(&config) {
        Ok(peer) => peer,
        Err(patrol_e2e::Error::Unavailable(why)) => {
            println!("  the same through Alertmanager: not measured: {why}");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let process = peer.id().ok_or("Alertmanager ended")?.to_string();
    let before = resident_of(&process)?;
    let began = Instant::now();
    for first in (0..alerts).step_by(BATCH) {
        let part: Vec<Value> = (first..alerts.min(first + BATCH))
            .map(|n| json!({"labels": {"alertname": "sidecar-missing", "pod": format!("pod-{n}")}}))
            .collect();
        peer.post("/api/v2/alerts", &Value::Array(part))?;
    }
    let (mut most, mut outage) = (before, None);
    // Its webhook gets a whole group at once; what it gave up comes with the next interval, as long as the alert stands.
    let end = watch(LONG, "every alert to come out of Alertmanager", || {
        most = most.max(resident_of(&process)?);
        match outage {
            None if began.elapsed() > Duration::from_secs(5) => {
                receiver.down();
                outage = Some(Instant::now());
            }
            Some(at) if at.elapsed() < OUTAGE => {}
            Some(_) => receiver.up()?,
            None => {}
        }
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(seen.1.len() >= alerts)
    });
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    println!(
        "  the same through Alertmanager: {} of {alerts} never came ({}), {} requests, {:.1} s, memory {:.1} MB and {:.1} MB more \
         at most",
        alerts - seen.1.len(),
        end.err()
            .map_or("all did".to_owned(), |why| why.to_string()),
        seen.0,
        began.elapsed().as_secs_f64(),
        before as f64 / 1e6,
        (most - before) as f64 / 1e6
    );
    peer.stop()?;
    Ok(())
}
