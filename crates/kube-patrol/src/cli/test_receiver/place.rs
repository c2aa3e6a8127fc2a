//! Where a receiver and its credentials are: the cluster, or files. Reads a Secret by its
//! name when it is used, remembers why one could not be had, and never shows a value.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use data_encoding::BASE64;
use patrol_api::policy::PatrolPolicy;
use patrol_api::receiver::AlertReceiver;
use patrol_core::effect::Target;
use patrol_core::facts::Fact;
use patrol_core::notice::Cluster;
use patrol_kube::Connection;
use patrol_kube::ask::{NoAnswer, Resource};
use patrol_notify::Secret;
use serde::de::DeserializeOwned;

use crate::cli::{Failure, ui};
use crate::local::{self, SecretFile, Secrets};
use crate::manifests::{Decoded, Input, Object};
use crate::shell::secrets::{Reading, SecretSource};

/// Why a credential could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// In a sentence.
    pub says: String,
    /// Whether it is about whoever asks and not about the receiver.
    pub is_ours: bool,
}

enum Source {
    Cluster(Box<Connection>),
    Files {
        objects: Vec<Object>,
        secrets: Secrets,
        named: Vec<SecretFile>,
        cluster_id: String,
    },
}

/// A place.
pub(super) struct Place {
    source: Source,
    namespace: String,
    trouble: Mutex<Option<Trouble>>,
}

impl Place {
    pub fn of_cluster(connection: Connection, namespace: &str) -> Self {
        Self::new(Source::Cluster(Box::new(connection)), namespace)
    }

    /// The files, or those that local mode read the last time.
    pub fn of_files(
        files: Vec<PathBuf>,
        state: Option<PathBuf>,
        named: Vec<SecretFile>,
        namespace: &str,
    ) -> Result<Self, Failure> {
        let files = match &state {
            Some(state) => remembered(state)?,
            None => files,
        };
        let inputs: Vec<Input> = files.into_iter().map(Input::Path).collect();
        let loaded = ui::loading(&inputs);
        let mut secrets = Secrets::default();
        for object in loaded.objects.iter().filter(|o| o.kind == "Secret") {
            secrets.add(&local::secrets_of(&object.value, namespace));
        }
        let id = state.and_then(|state| std::fs::read_to_string(state.join("cluster-id")).ok());
        let source = Source::Files {
            objects: loaded.objects,
            secrets,
            named,
            cluster_id: id.unwrap_or_default().trim().to_owned(),
        };
        Ok(Self::new(source, namespace))
    }

    fn new(source: Source, namespace: &str) -> Self {
        Self {
            source,
            namespace: namespace.to_owned(),
            trouble: Mutex::default(),
        }
    }

    /// The receiver of this name.
    pub async fn target(&self, name: &str) -> Result<Target, Failure> {
        match name.strip_prefix("policy/") {
            Some(policy) => {
                let policy: PatrolPolicy = self.object("PatrolPolicy", policy).await?;
                Target::of_policy(&policy).ok_or_else(|| {
                    Failure::new(format!(
                        "receiver {name}: the policy has no webhook of its own: set spec.alerts.webhook, or name one of its receivers"
                    ))
                })
            }
            None => {
                let receiver: AlertReceiver = self.object("AlertReceiver", name).await?;
                Target::of_receiver(&receiver).ok_or_else(|| {
                    Failure::new(format!(
                        "receiver {name}: it names no endpoint, or several: set exactly one"
                    ))
                })
            }
        }
    }

    async fn object<T: DeserializeOwned + FromFact>(
        &self,
        kind: &str,
        name: &str,
    ) -> Result<T, Failure> {
        let shown = format!("{kind}/{}", ui::clean(name));
        match &self.source {
            Source::Cluster(connection) => {
                let resource = match kind {
                    "PatrolPolicy" => "patrolpolicies",
                    _ => "alertreceivers",
                };
                let object = connection
                    .reads
                    .read(&Resource::ours(resource, ""), name)
                    .await
                    .map_err(|why| unreadable(&shown, resource, why))?;
                serde_json::from_value(object).map_err(|_| {
                    Failure::new(format!(
                        "{shown}: it cannot be read by this program: use the version of the operator"
                    ))
                })
            }
            Source::Files { objects, .. } => of_files(objects, kind, name, &shown),
        }
    }

    /// Addresses that are never sent to, and the cluster the message comes from.
    pub async fn surroundings(&self) -> (Vec<IpAddr>, Cluster) {
        match &self.source {
            Source::Cluster(connection) => {
                let namespaces = Resource {
                    group: "",
                    version: "v1",
                    resource: "namespaces",
                    namespace: "",
                };
                // Who may not read it sends without an id.
                let system = connection.reads.read(&namespaces, "kube-system").await.ok();
                let uid = system
                    .and_then(|object| Some(object.pointer("/metadata/uid")?.as_str()?.to_owned()));
                let cluster = Cluster {
                    id: uid.unwrap_or_default(),
                    name: String::new(),
                };
                (connection.server_addresses().await, cluster)
            }
            Source::Files { cluster_id, .. } => {
                let cluster = Cluster {
                    id: cluster_id.clone(),
                    name: String::new(),
                };
                (vec![], cluster)
            }
        }
    }

    /// The name of the API server, which nothing is sent to.
    pub fn server_name(&self) -> Option<String> {
        match &self.source {
            Source::Cluster(connection) => connection.server_name(),
            Source::Files { .. } => None,
        }
    }

    /// Why a credential could not be had, if so.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn fails(&self, says: String, is_ours: bool) -> Option<Secret> {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *trouble = Some(Trouble { says, is_ours });
        None
    }

    async fn value(&self, name: &str, key: &str) -> Option<Secret> {
        let value = self.found(name, key).await?;
        if value.is_blank() {
            let namespace = &self.namespace;
            let says = format!(
                "Secret {namespace}/{name}: the value of the key {key} is empty: write its value"
            );
            return self.fails(says, false);
        }
        Some(value)
    }

    async fn found(&self, name: &str, key: &str) -> Option<Secret> {
        let namespace = &self.namespace;
        let missing =
            |what: &str| format!("Secret {namespace}/{name}: {what}: create it with the key {key}");
        match &self.source {
            Source::Files { secrets, named, .. } => {
                let file = named.iter().find(|f| f.name == name && f.key == key);
                let value = match file {
                    Some(file) => file.read(),
                    None => secrets.get(name, key).cloned(),
                };
                value.or_else(|| {
                    let says = format!(
                        "Secret {namespace}/{name}: no value for the key {key} in these files: add the Secret, or give --secret {name}/{key}=FILE"
                    );
                    self.fails(says, false)
                })
            }
            Source::Cluster(connection) => {
                let at = Resource {
                    group: "",
                    version: "v1",
                    resource: "secrets",
                    namespace,
                };
                let object = match connection.reads.read(&at, name).await {
                    Ok(object) => object,
                    Err(NoAnswer::Absent) => return self.fails(missing("it is not there"), false),
                    Err(NoAnswer::Denied) => {
                        let says = format!(
                            "Secret {namespace}/{name}: you may not read it: allow get on secrets in namespace {namespace}, or ask whoever may"
                        );
                        return self.fails(says, true);
                    }
                    Err(why) => {
                        let says = format!("Secret {namespace}/{name}: {why}: try again");
                        return self.fails(says, true);
                    }
                };
                let Some(text) = object.get("data").and_then(|d| d.get(key)?.as_str()) else {
                    return self.fails(missing(&format!("it has no key {key}")), false);
                };
                BASE64.decode(text.as_bytes()).ok().map(Secret::new)
            }
        }
    }
}

impl SecretSource for Place {
    fn read<'a>(&'a self, name: &'a str, key: &'a str, _fresh: bool) -> Reading<'a> {
        Box::pin(self.value(name, key))
    }
}

/// A kind among facts.
trait FromFact: Sized {
    fn from_fact(fact: &Fact) -> Option<Self>;
}

impl FromFact for PatrolPolicy {
    fn from_fact(fact: &Fact) -> Option<Self> {
        match fact {
            Fact::Policy(policy) => Some((**policy).clone()),
            _ => None,
        }
    }
}

impl FromFact for AlertReceiver {
    fn from_fact(fact: &Fact) -> Option<Self> {
        match fact {
            Fact::Receiver(receiver) => Some((**receiver).clone()),
            _ => None,
        }
    }
}

fn of_files<T: FromFact>(
    objects: &[Object],
    kind: &str,
    name: &str,
    shown: &str,
) -> Result<T, Failure> {
    let object = objects.iter().find(|o| o.kind == kind && o.name() == name);
    let Some(object) = object else {
        return Err(Failure::new(format!(
            "{shown}: it is not in these files: name the file that holds it"
        )));
    };
    if let Some(problem) = patrol_api::validate::validate(&object.value).first() {
        return Err(Failure::new(format!("{shown}: {problem}")));
    }
    match &object.decoded {
        Decoded::Fact(seen) => T::from_fact(&seen.fact),
        _ => None,
    }
    .ok_or_else(|| {
        Failure::new(format!(
            "{shown}: it cannot be read: see `kube-patrol lint`"
        ))
    })
}

fn unreadable(shown: &str, resource: &str, why: NoAnswer) -> Failure {
    Failure::new(match why {
        NoAnswer::Absent => format!(
            "{shown}: it is not there: `kubectl get {resource}.kubepatrol.io` lists those there are"
        ),
        NoAnswer::Denied => {
            format!("{shown}: you may not read it: allow get on {resource} of group kubepatrol.io")
        }
        other => format!("{shown}: {other}: see whether the kubeconfig is right"),
    })
}

/// The files that local mode read the last time.
fn remembered(state: &Path) -> Result<Vec<PathBuf>, Failure> {
    let files = local::remembered_files(state);
    if files.is_empty() {
        return Err(Failure::new(format!(
            "{}: it is no state folder of local mode, or of one that has read nothing yet: name it, or give -f FILE",
            state.display()
        )));
    }
    let mut inputs: Vec<PathBuf> = files.into_iter().filter(|file| file.exists()).collect();
    // Files that hold nothing but Secrets are not remembered: they lie beside the others.
    if state.file_name() == Some(local::STATE.as_ref()) {
        let home = state.parent().filter(|home| !home.as_os_str().is_empty());
        inputs.push(home.unwrap_or(Path::new(".")).to_path_buf());
    }
    Ok(inputs)
}
