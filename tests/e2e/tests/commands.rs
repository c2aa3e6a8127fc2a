//! What people do with the command line against a real API server: `ack`, `snooze`, `assign`,
//! `recheck`, `explain`, `test-receiver` and `doctor`, each with the caller's own rights.

use std::time::Duration;

use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::installed::{self, SOON, Stage};
use patrol_e2e::operator::Process;
use patrol_e2e::receiver::Signature;
use patrol_e2e::{Context, Result, wait_until};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);

fn stage(test: &str) -> Result<Option<Stage>> {
    let builder = ControlPlane::builder()
        .api_server_flag("--disable-admission-plugins=ServiceAccount")
        .identity("ann", &[])
        .identity("nobody", &[])
        .identity("deputy", &[]);
    let stage = Stage::raise(test, builder)?;
    if let Some(stage) = &stage {
        // Ann edits tickets of one namespace and no more.
        allow(
            &stage.plane,
            "ann",
            "shop",
            &["tickets"],
            &["get", "list", "patch"],
        )?;
    }
    Ok(stage)
}

/// Rights on our own kinds for a user, in one namespace.
fn allow(
    plane: &ControlPlane,
    user: &str,
    namespace: &str,
    resources: &[&str],
    verbs: &[&str],
) -> Result<()> {
    let rule = json!({"apiGroups": ["kubepatrol.io"], "resources": resources, "verbs": verbs});
    let name = json!({"name": user, "namespace": namespace});
    let group = "rbac.authorization.k8s.io";
    let api = format!("{group}/v1");
    let role = json!({"apiVersion": api, "kind": "Role", "metadata": name, "rules": [rule]});
    let binding = json!({
        "apiVersion": api, "kind": "RoleBinding", "metadata": name,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": user},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    });
    plane.apply(&role.to_string())?;
    plane.apply(&binding.to_string()).map(drop)
}

/// How a command ended: exit code, standard output, standard error.
type Ended = (Option<i32>, String, String);

fn patrol(plane: &ControlPlane, user: &str, args: &[&str]) -> Result<Ended> {
    let builder = Process::builder().args(args);
    let mut process = builder.kubeconfig(&plane.kubeconfig(user)?).spawn()?;
    let status = process.wait(MINUTE)?;
    Ok((status.code(), process.stdout()?, process.stderr()?))
}

fn spec_of(plane: &ControlPlane, name: &str) -> Result<Value> {
    let path = format!("/apis/kubepatrol.io/v1alpha1/namespaces/shop/tickets/{name}");
    let ticket = plane.request(ADMIN, "GET", &path, None)?.success()?;
    Ok(ticket.get("spec").cloned().unwrap_or_default())
}

#[test]
fn people_take_a_ticket_with_their_own_rights_and_in_their_own_name() -> Result<()> {
    let Some(stage) = stage("commands")? else {
        return Ok(());
    };
    let plane = &stage.plane;
    plane.apply(&installed::policy("production").to_string())?;
    installed::create_pod(plane, &installed::pod("shop", "web", false))?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;
    let ticket = installed::ticket_line(plane, "sidecar-missing Pod/web Open")?;
    let name = ticket.pointer("/metadata/name").and_then(Value::as_str);
    let name = name.unwrap_or_default().to_owned();
    let uid = ticket.pointer("/metadata/uid").cloned();

    // The beginning of a name will do; the operator writes the status meanwhile.
    let ack = [
        "ack",
        "sidecar-missing",
        "-n",
        "shop",
        "--for",
        "8h",
        "--reason",
        "in review",
    ];
    let (code, out, err) = patrol(plane, "ann", &ack)?;
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.starts_with(&format!("Ticket shop/{name} acknowledged until ")),
        "{out}"
    );
    assert!(
        out.contains(" UTC by ann: no reminders until then; the due time "),
        "{out}"
    );
    let spec = spec_of(plane, &name)?;
    assert_eq!(spec.pointer("/acknowledge/by"), Some(&json!("ann")));
    assert_eq!(
        spec.pointer("/acknowledge/reason"),
        Some(&json!("in review"))
    );

    let (code, out, err) = patrol(plane, "ann", &["assign", &name, "ann", "-n", "shop"])?;
    assert_eq!(code, Some(0), "{out}{err}");
    let (code, ..) = patrol(plane, "ann", &["recheck", &name, "-n", "shop"])?;
    assert_eq!(code, Some(0));
    let snooze = ["snooze", &name, "-n", "shop", "--reason", "later"];
    let (code, out, _) = patrol(plane, "ann", &snooze)?;
    assert_eq!(code, Some(0));
    assert!(
        out.contains("The acknowledgement there was is taken back."),
        "{out}"
    );
    let spec = spec_of(plane, &name)?;
    assert_eq!(spec.get("acknowledge"), None);
    assert_eq!(spec.get("assignee"), Some(&json!("ann")));
    assert!(spec.get("recheck").is_some_and(Value::is_string), "{spec}");
    assert_eq!(spec.get("finding"), ticket.pointer("/spec/finding"));
    let (code, ..) = patrol(plane, "ann", &["snooze", &name, "-n", "shop", "--clear"])?;
    assert_eq!(code, Some(0));
    assert_eq!(spec_of(plane, &name)?.get("snooze"), None);

    // Ann may not see policies: what the ticket alone says is explained, and the rest named.
    let (code, out, err) = patrol(plane, "ann", &["explain", &name, "-n", "shop"])?;
    assert_eq!(code, Some(0), "{err}");
    for words in ["assigned to ann", "Told\n", "Next\n", "kind: TicketWaiver"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(
        out.contains("The policy production cannot be read with your rights"),
        "{out}"
    );
    // The policy says when it patrols next once its first status is written.
    let out = wait_until(MINUTE, "the next patrol to be explained", || {
        let (_, out, _) = patrol(plane, ADMIN, &["explain", &name])?;
        match out.contains("the next patrol of production") {
            true => Ok(out),
            false => Err(patrol_e2e::Error::failed(out)),
        }
    })?;
    assert!(out.contains("soc is "), "{out}");

    // Refusals are one sentence and leave the ticket as it is.
    let before = spec_of(plane, &name)?;
    for (user, args, words) in [
        (
            "ann",
            &["ack", &name, "-n", "shop", "--for", "25h", "--reason", "x"][..],
            "severity Critical lasts at most 1d, until ",
        ),
        (
            "ann",
            &["ack", "missing", "-n", "shop", "--reason", "x"],
            "ticket missing: not found in namespace shop",
        ),
        (
            "ann",
            &["ack", &name, "--reason", "x"],
            "you may not list them in all namespaces",
        ),
        (
            "nobody",
            &["assign", &name, "me", "-n", "shop"],
            "you may not list them in namespace shop",
        ),
    ] {
        let (code, out, err) = patrol(plane, user, args)?;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(
            err.contains(words) && err.lines().count() == 1,
            "{args:?}: {err}"
        );
    }
    assert_eq!(spec_of(plane, &name)?, before);

    // Mended: there is nothing to take any more, and it is the same ticket.
    installed::replace_pod(plane, "shop", "web", true)?;
    let resolved = installed::ticket_line(plane, "sidecar-missing Pod/web Resolved")?;
    assert_eq!(resolved.pointer("/metadata/uid").cloned(), uid);
    let late = ["ack", &name, "-n", "shop", "--reason", "x"];
    let (code, _, err) = patrol(plane, "ann", &late)?;
    assert_eq!(code, Some(2));
    // Why depends on whether the operator looked while the one pod was gone and the other not there yet.
    let why = ["Fixed", "SubjectGone"]
        .iter()
        .find(|why| err.contains(&format!("is resolved ({why}), so there is nothing to do")));
    assert!(why.is_some(), "{err}");
    operator.check_alive()
}

#[test]
fn a_probe_is_sent_with_the_callers_rights_and_explained() -> Result<()> {
    let Some(stage) = stage("test_receiver")? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    let probe = ["test-receiver", "soc", "--allow-loopback-receivers"];
    let (code, out, err) = patrol(plane, ADMIN, &probe)?;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("Answer:    Accepted, HTTP status "), "{out}");
    let sent = receiver.requests();
    assert_eq!(sent.len(), 1);
    for request in &sent {
        assert!(
            matches!(request.signature, Signature::Valid(_)),
            "{request:?}"
        );
        let notice = request.notice()?;
        assert_eq!(notice.raw.get("type"), Some(&json!("patrol.test")));
        let id = notice
            .raw
            .pointer("/data/cluster/id")
            .and_then(Value::as_str);
        assert_eq!(id.map(str::len), Some(36), "the id of the cluster");
    }
    // Loopback is denied as it is to the operator.
    let (code, out, _) = patrol(plane, ADMIN, &["test-receiver", "soc"])?;
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("Answer:    AddressBlocked"), "{out}");
    assert_eq!(receiver.requests().len(), 1);

    // Who may see the receiver but not its secret cannot run the test, and is told the right.
    let rule =
        json!({"apiGroups": ["kubepatrol.io"], "resources": ["alertreceivers"], "verbs": ["get"]});
    cluster_role(plane, "ann", &[rule])?;
    let (code, out, err) = patrol(plane, "ann", &probe)?;
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    assert!(
        err.contains("allow get on secrets in namespace kube-patrol"),
        "{err}"
    );
    let (code, _, err) = patrol(plane, "nobody", &probe)?;
    assert_eq!(code, Some(2));
    assert!(
        err.contains("allow get on alertreceivers of group kubepatrol.io"),
        "{err}"
    );
    assert_eq!(receiver.requests().len(), 1);

    // A secret that is gone is the receiver's fault.
    let secret = "/api/v1/namespaces/kube-patrol/secrets/soc";
    plane.request(ADMIN, "DELETE", secret, None)?.success()?;
    let (code, out, _) = patrol(plane, ADMIN, &probe)?;
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("Secret kube-patrol/soc: it is not there"),
        "{out}"
    );
    let (code, _, err) = patrol(plane, ADMIN, &["test-receiver", "other"])?;
    assert_eq!(code, Some(2));
    assert!(
        err.contains("AlertReceiver/other: it is not there"),
        "{err}"
    );
    Ok(())
}

/// Rights for a user in the whole cluster.
fn cluster_role(plane: &ControlPlane, user: &str, rules: &[Value]) -> Result<()> {
    let group = "rbac.authorization.k8s.io";
    let api = format!("{group}/v1");
    let name = format!("test-{user}");
    let role = json!({
        "apiVersion": api, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
    });
    let binding = json!({
        "apiVersion": api, "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    });
    plane.apply(&role.to_string())?;
    plane.apply(&binding.to_string()).map(drop)
}

/// The lines of a doctor's report about one check: object, status and finding with its fix.
fn lines(report: &Value, check: &str) -> Vec<(String, String, String)> {
    let text = |line: &Value, key: &str| {
        line.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let all = report.get("checks").and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .filter(|line| text(line, "check") == check)
        .map(|line| {
            let words = format!("{} / {}", text(line, "finding"), text(line, "fix"));
            (text(line, "object"), text(line, "status"), words)
        })
        .collect()
}

fn doctor(plane: &ControlPlane, user: &str, args: &[&str]) -> Result<(Option<i32>, Value)> {
    let all = [&["doctor", "-o", "json"], args].concat();
    let (code, out, err) = patrol(plane, user, &all)?;
    let report = serde_json::from_str(&out).context(format_args!("{out}{err}"))?;
    Ok((code, report))
}

fn statuses(report: &Value, check: &str) -> Vec<String> {
    lines(report, check)
        .into_iter()
        .map(|(_, status, _)| status)
        .collect()
}

#[test]
fn the_doctor_says_what_is_wrong_and_the_exact_right_that_is_missing() -> Result<()> {
    let Some(stage) = stage("doctor")? else {
        return Ok(());
    };
    let plane = &stage.plane;
    // Nothing runs yet.
    let (code, report) = doctor(plane, ADMIN, &[])?;
    assert_eq!(code, Some(1), "{report}");
    for (check, expected) in [
        ("api-access", &["OK"][..]),
        ("api-version", &["OK"]),
        ("clock", &["OK"]),
        ("crds", &["OK"; 4]),
        ("rights", &["OK"]),
        ("lease", &["FAIL"]),
        ("policies", &["WARN"]),
        ("receivers", &["WARN"]),
        ("metrics", &["SKIP"]),
    ] {
        assert_eq!(statuses(&report, check), expected, "{check}: {report}");
    }

    // All is well: the operator runs, has patrolled and told.
    plane.apply(&installed::policy("production").to_string())?;
    installed::create_pod(plane, &installed::pod("shop", "web", false))?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;
    installed::condition(plane, "production", "Covered", "True")?;
    stage
        .receiver
        .wait_for_event(SOON, "the opening", |e| e.state == "Firing")?;
    let address = wait_until(SOON, "the address it listens on", || {
        let log = operator.stderr().ok()?;
        let (_, rest) = log.split_once("\"listen\":\"")?;
        Some(rest.split('"').next()?.to_owned())
    })?;
    let url = format!("http://{address}/metrics");
    let well = wait_until(MINUTE, "a clean report", || {
        let (_, report) = doctor(plane, ADMIN, &["--metrics-url", &url])?;
        let checks = [
            "lease",
            "policies",
            "patrols",
            "coverage",
            "alerting",
            "receivers",
            "metrics",
        ];
        match checks
            .iter()
            .all(|check| statuses(&report, check) == ["OK"])
        {
            true => Ok(report),
            false => Err(patrol_e2e::Error::failed(report.to_string())),
        }
    })?;
    let leads = lines(&well, "lease").remove(0).2;
    assert!(leads.starts_with("one leads, renewed "), "{leads}");

    // A right is taken away: the exact rule, the blind spot, and the policy that has it.
    installed::revoke(plane, "pods")?;
    installed::condition(plane, "production", "Covered", "False")?;
    let (code, report) = doctor(plane, ADMIN, &[])?;
    assert_eq!(code, Some(1));
    let rights = lines(&report, "rights");
    assert_eq!(rights.len(), 1, "{report}");
    let rule = r#"- {apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"]}"#;
    assert!(
        rights
            .iter()
            .all(|r| r.0 == "ClusterRole/kube-patrol" && r.2.contains(rule)),
        "{rights:?}"
    );
    let coverage = lines(&report, "coverage").remove(0);
    assert_eq!(
        (coverage.0.as_str(), coverage.1.as_str()),
        ("production", "FAIL")
    );
    assert!(coverage.2.contains("AccessDenied"), "{}", coverage.2);

    // Who may only act in the operator's place learns the same.
    let deputy = [
        json!({"apiGroups": [""], "resources": ["serviceaccounts", "groups"], "verbs": ["impersonate"]}),
    ];
    cluster_role(plane, "deputy", &deputy)?;
    let (code, report) = doctor(plane, "deputy", &[])?;
    assert_eq!(code, Some(3), "what the deputy may not see");
    let rights = lines(&report, "rights");
    assert!(
        rights.iter().all(|r| r.1 == "FAIL" && r.2.contains(rule)),
        "{rights:?}"
    );
    installed::grant(plane)?;

    // Who may see nothing gets a line for each thing, and no crash.
    let (code, report) = doctor(plane, "nobody", &[])?;
    assert_eq!(code, Some(3), "{report}");
    for check in [
        "crds",
        "rights",
        "lease",
        "policies",
        "receivers",
        "waivers",
        "admission",
    ] {
        let all = lines(&report, check);
        assert!(!all.is_empty(), "{check}: {report}");
        assert!(
            all.iter()
                .all(|l| l.1 == "WARN" && l.2.contains("cannot be read") && l.2.contains("allow ")),
            "{check}: {all:?}"
        );
    }
    assert_eq!(statuses(&report, "clock"), ["OK"]);

    // An older definition, and a leader that is gone.
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tickets.kubepatrol.io";
    let mut crd = plane.request(ADMIN, "GET", path, None)?.success()?;
    let fields =
        crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties");
    if let Some(fields) = fields.and_then(Value::as_object_mut) {
        fields.remove("snooze");
    }
    plane.request(ADMIN, "PUT", path, Some(&crd))?.success()?;
    operator.kill()?;
    let report = wait_until(MINUTE, "the lease to run out", || {
        let (_, report) = doctor(plane, ADMIN, &[])?;
        match statuses(&report, "lease") == ["FAIL"] {
            true => Ok(report),
            false => Err(patrol_e2e::Error::failed(report.to_string())),
        }
    })?;
    let stale = lines(&report, "lease").remove(0).2;
    assert!(
        stale.starts_with("nobody leads: one renewed it last "),
        "{stale}"
    );
    let crds = lines(&report, "crds");
    let tickets = crds.iter().find(|l| l.0 == "tickets.kubepatrol.io");
    assert!(
        tickets
            .is_some_and(|l| l.1 == "FAIL" && l.2.contains("schema.spec.snooze is missing in it")),
        "{crds:?}"
    );
    Ok(())
}
