//! A small cluster, a policy or two, and a timeline of what users do to them and of what
//! goes wrong, all from one seed.

use std::collections::BTreeMap;

use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::manifests::{Make, SECRET_URL};
use crate::overlays::{Grant, Wish, window};
use crate::rng::Rng;
use crate::sink::Mood;
use crate::stream::Weather;

/// How rough a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Nothing fails; promptness is checked too.
    Calm,
    /// Some faults.
    Rough,
    /// Many faults, crashes and changes of leader.
    Storm,
}

/// What a user does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Rolls a deployment out with other pods.
    Remake(String, String, Make),
    /// Scales a deployment.
    Scale(String, String, u64),
    /// Rolls out and back within seconds.
    Flap(String, String),
    /// Deletes a deployment and what it owns.
    DeleteDeployment(String, String),
    /// Creates it (again).
    CreateDeployment(String, String, Make, u64),
    /// Deletes a namespace and, seconds later, everything in it.
    DeleteNamespace(String),
    /// Empties a terminating namespace and ends it.
    FinishNamespace(String),
    /// Creates a namespace with one deployment.
    CreateNamespace(String, Make),
    /// Adds a node, with or without an agent pod.
    AddNode(String, bool),
    /// Removes a node and its pods.
    RemoveNode(String),
    /// Deletes the agent's pod on a node.
    LoseAgent(String),
    /// Creates it.
    GainAgent(String),
    /// Makes a pod undecodable, or heals it.
    Garble(bool),
    /// Replaces a policy's spec.
    Policy(String, Box<Value>),
    /// Deletes a policy.
    DeletePolicy(String),
    /// Asks for a patrol now.
    PatrolNow(String, u64),
    /// Deletes some ticket.
    DeleteTicket(u64),
    /// Forges the status of some ticket.
    Forge(u64, u64),
    /// Creates or changes a receiver.
    Receiver(String, Box<Value>),
    /// Deletes a receiver.
    DeleteReceiver(String),
    /// Takes a right away, or gives it back.
    Deny(Kind, bool),
    /// Asks for a pause of some ticket, or takes it back.
    Wish(Wish),
    /// Writes a waiver.
    Waive(Box<Grant>),
    /// Deletes a waiver: namespace and name.
    Revoke(String, String),
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Mishap {
    /// A process dies; it comes back after so many milliseconds.
    Crash(usize, u64),
    /// A process stops for so long and goes on.
    Pause(usize, u64),
    /// Nobody can renew the lease for so long.
    LeaseOutage(u64),
    /// Another replica takes over, politely.
    HandOver,
    /// A watch breaks and is resumed after so long, by a list or from where it was.
    Disconnect(usize, Kind, u64, bool),
    /// A watch is stuck for so long.
    Mute(usize, Kind, u64),
    /// A kind's CRD is gone for so long.
    Missing(Kind, u64),
    /// The wall clock jumps by so many seconds.
    Jump(i64),
    /// A receiver changes its mood.
    Mood(String, Mood),
    /// Creates of tickets are refused until told otherwise.
    RefuseCreates(bool),
}

/// What may go wrong with effects, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Never carried out, never answered.
    pub lost: u64,
    /// Carried out, never answered.
    pub unanswered: u64,
    /// Carried out, answered as failed.
    pub ambiguous: u64,
    /// Carried out twice.
    pub twice: u64,
    /// Late by up to a minute.
    pub late: u64,
    /// Refused with a conflict without reason.
    pub conflict: u64,
    /// Throttled.
    pub throttled: u64,
    /// Refused.
    pub refused: u64,
    /// Failed, not carried out.
    pub failed: u64,
    /// The process dies right after an effect was carried out.
    pub crash: u64,
}

/// Everything a seed decides beforehand.
#[derive(Debug)]
pub struct Scenario {
    /// How rough.
    pub flavour: Flavour,
    /// Replicas.
    pub replicas: usize,
    /// Namespaces with deployments at the start.
    pub deployments: Vec<(String, String, Make, u64)>,
    /// Nodes, with or without agent.
    pub nodes: Vec<(String, bool)>,
    /// Policies at the start.
    pub policies: BTreeMap<String, Value>,
    /// Receivers that hold an incident for each group, by name.
    pub pagers: Vec<String>,
    /// Receivers at the start.
    pub receivers: BTreeMap<String, Value>,
    /// What users do, by time.
    pub actions: Vec<(u64, Action)>,
    /// What goes wrong, by time.
    pub mishaps: Vec<(u64, Mishap)>,
    /// Faults of effects.
    pub faults: Faults,
    /// Faults of watches.
    pub weather: Weather,
    /// When faults end.
    pub calm_at: u64,
    /// Longest patrol period, milliseconds.
    pub period: u64,
    /// Longest `clearAfter`, milliseconds.
    pub clear_after: u64,
    /// Longest repeat interval, milliseconds.
    pub repeat: u64,
    /// Longest group interval, milliseconds.
    pub group_interval: u64,
    /// Most steps of escalation of any policy: each halves the wait between reminders.
    pub steps: u32,
    /// Whether some receiver is unwell at some time.
    pub moody: bool,
    /// A right that stays away for good.
    pub blind_for_good: Option<Kind>,
}

/// One minute.
pub const MINUTE: u64 = 60_000;
const NAMESPACES: [&str; 3] = ["shop", "bank", "lab"];
const NAMES: [&str; 3] = ["web", "api", "cron"];
const MAKES: [Make; 5] = [
    Make::Covered,
    Make::Native,
    Make::Bare,
    Make::Impostor,
    Make::Crashing,
];
/// Addresses of receivers.
pub const ENDPOINTS: [&str; 5] = ["soc", "ciso", "own", "chief", "deputy"];

/// The address of a receiver.
#[must_use]
pub fn url(name: &str) -> String {
    format!("https://{name}.example.com/hook/{SECRET_URL}")
}

impl Scenario {
    /// The scenario of a seed.
    #[must_use]
    pub fn new(rng: &mut Rng) -> Self {
        let flavour = match rng.below(10) {
            0 | 1 => Flavour::Calm,
            2..=5 => Flavour::Rough,
            _ => Flavour::Storm,
        };
        let mut s = Self {
            flavour,
            replicas: if rng.chance(400) { 2 } else { 1 },
            deployments: vec![],
            nodes: vec![],
            policies: BTreeMap::new(),
            pagers: vec![],
            receivers: BTreeMap::new(),
            actions: vec![],
            mishaps: vec![],
            faults: Faults::default(),
            weather: Weather::default(),
            calm_at: rng.between(4, 14) * MINUTE,
            period: 0,
            clear_after: 0,
            repeat: 0,
            group_interval: 0,
            steps: 0,
            moody: false,
            blind_for_good: None,
        };
        for ns in &NAMESPACES {
            for name in &NAMES {
                if rng.chance(500) {
                    s.deployments.push((
                        (*ns).into(),
                        (*name).into(),
                        rng.one_of(&MAKES, Make::Bare),
                        rng.below(3),
                    ));
                }
            }
        }
        for i in 0..rng.between(1, 3) {
            s.nodes.push((format!("node-{i}"), rng.chance(600)));
        }
        let policies = if rng.chance(300) { 2 } else { 1 };
        for i in 0..policies {
            let spec = s.policy_spec(rng);
            s.policies.insert(format!("policy-{i}"), spec);
        }
        for (name, often) in [("ciso", 300), ("deputy", 200)] {
            if rng.chance(often) {
                s.pagers.push(name.into());
            }
        }
        for name in ["soc", "ciso"] {
            if name == "soc" || rng.chance(600) {
                s.receivers.insert(name.into(), s.receiver_spec(name, rng));
            }
        }
        // One that only escalation names, and one that only stands in for another.
        for name in ["chief", "deputy"] {
            let spec = s.of_kind(name, false, true);
            s.receivers.insert(name.into(), spec);
        }
        s.ask_for_quiet_notices(&mut rng.clone());
        s.plan_actions(rng);
        if flavour != Flavour::Calm {
            s.plan_mishaps(rng);
        }
        s
    }

    /// Some hear of what people do, and some page for each critical ticket.
    fn ask_for_quiet_notices(&mut self, rng: &mut Rng) {
        for (name, receiver) in &mut self.receivers {
            if rng.chance(400) {
                let notices = json!(["Acknowledged", "Snoozed"]);
                crate::world::set(receiver, "spec", "quietNotices", notices);
            }
            let apart = self.pagers.contains(name) && rng.chance(300);
            if let Some(spec) = receiver.get_mut("spec").filter(|_| apart) {
                crate::world::set(spec, "pagerduty", "incidentPer", json!("CriticalTicket"));
            }
        }
    }

    fn of_kind(&self, name: &str, coverage: bool, ends: bool) -> Value {
        match self.pagers.iter().any(|pager| pager == name) {
            true => crate::manifests::pager(name, coverage, ends),
            false => crate::manifests::receiver(name, &url(name), coverage, ends),
        }
    }

    fn receiver_spec(&self, name: &str, rng: &mut Rng) -> Value {
        let (coverage, ends) = (rng.chance(300), rng.chance(900));
        let mut receiver = self.of_kind(name, coverage, ends);
        if rng.chance(400) {
            let after = format!("{}s", rng.between(5, 120));
            let failover = json!({"receiver": "deputy", "after": after, "minSeverity": "Medium"});
            crate::world::set(&mut receiver, "spec", "failover", failover);
        }
        receiver
    }

    fn policy_spec(&mut self, rng: &mut Rng) -> Value {
        let period = rng.one_of(&[10, 20, 30, 60, 60, 120, 120, 180], 60);
        let clear = rng.one_of(&[0, 5, 15, 30], 5);
        let repeat = rng.one_of(&[240, 270, 300], 270);
        let interval = rng.one_of(&[5, 30, 120], 30);
        self.period = self.period.max(period * 1000);
        self.clear_after = self.clear_after.max(clear * 1000);
        self.repeat = self.repeat.max(repeat * 1000);
        self.group_interval = self.group_interval.max(interval * 1000);
        let repeat = format!("{repeat}s");
        let grace = format!("{}s", rng.one_of(&[0, 20, 60], 0));
        let severity = rng.one_of(&["Critical", "High", "Medium"], "High");
        let mut checks = vec![json!({"name": "aegis", "severity": severity,
            "sidecar": {"container": "aegis", "images": ["registry.example.com/security/aegis*"],
                "ready": {"startGrace": grace, "restartGrace": grace}}})];
        if rng.chance(700) {
            checks.push(json!({"name": "falco",
                "nodeAgent": {"selector": {"matchLabels": {"app": "falco"}}, "namespace": "security"}}));
        }
        if rng.chance(300) {
            checks.push(json!({"name": "engine", "component": {"anyOf": [
                {"workload": {"kind": "Deployment", "namespace": "shop", "name": "web"}}]}}));
        }
        let mut alerts = json!({"receivers": [{"name": "soc"}, {"name": "ciso"}],
            "repeat": {"critical": repeat, "high": repeat, "medium": repeat, "low": repeat},
            "groupWait": format!("{}s", rng.one_of(&[0, 5, 30], 5)),
            "groupInterval": format!("{interval}s"),
            "groupBy": if rng.chance(500) { json!(["check"]) } else { json!(["namespace", "severity"]) }});
        if rng.chance(500)
            && let Some(alerts) = alerts.as_object_mut()
        {
            alerts.insert("webhook".into(), json!({"url": url("own")}));
        }
        if rng.chance(300)
            && let Some(alerts) = alerts.as_object_mut()
        {
            alerts.insert("windows".into(), json!([window(rng)]));
        }
        if rng.chance(300)
            && let Some(alerts) = alerts.as_object_mut()
        {
            let steps = rng.between(1, 2);
            self.steps = self.steps.max(u32::try_from(steps).unwrap_or(1));
            let step = |n: u64, rng: &mut Rng| {
                json!({"after": format!("{}s", n * rng.between(40, 300)), "receiver": "chief",
                    "severities": ["Critical", "High", "Medium"]})
            };
            let steps: Vec<Value> = (1..=steps).map(|n| step(n, rng)).collect();
            alerts.insert("escalation".into(), json!(steps));
        }
        if rng.chance(200)
            && let Some(route) = alerts
                .pointer_mut("/receivers/1")
                .and_then(Value::as_object_mut)
        {
            route.insert("minSeverity".into(), json!("High"));
        }
        let mut spec = json!({
            "schedule": {"every": format!("{period}s")},
            "checks": checks,
            "graces": {"podInjection": grace, "podStart": grace, "agentRestart": grace,
                "newNode": grace, "newNamespace": grace},
            "tickets": {"clearAfter": format!("{clear}s"),
                "retention": if rng.chance(300) { "10m" } else { "30d" },
                "sla": {"critical": if rng.chance(300) { "5m" } else { "24h" }}},
            "alerts": alerts});
        if let Some(spec) = spec.as_object_mut() {
            if rng.chance(400) {
                spec.insert("baselines".into(), json!(["namespace-coverage"]));
            }
            if rng.chance(300) {
                let scope = json!({"namespaces": {"include": ["shop", "bank"]}});
                spec.insert("scope".into(), scope);
            }
        }
        spec
    }

    fn plan_actions(&mut self, rng: &mut Rng) {
        let count = rng.between(5, 30);
        self.plan_overlays(rng);
        for _ in 0..count {
            let at = rng.between(30_000, self.calm_at);
            let ns = rng.one_of(&NAMESPACES, "shop").to_owned();
            let name = rng.one_of(&NAMES, "web").to_owned();
            let make = rng.one_of(&MAKES, Make::Bare);
            let node = format!("node-{}", rng.below(4));
            let policy = format!("policy-{}", rng.below(2));
            let action = match rng.below(42) {
                0..=7 => Action::Remake(ns, name, make),
                8..=10 => Action::Scale(ns, name, rng.below(3)),
                11..=13 => Action::Flap(ns, name),
                14 | 15 => Action::DeleteDeployment(ns, name),
                16..=18 => Action::CreateDeployment(ns, name, make, rng.below(3)),
                19 => Action::DeleteNamespace(ns),
                20 => Action::CreateNamespace(ns, make),
                21 => Action::AddNode(node, rng.chance(500)),
                22 => Action::RemoveNode(node),
                23 | 24 => Action::LoseAgent(node),
                25 | 26 => Action::GainAgent(node),
                27 => {
                    let heal = (at + rng.between(10_000, 200_000)).min(self.calm_at);
                    self.actions.push((heal, Action::Garble(false)));
                    Action::Garble(true)
                }
                28 | 29 => Action::Policy(policy, Box::new(self.policy_spec(rng))),
                30 => {
                    let mut spec = self.policy_spec(rng);
                    let (field, value) = match rng.below(4) {
                        0 => ("suspend", json!(true)),
                        1 => ("mode", json!("Observe")),
                        2 => ("baselines", json!(["no-such-baseline"])),
                        _ => ("checks", json!([])),
                    };
                    if let Some(spec) = spec.as_object_mut() {
                        spec.insert(field.into(), value);
                    }
                    // Usually put right again.
                    if rng.chance(700) {
                        let again = self.policy_spec(rng);
                        let later = (at + rng.between(20_000, 200_000)).min(self.calm_at);
                        self.actions
                            .push((later, Action::Policy(policy.clone(), Box::new(again))));
                    }
                    Action::Policy(policy, Box::new(spec))
                }
                31 => {
                    if rng.chance(600) {
                        let again = self.policy_spec(rng);
                        let later = (at + rng.between(1_000, 200_000)).min(self.calm_at);
                        self.actions
                            .push((later, Action::Policy(policy.clone(), Box::new(again))));
                    }
                    Action::DeletePolicy(policy)
                }
                32 => Action::PatrolNow(policy, rng.bits()),
                33 | 34 => Action::DeleteTicket(rng.bits()),
                35 | 36 => Action::Forge(rng.bits(), rng.below(5)),
                37 => {
                    let spec = self.receiver_spec("ciso", rng);
                    Action::Receiver("ciso".into(), Box::new(spec))
                }
                38 => Action::DeleteReceiver("ciso".into()),
                _ => {
                    let kind = self.deniable(rng);
                    let back = (at + rng.between(10_000, 400_000)).min(self.calm_at);
                    self.actions.push((back, Action::Deny(kind, false)));
                    Action::Deny(kind, true)
                }
            };
            self.actions.push((at, action));
        }
        if rng.chance(100) {
            let kind = self.deniable(rng);
            self.blind_for_good = Some(kind);
            let at = rng.between(30_000, self.calm_at);
            self.actions.push((at, Action::Deny(kind, true)));
            self.actions
                .retain(|(_, a)| !matches!(a, Action::Deny(k, false) if *k == kind));
        }
        self.actions.sort_by_key(|(at, _)| *at);
    }

    /// What people lay over tickets: in half of all runs, so that the others stay as loud as they were.
    fn plan_overlays(&mut self, rng: &mut Rng) {
        if rng.chance(500) {
            return;
        }
        for _ in 0..rng.between(2, 12) {
            let at = rng.between(30_000, self.calm_at);
            let action = match rng.below(10) {
                0..=4 => Action::Wish(Wish::new(rng)),
                5..=7 => {
                    let grant = Grant::new(rng);
                    if grant.garbled {
                        // Nobody leaves it like that.
                        let later = (at + rng.between(5_000, 200_000)).min(self.calm_at);
                        let again = Grant {
                            garbled: false,
                            ..grant.clone()
                        };
                        self.actions.push((later, Action::Waive(Box::new(again))));
                    }
                    Action::Waive(Box::new(grant))
                }
                8 => {
                    let Grant { place, .. } = Grant::new(rng);
                    Action::Revoke(place.0, place.1)
                }
                _ => {
                    let back = (at + rng.between(10_000, 300_000)).min(self.calm_at);
                    self.actions
                        .push((back, Action::Deny(Kind::TicketWaiver, false)));
                    Action::Deny(Kind::TicketWaiver, true)
                }
            };
            self.actions.push((at, action));
        }
    }

    fn deniable(&self, rng: &mut Rng) -> Kind {
        rng.one_of(
            &[
                Kind::Pod,
                Kind::Pod,
                Kind::Node,
                Kind::Namespace,
                Kind::Deployment,
                Kind::ReplicaSet,
                Kind::DaemonSet,
            ],
            Kind::Pod,
        )
    }

    fn plan_mishaps(&mut self, rng: &mut Rng) {
        let storm = self.flavour == Flavour::Storm;
        let weight = if storm { 3 } else { 1 };
        let mut some = |most: u64| rng.below(most * weight + 1);
        self.faults = Faults {
            lost: some(15),
            unanswered: some(20),
            ambiguous: some(20),
            twice: some(20),
            late: some(20),
            conflict: some(20),
            throttled: some(15),
            refused: some(10),
            failed: some(20),
            crash: if storm { some(6) } else { 0 },
        };
        self.weather = Weather {
            late: some(30),
            twice: some(30),
            dropped: some(8),
            broken_list: some(100),
        };
        let count = rng.between(2, if storm { 16 } else { 6 });
        // Receivers do not outlive their kind: made anew, they are others.
        let own = [Kind::Ticket, Kind::PatrolPolicy];
        let any = [
            Kind::Pod,
            Kind::Deployment,
            Kind::ReplicaSet,
            Kind::Node,
            Kind::Namespace,
            Kind::Ticket,
            Kind::PatrolPolicy,
            Kind::TicketWaiver,
        ];
        for _ in 0..count {
            let at = rng.between(10_000, self.calm_at);
            let pid = usize::try_from(rng.below(2)).unwrap_or(0);
            let kind = rng.one_of(&any, Kind::Pod);
            let long = rng.between(1_000, 150_000);
            let mishap = match rng.below(24) {
                0..=2 if storm => Mishap::Crash(pid, rng.between(500, 30_000)),
                3 | 4 if storm => Mishap::Pause(pid, rng.between(5_000, 90_000)),
                5 => Mishap::LeaseOutage(rng.between(5_000, 60_000)),
                6 => Mishap::HandOver,
                7..=10 => Mishap::Disconnect(pid, kind, long, rng.chance(500)),
                11 | 12 => Mishap::Mute(pid, kind, long),
                13 => {
                    let kind = rng.one_of(&own, Kind::Ticket);
                    Mishap::Missing(kind, long)
                }
                14 => Mishap::Jump(rng.one_of(&[86_400, -3_600, 7, -7], 7)),
                15 => {
                    let back = (at + long).min(self.calm_at);
                    self.mishaps.push((back, Mishap::RefuseCreates(false)));
                    Mishap::RefuseCreates(true)
                }
                _ => {
                    self.moody = true;
                    let endpoint = rng.one_of(&ENDPOINTS, "soc").to_owned();
                    let back = (at + rng.between(5_000, 600_000)).min(self.calm_at);
                    self.mishaps
                        .push((back, Mishap::Mood(endpoint.clone(), Mood::Well)));
                    Mishap::Mood(endpoint, rng.one_of(&Mood::ALL, Mood::Down))
                }
            };
            self.mishaps.push((at, mishap));
        }
        self.mishaps.sort_by_key(|(at, _)| *at);
    }
}
