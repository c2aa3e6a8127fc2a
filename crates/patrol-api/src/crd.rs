//! Our custom resource definitions, ready to apply.
//! Never applies them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_core::CustomResourceExt;

use crate::policy::PatrolPolicy;
use crate::receiver::AlertReceiver;
use crate::ticket::Ticket;

/// The definitions of all our kinds.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![PatrolPolicy::crd(), Ticket::crd(), AlertReceiver::crd()]
}
