//! Objects that people and other controllers touch: bad ones, forged ones, deleted ones,
//! too many of them.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use patrol_e2e::admission;
use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::installed::{self, SOON, Stage};
use patrol_e2e::{Context, Error, Result, operator, wait_until};
use serde_json::{Value, json};

/// A file of `tests/bad-objects`.
struct Bad {
    name: String,
    path: PathBuf,
    /// The sentence, or a part of it; for semantic ones the field alone.
    expect: String,
    schema: bool,
    text: String,
}

fn bad_objects() -> Result<Vec<Bad>> {
    let folder = installed::repository("tests/bad-objects");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&folder).context(folder.display())? {
        let path = entry.context(folder.display())?.path();
        let text = std::fs::read_to_string(&path).context(path.display())?;
        let header = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name));
            found
                .map(str::to_owned)
                .ok_or_else(|| Error::failed(format!("{}: no header {name:?}", path.display())))
        };
        all.push(Bad {
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            expect: header("# expect: ")?,
            schema: header("# by: ")? == "schema",
            text,
            path,
        });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Whether a text has the sentence; it may show the value where the sentence does not.
fn says(text: &str, sentence: &str) -> bool {
    if text.contains(sentence) {
        return true;
    }
    let Some((field, rest)) = sentence.split_once("Invalid value: ") else {
        return false;
    };
    text.split(field)
        .skip(1)
        .any(|after| after.starts_with("Invalid value: ") && after.contains(&format!(": {rest}")))
}

/// What `lint` prints of one file, which must be found invalid.
fn lint(bad: &Bad) -> Result<std::result::Result<String, String>> {
    let path = bad.path.to_string_lossy();
    let output = operator::run_once(["lint", &path], None, SOON)?;
    let words = format!("{}{}", output.stdout, output.stderr);
    // Whether a receiver exists is only known in the cluster: a warning there.
    let code = if bad.name == "semantic-receiver" {
        0
    } else {
        1
    };
    Ok(match output.code == Some(code) {
        true => Ok(words),
        false => Err(format!("lint ended with {:?}: {words}", output.code)),
    })
}

/// The field as far as all three name it: of a receiver, lint names the entry and the
/// operator the list.
fn field(bad: &Bad) -> &str {
    match bad.name.as_str() {
        "semantic-receiver" => "spec.alerts.receivers",
        _ => &bad.expect,
    }
}

#[test]
fn bad_objects_are_told_by_the_api_server_the_operator_and_lint_alike() -> Result<()> {
    let Some(stage) = Stage::bare("bad_objects")? else {
        return Ok(());
    };
    let plane = &stage.plane;
    let mut operator = installed::operator(plane, "one")?.spawn()?;
    let all = bad_objects()?;
    assert!(all.len() >= 100, "only {}", all.len());
    let mut wrong = Vec::new();
    for bad in &all {
        match lint(bad)? {
            Err(words) => wrong.push(format!("{}: {words}", bad.name)),
            Ok(words) if !says(&words, field(bad)) => {
                wrong.push(format!("{}: lint says: {words}", bad.name));
            }
            Ok(_) => {}
        }
        // Straight to the API server: what kubectl finds by itself is not its word.
        let reply = plane.kubectl_with_input(
            ADMIN,
            ["create", "--validate=strict", "-f", "-"],
            Some(&bad.text),
        )?;
        match (bad.schema, reply.code) {
            (true, Some(0)) => wrong.push(format!("{}: the API server took it", bad.name)),
            (true, _) if !says(&reply.stderr, &bad.expect) => wrong.push(format!(
                "{}: wanted {:?}, the API server says: {}",
                bad.name, bad.expect, reply.stderr
            )),
            (true, _) => continue,
            (false, Some(0)) => {
                if let Err(error) = shown(plane, bad) {
                    wrong.push(format!("{}: the operator: {error}", bad.name));
                }
            }
            (false, _) => wrong.push(format!(
                "{}: the API server refused it: {}",
                bad.name, reply.stderr
            )),
        }
        let gone = plane.kubectl_with_input(
            ADMIN,
            ["delete", "--ignore-not-found", "--timeout=60s", "-f", "-"],
            Some(&bad.text),
        )?;
        gone.success()?;
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        all.len(),
        wrong.join("\n")
    );
    operator.check_alive()
}

/// Waits until the operator shows a policy that it took but cannot follow.
fn shown(plane: &ControlPlane, bad: &Bad) -> Result<()> {
    let wanted: &[(&str, &str)] = match bad.name.as_str() {
        // Inspection goes on without it.
        "semantic-receiver" => &[("Alerting", "False")],
        _ => &[("Ready", "False"), ("Stalled", "True")],
    };
    for (kind, status) in wanted {
        let condition = installed::condition(plane, "bad", kind, status)?;
        let message = condition["message"].as_str().unwrap_or("");
        if !message.contains(field(bad)) {
            return Err(Error::failed(format!(
                "{kind} does not name the field: {condition}"
            )));
        }
    }
    Ok(())
}

#[test]
fn f27_f28_a_deleted_or_forged_ticket_is_put_right_without_a_new_episode() -> Result<()> {
    // Where the policies are in force the API server takes none of this.
    let Some(stage) = Stage::unguarded("forged_ticket", Stage::bare_builder())? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    installed::create_pod(plane, &installed::pod("shop", "web", false))?;
    plane.apply(&installed::policy("production").to_string())?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;
    let line = "sidecar-missing Pod/web Open";
    installed::ticket_line(plane, line)?;
    let told = receiver.wait_for_event(SOON, "the opening", |e| e.state == "Firing")?;
    let ticket = installed::ticket(plane, "the delivery on record", |t| {
        installed::line(t) == line
            && t["status"]["alerts"]
                .as_array()
                .is_some_and(|a| !a.is_empty())
    })?;
    let name = ticket["metadata"]["name"].as_str().unwrap_or("").to_owned();

    // Every condition of the policy can be waited for.
    for condition in [
        "Ready=True",
        "Covered=True",
        "Alerting=True",
        "Compliant=False",
        "Reconciling=False",
        "Stalled=False",
    ] {
        let wait = format!("--for=condition={condition}");
        let policy = "patrolpolicies.kubepatrol.io/production";
        plane
            .kubectl(ADMIN, ["wait", &wait, policy, "--timeout=60s"])?
            .success()?;
    }

    let patch =
        json!({"status": {"phase": "Resolved", "alerts": [], "episode": {"resolution": "Fixed"}}});
    plane
        .kubectl(
            ADMIN,
            [
                "patch",
                "tickets.kubepatrol.io",
                &name,
                "-n",
                "shop",
                "--subresource=status",
                "--type=merge",
                "-p",
                &patch.to_string(),
            ],
        )?
        .success()?;
    let mended = installed::ticket(plane, "the forged status to be put right", |t| {
        installed::line(t) == line
            && t["status"]["alerts"]
                .as_array()
                .is_some_and(|a| !a.is_empty())
    })?;
    assert_eq!(mended["status"]["episode"]["n"], 1, "{mended}");
    assert_eq!(
        mended["status"]["episode"]["openedAt"],
        ticket["status"]["episode"]["openedAt"]
    );
    assert_eq!(
        mended["status"]["alerts"], ticket["status"]["alerts"],
        "told-counters went back"
    );

    let labels = "kubepatrol.io/severity=low kubepatrol.io/state=resolved kubepatrol.io/check-";
    let args = [
        "label",
        "-n",
        "shop",
        "--overwrite",
        "tickets.kubepatrol.io",
        &name,
    ];
    plane
        .kubectl(ADMIN, args.into_iter().chain(labels.split(' ')))?
        .success()?;
    installed::ticket(plane, "the forged labels to be put right", |t| {
        t["metadata"]["name"] == *name && t["metadata"]["labels"] == ticket["metadata"]["labels"]
    })?;

    let all = "/apis/kubepatrol.io/v1alpha1/namespaces/shop/tickets";
    let made_up = admission::made_up("made-up");
    plane
        .request(ADMIN, "POST", all, Some(&made_up))?
        .success()?;
    installed::ticket_line(plane, "nothing Cluster/cluster Resolved")?;

    plane
        .kubectl(
            ADMIN,
            ["delete", "tickets.kubepatrol.io", &name, "-n", "shop"],
        )?
        .success()?;
    let back = installed::ticket(plane, "the deleted ticket to come back", |t| {
        installed::line(t) == line && t["metadata"]["uid"] != ticket["metadata"]["uid"]
    })?;
    assert_eq!(back["metadata"]["name"], ticket["metadata"]["name"]);
    assert_eq!(
        back["status"]["firstOpenedAt"], ticket["status"]["firstOpenedAt"],
        "{back}"
    );
    let history = |t: &Value| t["status"]["history"].as_array().map_or(0, Vec::len);
    assert!(history(&back) >= history(&ticket), "history lost: {back}");

    installed::patrols(plane, "production", 1)?;
    let events = receiver.events()?;
    let of_web = || events.iter().filter(|e| e.subject.name == "web");
    assert!(
        of_web().all(|e| e.state == "Firing"),
        "closed though open: {events:?}"
    );
    assert!(
        of_web().all(|e| e.episode == told.episode),
        "a new episode: {events:?}"
    );

    // It ends like any other.
    installed::replace_pod(plane, "shop", "web", true)?;
    installed::ticket_line(plane, "sidecar-missing Pod/web Resolved")?;
    receiver.wait_for_event(SOON, "the end", |e| {
        e.subject.name == "web" && e.state == "Closed"
    })?;
    operator.check_alive()
}

#[test]
fn beyond_the_ceiling_one_ticket_counts_the_rest_and_mending_closes_all() -> Result<()> {
    let Some(stage) = Stage::bare("ceiling")? else {
        return Ok(());
    };
    let plane = &stage.plane;
    let names: Vec<String> = (0..10).map(|n| format!("web-{n}")).collect();
    for name in &names {
        installed::create_pod(plane, &installed::pod("shop", name, false))?;
    }
    let mut policy = installed::policy("production");
    policy["spec"]["tickets"]["maxPerCheck"] = json!(3);
    plane.apply(&policy.to_string())?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;
    installed::ticket(plane, "an aggregate of seven", |t| {
        t["status"]["phase"] == "Open" && t["status"]["evidence"]["affected"]["count"] == 7
    })?;
    installed::patrols(plane, "production", 1)?;
    let open = installed::tickets_of(plane, "sidecar-missing")?;
    let lines: BTreeSet<_> = open.iter().map(installed::line).collect();
    assert_eq!((open.len(), lines.len()), (4, 4), "{lines:?}");
    let single = open
        .iter()
        .filter(|t| t["spec"]["finding"]["subject"]["kind"] == "Pod");
    assert_eq!(single.count(), 3, "{lines:?}");

    for name in &names {
        installed::replace_pod(plane, "shop", name, true)?;
    }
    wait_until(SOON, "every ticket to be resolved", || {
        let all = installed::tickets_of(plane, "sidecar-missing")?;
        let open: Vec<_> = all
            .iter()
            .map(installed::line)
            .filter(|line| !line.ends_with("Resolved"))
            .collect();
        match open.is_empty() {
            true => Ok(()),
            false => Err(Error::failed(open.join("; "))),
        }
    })?;
    installed::condition(plane, "production", "Compliant", "True")?;
    operator.check_alive()
}

#[test]
fn a_namespace_that_goes_takes_its_tickets_along_quietly() -> Result<()> {
    let builder = ControlPlane::builder().controllers().audit();
    let Some(stage) = Stage::raise("namespace_deleted", builder)? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    installed::create_pod(plane, &installed::pod("shop", "web", false))?;
    plane.apply(&installed::policy("production").to_string())?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;
    installed::ticket_line(plane, "sidecar-missing Pod/web Open")?;
    receiver.wait_for_event(SOON, "the opening", |e| {
        e.state == "Firing" && e.subject.name == "web"
    })?;
    wait_until(SOON, "the ticket in the policy's counts", || {
        let policy = installed::policy_now(plane, "production")?;
        match policy["status"]["tickets"]["open"] == 1 {
            true => Ok(()),
            false => Err(Error::failed(policy["status"].to_string())),
        }
    })?;

    // A pod without a kubelet needs a push to go.
    plane
        .kubectl(ADMIN, ["delete", "namespace", "shop", "--wait=false"])?
        .success()?;
    installed::delete_pod(plane, "shop", "web").or_else(|error| {
        match installed::tickets_of(plane, "sidecar-missing")?.is_empty() {
            true => Ok(()),
            false => Err(error),
        }
    })?;
    plane
        .kubectl(
            ADMIN,
            ["wait", "--for=delete", "namespace/shop", "--timeout=60s"],
        )?
        .success()?;
    wait_until(SOON, "the counts to go to nothing", || {
        let policy = installed::policy_now(plane, "production")?;
        match policy["status"]["tickets"]["open"] == 0 {
            true => Ok(()),
            false => Err(Error::failed(policy["status"].to_string())),
        }
    })?;
    installed::patrols(plane, "production", 1)?;

    // Once a patrol has passed, the rest is silence.
    let before = refused_writes(plane)?;
    assert!(
        before.len() <= 10,
        "a storm of {} refused writes: {before:?}",
        before.len()
    );
    installed::patrols(plane, "production", 1)?;
    let after = refused_writes(plane)?;
    assert_eq!(after.len(), before.len(), "it goes on: {after:?}");
    let end = operator.terminate(Duration::from_secs(10))?;
    assert_eq!(end.code(), Some(0), "{}", operator.stderr()?);
    Ok(())
}

/// The operator's writes into `shop` that the API server refused, from its audit log.
fn refused_writes(plane: &ControlPlane) -> Result<Vec<Value>> {
    let who = format!("system:serviceaccount:{0}:{0}", installed::NAMESPACE);
    let mut events = plane.audit()?;
    events.retain(|event| {
        let verb = event["verb"].as_str();
        event["user"]["username"] == who
            && event["objectRef"]["namespace"] == "shop"
            && matches!(verb, Some("create" | "patch" | "update" | "delete"))
            && event["responseStatus"]["code"].as_u64() >= Some(400)
    });
    Ok(events)
}
