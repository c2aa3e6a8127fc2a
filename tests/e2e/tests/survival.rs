//! Killed at any instant, the operator loses nothing and tells nothing under two ids:
//! tickets, ledger and two receivers, one of which fails half of the time, are compared
//! after many SIGKILLs.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use patrol_e2e::installed::{self, Stage};
use patrol_e2e::random::{Random, from_environment};
use patrol_e2e::receiver::{Event, Receiver, Reply};
use patrol_e2e::{Error, Result, wait_until};
use serde_json::{Value, json};

/// How often the operator is killed, in two halves side by side: most of the time is
/// waiting. `KUBE_PATROL_KILLS=40` takes a minute.
const KILLS: u64 = 500;
/// Pods that open, mend and reopen gaps meanwhile.
const PODS: usize = 40;
/// The longest life between two kills, in milliseconds. The first words of a life come after about a
/// tenth of a second, the first writes after some tenths more.
const LONGEST_LIFE_MS: u64 = 1800;
/// How long after a request an aimed kill comes at most, in milliseconds.
const AIM_MS: u64 = 40;
/// After the last kill everything owed has to arrive, also where half of it has to be
/// sent again.
const SETTLE: Duration = Duration::from_secs(240);

/// A stage whose policy tells two receivers.
struct Scene {
    stage: Stage,
    /// Fails about half of the requests, in every way but silence.
    flaky: Receiver,
}

impl Scene {
    fn set(random: &mut Random) -> Result<Option<Self>> {
        let Some(stage) = Stage::bare("killed_at_any_instant")? else {
            return Ok(None);
        };
        let flaky = Receiver::start()?;
        flaky.verify_with(&[installed::SIGNING])?;
        let mut chance = Random::new(random.below(u64::MAX));
        flaky.script_with(move |_| match chance.below(10) {
            0 => Some(Reply::status(500)),
            1 => Some(Reply::status(503)),
            2 => Some(Reply::reset()),
            3 => Some(Reply::close()),
            4 => Some(Reply::status(429).retry_after("1")),
            _ => None,
        });
        let mut second = installed::receiver(&flaky.url("/hook"));
        second["metadata"]["name"] = json!("flaky");
        stage.plane.apply(&second.to_string())?;
        let mut policy = installed::policy("production");
        policy["spec"]["alerts"]["receivers"] = json!([{"name": "soc"}, {"name": "flaky"}]);
        stage.plane.apply(&policy.to_string())?;
        Ok(Some(Self { stage, flaky }))
    }

    fn receivers(&self) -> [(&'static str, &Receiver); 2] {
        [("soc", &self.stage.receiver), ("flaky", &self.flaky)]
    }
}

fn name(index: usize) -> String {
    format!("web-{index}")
}

/// The obligation that an event answers.
type Obligation = (String, String, u64, u64, u64);

fn obligation(event: &Event) -> Obligation {
    let (uid, state) = (event.ticket.uid.clone(), event.state.clone());
    (uid, state, event.episode, event.seq, event.n)
}

#[test]
fn f1_nothing_is_lost_or_told_under_two_ids_when_killed_at_any_instant() -> Result<()> {
    killed_at_any_instant(0)
}

#[test]
fn f1_nothing_is_lost_or_told_under_two_ids_when_killed_at_other_instants() -> Result<()> {
    killed_at_any_instant(1)
}

/// One half of the kills, on a stage and with a seed of its own.
fn killed_at_any_instant(half: u64) -> Result<()> {
    let kills = from_environment("KUBE_PATROL_KILLS", KILLS)?.div_ceil(2);
    let seed = from_environment("KUBE_PATROL_SEED", 1)?;
    eprintln!("{kills} kills, half {half} of KUBE_PATROL_SEED={seed}");
    let mut random = Random::new(2 * seed + half);
    let Some(scene) = Scene::set(&mut random)? else {
        return Ok(());
    };
    let plane = &scene.stage.plane;
    let builder = installed::operator(plane, "one")?.args([
        "--lease-duration",
        "3s",
        "--renew-deadline",
        "2s",
        "--retry-period",
        "500ms",
    ]);

    // The first pods open before the first kill, the last after some; each gap is mended
    // after half of the kills, and some come back.
    let mut steps: Vec<(u64, usize, Option<bool>)> = Vec::new();
    for index in 0..PODS {
        let at = random.below(kills / 2 + 1);
        steps.push((at, index, None));
        let mended = at + 1 + random.below(kills / 4 + 1);
        steps.push((mended, index, Some(true)));
        if index % 4 == 0 {
            let again = mended + 1 + random.below(kills / 8 + 1);
            steps.push((again, index, Some(false)));
        }
    }
    steps.sort_unstable();
    let mut steps = steps.into_iter().peekable();
    let started = Instant::now();
    let mut aimed = 0;
    for kill in 0..kills {
        let mut operator = builder.spawn()?;
        while let Some((_, index, sidecar)) = steps.next_if(|(at, _, _)| *at <= kill) {
            match sidecar {
                None => installed::create_pod(plane, &installed::pod("shop", &name(index), false))?,
                Some(with) => installed::replace_pod(plane, "shop", &name(index), with)?,
            }
        }
        // The instant is random by design; nothing is expected to have happened by then.
        let mut life = Duration::from_millis(random.below(LONGEST_LIFE_MS));
        // Half of them aim at what lies between a telling and its record, at either receiver.
        let (_, receiver) = scene.receivers()[usize::from(kill % 4 == 3)];
        let before = receiver.requests().len();
        if kill % 2 == 1
            && receiver
                .wait_for(life, "a request", |all| (all.len() > before).then_some(()))
                .is_ok()
        {
            life = Duration::from_millis(random.below(AIM_MS));
            aimed += 1;
        }
        let end = operator.wait(life);
        assert!(end.is_err(), "it ended by itself: {}", operator.stderr()?);
        operator.kill()?;
    }
    eprintln!(
        "{kills} kills in {:?}, {aimed} right after a request",
        started.elapsed()
    );
    for (name, receiver) in scene.receivers() {
        let repeated = repeated(receiver)?;
        eprintln!("{name}: {repeated} events told again");
    }

    // Whatever is left of the script, then every gap is mended, seen by one that lives.
    let mut operator = builder.spawn()?;
    for (_, index, sidecar) in steps {
        match sidecar {
            None => installed::create_pod(plane, &installed::pod("shop", &name(index), false))?,
            Some(with) => installed::replace_pod(plane, "shop", &name(index), with)?,
        }
    }
    wait_for_owed_closings(&scene)?;
    // A gap that came and went within one life of the operator need not be seen: open
    // each once more so that every pod has had its ticket.
    for index in 0..PODS {
        installed::replace_pod(plane, "shop", &name(index), false)?;
    }
    wait_phases(&scene, "Open")?;
    for index in 0..PODS {
        installed::replace_pod(plane, "shop", &name(index), true)?;
    }
    let tickets = wait_phases(&scene, "Resolved")?;
    operator.check_alive()?;

    for (name, receiver) in scene.receivers() {
        let events = receiver.events()?;
        judge(name, &events, &tickets);
        let requests = receiver.requests().len();
        eprintln!("{name}: {requests} requests, {} events", events.len());
    }
    eprintln!("{:?} in all", started.elapsed());
    Ok(())
}

/// How many events came in more than one request: each was killed before its record.
fn repeated(receiver: &Receiver) -> Result<usize> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for event in receiver.events()? {
        *times.entry(event.event_id).or_default() += 1;
    }
    Ok(times.values().filter(|times| **times > 1).count())
}

/// Waits until there is exactly one ticket for each pod, in this phase, with nothing
/// more to tell to either receiver.
fn wait_phases(scene: &Scene, phase: &str) -> Result<BTreeMap<String, Value>> {
    wait_until(SETTLE, &format!("every ticket {phase} and told"), || {
        let mut found = BTreeMap::new();
        for ticket in installed::tickets_of(&scene.stage.plane, "sidecar-missing")? {
            let pod = ticket["spec"]["finding"]["subject"]["name"].clone();
            let pod = pod.as_str().unwrap_or("").to_owned();
            if let Some(other) = found.insert(pod, ticket) {
                return Err(Error::failed(format!("two tickets of one pod: {other}")));
            }
        }
        let missing: Vec<_> = (0..PODS)
            .map(name)
            .filter(|n| !found.contains_key(n))
            .collect();
        let late: Vec<_> = found
            .values()
            .filter(|t| t["status"]["phase"] != phase || !is_told(scene, t, phase))
            .map(|t| format!("{} {}", installed::line(t), t["status"]))
            .take(2)
            .collect();
        match missing.is_empty() && late.is_empty() {
            true => Ok(found),
            false => Err(Error::failed(format!(
                "without: {missing:?}; not yet: {late:?}"
            ))),
        }
    })
}

/// Waits until whoever was told of a gap that is gone by now has been told so, also where
/// a kill came between the telling and the record of it.
fn wait_for_owed_closings(scene: &Scene) -> Result<()> {
    wait_until(SETTLE, "every end that is owed", || {
        let tickets = installed::tickets_of(&scene.stage.plane, "sidecar-missing")?;
        for (name, receiver) in scene.receivers() {
            let events = receiver.events()?;
            let owed: Vec<_> = tickets
                .iter()
                .filter(|t| t["status"]["phase"] != "Open")
                .filter_map(|t| {
                    let last = events
                        .iter()
                        .filter(|e| e.accepted && t["metadata"]["uid"] == e.ticket.uid.as_str())
                        .max_by_key(|e| place(e))?;
                    (last.state != "Closed")
                        .then(|| format!("{} {}", installed::line(t), t["status"]))
                })
                .collect();
            if let [first, ..] = owed.as_slice() {
                let count = owed.len();
                return Err(Error::failed(format!("{count} owed to {name}: {first}")));
            }
        }
        Ok(())
    })
}

/// Where in the life of its ticket an event belongs.
fn place(event: &Event) -> (u64, bool) {
    (event.episode, event.state == "Closed")
}

/// Whether both receivers were told of the present episode of the ticket in the state of
/// its phase.
fn is_told(scene: &Scene, ticket: &Value, phase: &str) -> bool {
    let state = if phase == "Open" { "Firing" } else { "Closed" };
    let (uid, episode) = (
        &ticket["metadata"]["uid"],
        &ticket["status"]["episode"]["n"],
    );
    scene.receivers().iter().all(|(_, receiver)| {
        receiver.events().is_ok_and(|events| {
            events.iter().any(|e| {
                e.accepted
                    && *uid == *e.ticket.uid
                    && *episode == json!(e.episode)
                    && e.state == state
            })
        })
    })
}

/// Holds what one receiver was told against the tickets.
fn judge(receiver: &str, events: &[Event], tickets: &BTreeMap<String, Value>) {
    let mut ids: BTreeMap<Obligation, BTreeSet<String>> = BTreeMap::new();
    let mut obligations: BTreeMap<String, BTreeSet<Obligation>> = BTreeMap::new();
    for event in events.iter().filter(|e| e.check == "sidecar-missing") {
        let obligation = obligation(event);
        ids.entry(obligation.clone())
            .or_default()
            .insert(event.event_id.clone());
        obligations
            .entry(event.event_id.clone())
            .or_default()
            .insert(obligation);
    }
    for (obligation, ids) in &ids {
        assert_eq!(
            ids.len(),
            1,
            "{receiver}: one obligation under two ids: {obligation:?}: {ids:?}"
        );
    }
    for (id, obligations) in &obligations {
        assert_eq!(
            obligations.len(),
            1,
            "{receiver}: one id for two obligations: {id}: {obligations:?}"
        );
    }
    let uids: BTreeSet<&str> = tickets
        .values()
        .filter_map(|t| t["metadata"]["uid"].as_str())
        .collect();
    for event in events.iter().filter(|e| e.check == "sidecar-missing") {
        assert!(
            uids.contains(event.ticket.uid.as_str()),
            "{receiver}: a ticket that is not there: {event:?}"
        );
    }
    // Once the end of an episode was accepted nothing of it comes any more.
    let mut ends: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
    for event in events.iter().filter(|e| e.check == "sidecar-missing") {
        let (now, end) = (place(event), ends.get(event.ticket.uid.as_str()));
        assert!(
            end.is_none_or(|end| now >= *end),
            "{receiver}: after its Close: {event:?}"
        );
        if event.accepted && event.state == "Closed" {
            ends.insert(&event.ticket.uid, now);
        }
    }
    for ticket in tickets.values() {
        let uid = ticket["metadata"]["uid"].as_str().unwrap_or("");
        let told = |state: &str, episode: u64| {
            events.iter().any(|e| {
                e.accepted && e.ticket.uid == uid && e.state == state && e.episode == episode
            })
        };
        let episodes = ticket["status"]["episode"]["n"].as_u64().unwrap_or(0);
        assert!(episodes >= 1, "{receiver}: {ticket}");
        // What was never told needs no end, and a reopening says more than the end that it
        // overtakes. Where openings fail, nobody knows which were heard: an end too many
        // harms nobody, one too few leaves an alarm on.
        let heard = receiver == "soc";
        for episode in (1..=episodes).filter(|_| heard) {
            assert!(
                told("Firing", episode) || !told("Closed", episode),
                "{receiver}: episode {episode} was closed and never opened: {ticket}"
            );
        }
        assert!(
            told("Firing", episodes) && told("Closed", episodes),
            "{receiver}: {ticket}"
        );
    }
}
