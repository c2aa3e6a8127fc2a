//! What is installed beside the definitions: who leads, and the admission policies.

use patrol_api::time::{Span, Time};
use patrol_kube::ask::{NoAnswer, Resource};
use patrol_kube::client::Http;
use patrol_kube::lease::LEASE_NAME;
use serde_json::Value;

use super::line::Line;
use crate::cli::ui::{age, when};

/// The admission policies that `deploy/` ships, with their bindings.
const ADMISSION: [&str; 2] = ["kube-patrol-tickets", "kube-patrol-ticketwaivers"];

pub(super) async fn lease(http: &Http, namespace: &str, now: Time) -> Line {
    let at = Resource {
        group: "coordination.k8s.io",
        version: "v1",
        resource: "leases",
        namespace,
    };
    let lease = http.read(&at, LEASE_NAME).await;
    lease_line(lease, namespace, now)
}

fn lease_line(lease: Result<Value, NoAnswer>, namespace: &str, now: Time) -> Line {
    const CHECK: &str = "lease";
    let about = format!("{namespace}/{LEASE_NAME}");
    let look = format!(
        "kubectl -n {namespace} get pods; kubectl -n {namespace} logs -l app.kubernetes.io/name=kube-patrol --tail=50"
    );
    let lease = match lease {
        Ok(lease) => lease,
        Err(NoAnswer::Absent) => {
            return Line::fail(CHECK, "no operator has ever led here")
                .about(about)
                .fix(look);
        }
        Err(why) => {
            let right =
                format!("get on leases of group coordination.k8s.io in namespace {namespace}");
            return Line::unseen(CHECK, "it", why, &right).about(about);
        }
    };
    let text = |field: &str| {
        lease
            .pointer(&format!("/spec/{field}"))
            .and_then(Value::as_str)
    };
    let renewed: Option<Time> = text("renewTime").and_then(|t| t.parse().ok());
    let lasts = lease
        .pointer("/spec/leaseDurationSeconds")
        .and_then(Value::as_u64)
        .map_or(Span::seconds(15), Span::seconds);
    match (text("holderIdentity").filter(|h| !h.is_empty()), renewed) {
        (Some(holder), Some(at)) if now.since(at) <= lasts => Line::ok(
            CHECK,
            format!("{holder} leads, renewed {} ago", age(at, now)),
        )
        .about(about),
        (Some(holder), Some(at)) => Line::fail(
            CHECK,
            format!(
                "nobody leads: {holder} renewed it last {} ago ({})",
                age(at, now),
                when(at)
            ),
        )
        .about(about)
        .fix(look),
        _ => Line::fail(
            CHECK,
            "nobody leads: the last leader handed over and no other came",
        )
        .about(about)
        .fix(look),
    }
}

pub(super) async fn admission(http: &Http) -> Vec<Line> {
    let list = |resource: &'static str| {
        let at = Resource {
            group: "admissionregistration.k8s.io",
            version: "v1",
            resource,
            namespace: "",
        };
        async move { http.list(&at).await }
    };
    let policies = list("validatingadmissionpolicies").await;
    let bindings = list("validatingadmissionpolicybindings").await;
    match (policies, bindings) {
        (Ok(policies), Ok(bindings)) => admission_lines(&policies, &bindings),
        (Err(why), _) | (_, Err(why)) => {
            let right = "list on validatingadmissionpolicies and validatingadmissionpolicybindings of group admissionregistration.k8s.io";
            vec![Line::unseen(
                "admission",
                "the admission policies",
                why,
                right,
            )]
        }
    }
}

fn admission_lines(policies: &[Value], bindings: &[Value]) -> Vec<Line> {
    const CHECK: &str = "admission";
    let text = |object: &Value, pointer: &str| -> String {
        let found = object.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let denies = |binding: &Value| {
        let actions = binding
            .pointer("/spec/validationActions")
            .and_then(Value::as_array);
        actions.is_some_and(|all| all.iter().any(|a| a == "Deny"))
    };
    ADMISSION
        .iter()
        .map(|name| {
            let there = policies.iter().any(|p| text(p, "/metadata/name") == *name);
            let bound = bindings
                .iter()
                .any(|b| text(b, "/spec/policyName") == *name && denies(b));
            let fix = "apply deploy/base/admission.yaml";
            match (there, bound) {
                (true, true) => Line::ok(CHECK, "is installed and bound").about(*name),
                (true, false) => {
                    Line::warn(CHECK, "is installed, but no binding makes it deny anything")
                        .about(*name)
                        .fix(fix)
                }
                (false, _) => Line::warn(
                    CHECK,
                    "is not installed: what people may not write is put right afterwards, not refused, and `by` is as claimed",
                )
                .about(*name)
                .fix(fix),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::line::Level;
    use super::*;
    use serde_json::json;

    fn at(seconds: i64) -> Time {
        Time::from_unix(1_800_000_000 + seconds)
    }

    fn held(holder: &str) -> Value {
        json!({"spec": {"holderIdentity": holder, "leaseDurationSeconds": 15,
                        "renewTime": "2027-01-15T08:00:00.000000Z"}})
    }

    #[test]
    fn a_lease_is_fresh_for_as_long_as_it_lasts() {
        let line = |lease, seconds| lease_line(lease, "kube-patrol", at(seconds));
        let fresh = line(Ok(held("pod-a")), 15);
        assert_eq!(fresh.level, Level::Ok);
        assert_eq!(fresh.says, "pod-a leads, renewed 15s ago");
        let late = line(Ok(held("pod-a")), 16);
        assert_eq!(late.level, Level::Fail);
        assert!(
            late.says
                .starts_with("nobody leads: pod-a renewed it last 16s ago")
        );
        assert_eq!(line(Ok(held("")), 0).level, Level::Fail);
        assert_eq!(line(Ok(json!({"spec": {}})), 0).level, Level::Fail);
        assert_eq!(line(Err(NoAnswer::Absent), 0).level, Level::Fail);
        assert!(!line(Err(NoAnswer::Denied), 0).seen);
    }

    #[test]
    fn admission_policies_count_where_they_are_bound() {
        let named = |name: &str| json!({"metadata": {"name": name}});
        let bound = |name: &str, action: &str| json!({"spec": {"policyName": name, "validationActions": [action]}});
        let levels = |policies: &[Value], bindings: &[Value]| {
            let lines = admission_lines(policies, bindings);
            lines.iter().map(|l| l.level).collect::<Vec<_>>()
        };
        let [tickets, waivers] = ADMISSION;
        assert_eq!(levels(&[], &[]), [Level::Warn, Level::Warn]);
        assert_eq!(
            levels(
                &[named(tickets), named(waivers)],
                &[bound(tickets, "Deny"), bound(waivers, "Audit")]
            ),
            [Level::Ok, Level::Warn]
        );
    }
}
