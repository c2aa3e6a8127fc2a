//! Facts: what the checks read of an object, and nothing else of it.
//!
//! An object is decoded straight into these small types; fields that no check names are
//! skipped by the parser and never allocated. A check that needs one more field adds it
//! here, in one place. Decoding is lenient where the API server is (absent and null
//! fields, undefaulted manifests) and fails for one object at a time.

mod cluster;
mod decode;
mod meta;
mod node;
mod pod;
mod sidecar_set;
mod workload;

pub use cluster::{
    ApiService, CaBundle, CrdFact, EndpointSlice, Namespace, Service, Webhook,
    WebhookConfiguration, WebhookRule, WebhookTarget, namespace_label,
};
pub use decode::{DecodeError, Fact, Observed, decode, decode_value, identity_of};
pub use meta::{Labels, Meta, ObjectKey, Owner, Uid};
pub use node::{Node, Taint};
pub(crate) use pod::derived_label;
pub use pod::is_live;
pub use pod::{
    Container, ContainerState, ContainerStatus, PodFact, PodPhase, PodShape, PodStatus, Role,
    Scheduled,
};
pub use sidecar_set::{SidecarSet, injected_hash};
pub use workload::{
    Affinity, NodeRequirement, NodeTerm, Operator, Scheduling, Template, Toleration, Workload,
};
