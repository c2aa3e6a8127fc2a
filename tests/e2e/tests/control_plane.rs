//! The harness proves itself before anything is proved with it.

use std::path::Path;
use std::time::{Duration, Instant};

use patrol_e2e::control_plane::{ADMIN, ControlPlane, KWOK_NODE};
use patrol_e2e::skip::or_skip;
use patrol_e2e::{Error, Result, wait_until};
use rustix::process::{Pid, test_kill_process};
use serde_json::json;

const MINUTE: Duration = Duration::from_secs(60);

/// Whether a process is there, without signalling it.
fn runs(id: u32) -> bool {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid).is_ok())
}

#[test]
fn is_ready_keeps_identities_apart_and_leaves_nothing_behind() -> Result<()> {
    let started = Instant::now();
    let plane = ControlPlane::builder()
        .identity("eve", &["visitors"])
        .audit()
        .start();
    let Some(plane) = or_skip("is_ready", plane)? else {
        return Ok(());
    };
    eprintln!("ready after {:?}", started.elapsed());

    let version = plane.request(ADMIN, "GET", "/version", None)?.success()?;
    if std::env::var_os(patrol_e2e::build::ASSETS).is_none() {
        assert_eq!(version["gitVersion"], "v1.36.3");
        assert_eq!(
            (&version["major"], &version["minor"]),
            (&json!("1"), &json!("36"))
        );
    }

    // RBAC: nothing without a rule, exactly the rule with one.
    let pods = "/api/v1/namespaces/default/pods";
    assert_eq!(plane.request("eve", "GET", pods, None)?.status, 403);
    plane.apply(
        r#"{"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
             "metadata": {"name": "see-pods", "namespace": "default"},
             "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
             "metadata": {"name": "visitors", "namespace": "default"},
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "see-pods"},
             "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "visitors"}]}]}"#,
    )?;
    wait_until(MINUTE, "eve to see pods", || {
        plane.request("eve", "GET", pods, None)?.success()
    })?;
    let refused = plane.kubectl("eve", ["get", "secrets"])?.failure()?;
    assert!(
        refused.contains("Forbidden") && refused.contains("\"eve\""),
        "{refused}"
    );
    assert!(
        plane.kubeconfig("nobody").is_err(),
        "an identity that was not asked for"
    );

    // A service account is an identity too, through TokenRequest.
    plane
        .kubectl(ADMIN, ["create", "serviceaccount", "robot"])?
        .success()?;
    let robot = plane.service_account_kubeconfig("default", "robot")?;
    let who = plane
        .kubectl(
            ADMIN,
            [
                "auth",
                "whoami",
                "-o",
                "jsonpath={.status.userInfo.username}",
                "--kubeconfig",
            ]
            .map(Path::new)
            .into_iter()
            .chain([robot.as_path()]),
        )?
        .success()?;
    assert_eq!(who, "system:serviceaccount:default:robot");

    // Without controllers a bare pod needs no service account.
    plane.create_namespace("shop")?;
    plane
        .kubectl(ADMIN, ["run", "web", "--image=web", "-n", "shop"])?
        .success()?;

    let refusals = plane
        .audit()?
        .into_iter()
        .filter(|event| {
            event["user"]["username"] == "eve" && event["responseStatus"]["code"] == 403
        })
        .count();
    assert!(refusals >= 2, "{refusals} refusals of eve in the audit log");

    let (ids, folder) = (plane.process_ids(), plane.folder().to_owned());
    assert!(ids.values().all(|id| runs(*id)), "{ids:?}");
    drop(plane);
    for (name, id) in ids {
        assert!(!runs(id), "{name} still runs as {id}");
    }
    assert!(!folder.join("data").exists(), "{}", folder.display());
    assert!(folder.join("logs/kube-apiserver.log").exists());
    Ok(())
}

#[test]
fn a_restarted_api_server_has_the_same_address_data_and_tokens() -> Result<()> {
    let Some(plane) = or_skip("a_restarted_api_server", ControlPlane::builder().start())? else {
        return Ok(());
    };
    let path = "/api/v1/namespaces/default/configmaps";
    let body = json!({"metadata": {"name": "kept"}, "data": {"n": "1"}});
    plane.request(ADMIN, "POST", path, Some(&body))?.success()?;

    for restart in ["stop", "kill"] {
        match restart {
            "stop" => plane.stop_api_server()?,
            _ => plane.kill_api_server()?,
        }
        let gone = plane.request(ADMIN, "GET", "/readyz", None);
        assert!(gone.is_err(), "{restart}: {gone:?}");
        assert!(plane.stop_api_server().is_err(), "stopped twice");
        let started = Instant::now();
        plane.start_api_server()?;
        eprintln!("ready again after {:?}", started.elapsed());
        assert!(plane.start_api_server().is_err(), "started twice");
        let kept = plane.get(&["configmap", "kept"])?;
        assert_eq!(kept["data"]["n"], "1");
    }
    Ok(())
}

#[test]
fn a_failed_start_names_its_log_and_repeats_the_reason() {
    let started = ControlPlane::builder()
        .api_server_flag("--no-such-flag")
        .start();
    match started {
        Err(Error::Unavailable(_)) => {
            or_skip("a_failed_start", started).unwrap();
        }
        Err(Error::Failed(text)) => {
            assert!(
                text.contains("kube-apiserver.log") && text.contains("no-such-flag"),
                "{text}"
            );
        }
        Ok(_) => panic!("started with a flag that does not exist"),
    }
}

/// Three nodes for kwok.
fn nodes() -> String {
    let (key, value) = KWOK_NODE;
    (1..=3)
        .map(|n| {
            format!(
                "---\napiVersion: v1\nkind: Node\nmetadata:\n  name: node-{n}\n  \
                 labels: {{kubernetes.io/hostname: node-{n}, kubernetes.io/os: linux}}\n  \
                 annotations: {{{key}: {value}}}\n"
            )
        })
        .collect()
}

const WORKLOADS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web:1}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: agent:1}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: once, image: once:1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: slow, namespace: shop, annotations: {e2e.kubepatrol.io/behaviour: not-ready}}
spec: {containers: [{name: a, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: crashing, namespace: shop, annotations: {e2e.kubepatrol.io/behaviour: crash-loop}}
spec: {containers: [{name: a, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: stuck, namespace: shop, annotations: {e2e.kubepatrol.io/behaviour: stuck}}
spec: {containers: [{name: a, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: sidecar, namespace: shop}
spec:
  initContainers:
  - {name: first, image: a}
  - {name: proxy, image: a, restartPolicy: Always}
  containers: [{name: a, image: a}]
"#;

#[test]
fn with_controllers_scheduler_and_kwok_workloads_live_and_namespaces_end() -> Result<()> {
    let plane = ControlPlane::builder()
        .controllers()
        .scheduler()
        .kwok()
        .start();
    let Some(plane) = or_skip("workloads_live", plane)? else {
        return Ok(());
    };
    plane.apply(&nodes())?;
    plane.create_namespace("shop")?;
    plane.apply(WORKLOADS)?;
    let wait = |condition: &str, what: &[&str]| {
        let mut args = vec!["wait", "-n", "shop", "--timeout=60s", condition];
        args.extend_from_slice(what);
        plane.kubectl(ADMIN, args)?.success()
    };
    wait("--for=condition=Ready", &["node", "--all"])?;
    wait("--for=condition=Available", &["deployment/web"])?;
    wait(
        "--for=jsonpath={.status.numberReady}=3",
        &["daemonset/agent"],
    )?;
    wait("--for=condition=Complete", &["job/once"])?;
    wait(
        "--for=condition=Ready",
        &["pod", "-l", "app in (web,agent)"],
    )?;
    wait("--for=condition=Ready", &["pod/sidecar"])?;
    // The scripted ones do what their annotation says.
    wait("--for=condition=Ready=False", &["pod/slow"])?;
    wait("--for=jsonpath={.status.phase}=Running", &["pod/slow"])?;
    let waiting =
        "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff";
    wait(waiting, &["pod/crashing"])?;
    wait("--for=condition=PodScheduled", &["pod/stuck"])?;
    assert_eq!(
        plane.get(&["pod", "stuck", "-n", "shop"])?["status"]["phase"],
        "Pending"
    );

    let pods = plane.get(&["pods", "-n", "shop", "-l", "app=web"])?;
    let owners: Vec<_> = pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|pod| &pod["metadata"]["ownerReferences"][0]["kind"])
        .collect();
    assert_eq!(owners, ["ReplicaSet", "ReplicaSet"]);

    // The parts outlive a restart of the API server.
    plane.stop_api_server()?;
    plane.start_api_server()?;
    let started = Instant::now();
    plane
        .kubectl(ADMIN, ["delete", "namespace", "shop", "--timeout=120s"])?
        .success()?;
    eprintln!("namespace gone after {:?}", started.elapsed());
    assert_eq!(
        plane
            .request(ADMIN, "GET", "/api/v1/namespaces/shop", None)?
            .status,
        404
    );
    plane.check_alive()
}

#[test]
fn without_controllers_a_namespace_stays_terminating() -> Result<()> {
    let Some(plane) = or_skip("without_controllers", ControlPlane::builder().start())? else {
        return Ok(());
    };
    plane.create_namespace("shop")?;
    plane
        .kubectl(ADMIN, ["delete", "namespace", "shop", "--wait=false"])?
        .success()?;
    let namespace = plane.get(&["namespace", "shop"])?;
    assert_eq!(namespace["status"]["phase"], "Terminating");
    assert!(plane.kill("kube-scheduler").is_err(), "never asked for");
    Ok(())
}
