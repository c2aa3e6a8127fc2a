//! The kinds a patrol reads: one table that the watches, the RBAC manifests, the
//! blind-spot checks and local mode all derive from.

use std::fmt;

/// A kind that some check or the product itself reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names say it; the table below carries the rest
pub enum Kind {
    Pod,
    Node,
    Namespace,
    Deployment,
    ReplicaSet,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
    ReplicationController,
    Service,
    EndpointSlice,
    MutatingWebhookConfiguration,
    ValidatingWebhookConfiguration,
    CustomResourceDefinition,
    ApiService,
    SidecarSet,
    PatrolPolicy,
    AlertReceiver,
    Ticket,
    TicketWaiver,
}

/// What the API calls a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Version that is read.
    pub version: &'static str,
    /// Kind as in manifests.
    pub kind: &'static str,
    /// Plural as in URLs and RBAC rules.
    pub resource: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

use Kind as K;

impl Kind {
    /// Every kind, in the order used for reports.
    pub const ALL: [Kind; 21] = [
        K::Pod,
        K::Node,
        K::Namespace,
        K::Deployment,
        K::ReplicaSet,
        K::StatefulSet,
        K::DaemonSet,
        K::Job,
        K::CronJob,
        K::ReplicationController,
        K::Service,
        K::EndpointSlice,
        K::MutatingWebhookConfiguration,
        K::ValidatingWebhookConfiguration,
        K::CustomResourceDefinition,
        K::ApiService,
        K::SidecarSet,
        K::PatrolPolicy,
        K::AlertReceiver,
        K::Ticket,
        K::TicketWaiver,
    ];

    /// Kinds whose objects own pods.
    pub const WORKLOADS: [Kind; 7] = [
        K::Deployment,
        K::ReplicaSet,
        K::StatefulSet,
        K::DaemonSet,
        K::Job,
        K::CronJob,
        K::ReplicationController,
    ];

    /// Group, version, kind, plural and scope.
    #[must_use]
    pub const fn info(self) -> KindInfo {
        const fn info(
            group: &'static str,
            version: &'static str,
            kind: &'static str,
            resource: &'static str,
            namespaced: bool,
        ) -> KindInfo {
            KindInfo {
                group,
                version,
                kind,
                resource,
                namespaced,
            }
        }
        const ADMISSION: &str = "admissionregistration.k8s.io";
        const OURS: &str = "kubepatrol.io";
        match self {
            K::Pod => info("", "v1", "Pod", "pods", true),
            K::Node => info("", "v1", "Node", "nodes", false),
            K::Namespace => info("", "v1", "Namespace", "namespaces", false),
            K::Deployment => info("apps", "v1", "Deployment", "deployments", true),
            K::ReplicaSet => info("apps", "v1", "ReplicaSet", "replicasets", true),
            K::StatefulSet => info("apps", "v1", "StatefulSet", "statefulsets", true),
            K::DaemonSet => info("apps", "v1", "DaemonSet", "daemonsets", true),
            K::Job => info("batch", "v1", "Job", "jobs", true),
            K::CronJob => info("batch", "v1", "CronJob", "cronjobs", true),
            K::ReplicationController => info(
                "",
                "v1",
                "ReplicationController",
                "replicationcontrollers",
                true,
            ),
            K::Service => info("", "v1", "Service", "services", true),
            K::EndpointSlice => info(
                "discovery.k8s.io",
                "v1",
                "EndpointSlice",
                "endpointslices",
                true,
            ),
            K::MutatingWebhookConfiguration => info(
                ADMISSION,
                "v1",
                "MutatingWebhookConfiguration",
                "mutatingwebhookconfigurations",
                false,
            ),
            K::ValidatingWebhookConfiguration => info(
                ADMISSION,
                "v1",
                "ValidatingWebhookConfiguration",
                "validatingwebhookconfigurations",
                false,
            ),
            K::CustomResourceDefinition => info(
                "apiextensions.k8s.io",
                "v1",
                "CustomResourceDefinition",
                "customresourcedefinitions",
                false,
            ),
            K::ApiService => info(
                "apiregistration.k8s.io",
                "v1",
                "APIService",
                "apiservices",
                false,
            ),
            K::SidecarSet => info(
                "apps.kruise.io",
                "v1alpha1",
                "SidecarSet",
                "sidecarsets",
                false,
            ),
            K::PatrolPolicy => info(OURS, "v1alpha1", "PatrolPolicy", "patrolpolicies", false),
            K::AlertReceiver => info(OURS, "v1alpha1", "AlertReceiver", "alertreceivers", false),
            K::Ticket => info(OURS, "v1alpha1", "Ticket", "tickets", true),
            K::TicketWaiver => info(OURS, "v1alpha1", "TicketWaiver", "ticketwaivers", true),
        }
    }

    /// Whether the kind is one of ours (its objects steer the patrol and are not inspected).
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(
            self,
            K::PatrolPolicy | K::AlertReceiver | K::Ticket | K::TicketWaiver
        )
    }

    /// Whether a cluster may lack the kind: it comes with a definition that someone installs.
    /// Every API server serves the others, so one that seems to lack them is not seen.
    #[must_use]
    pub const fn may_be_absent(self) -> bool {
        self.is_ours() || matches!(self, K::SidecarSet)
    }

    /// The kind of a manifest, by group and kind name.
    #[must_use]
    pub fn find(group: &str, kind: &str) -> Option<Kind> {
        Kind::ALL
            .into_iter()
            .find(|k| k.info().kind == kind && k.info().group == group)
    }

    /// The kind of a manifest, by its `apiVersion` and `kind`.
    #[must_use]
    pub fn of_manifest(api_version: &str, kind: &str) -> Option<Kind> {
        Self::find(group_of(api_version), kind)
    }
}

/// The group part of an `apiVersion` (`apps/v1` is `apps`, `v1` is the core group).
#[must_use]
pub fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.info().kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_own_names() {
        for kind in Kind::ALL {
            let info = kind.info();
            assert_eq!(Kind::find(info.group, info.kind), Some(kind));
        }
    }

    #[test]
    fn a_group_tells_kinds_of_one_name_apart() {
        assert_eq!(
            Kind::of_manifest("apps/v1", "Deployment"),
            Some(K::Deployment)
        );
        assert_eq!(Kind::of_manifest("example.com/v1", "Deployment"), None);
    }
}
