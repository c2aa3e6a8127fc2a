//! The commands that look once, as people and pipelines run them: what they print, where,
//! and with which exit code.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test fails loudly
#![allow(dead_code)] // the helpers serve another test, too

mod mtls;
mod people;
#[path = "../local/process.rs"]
mod process;
mod proxy;
mod receivers;

use process::{World, command};
use serde_json::Value;

fn deployment(name: &str, containers: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec:\n  replicas: 1\n  selector: {{matchLabels: {{app: web}}}}\n  template:\n\
         \x20   metadata: {{labels: {{app: web}}}}\n    spec:\n      containers: [{containers}]\n"
    )
}

const BARE: &str = "{name: web, image: registry.example.com/web:1}";
const COVERED: &str = "{name: web, image: registry.example.com/web:1}, {name: agent, image: registry.example.com/agent:1}";

const POLICY: &str = "apiVersion: kubepatrol.io/v1alpha1
kind: PatrolPolicy
metadata: {name: production}
spec:
  checks:
  - name: agent
    severity: Medium
    sidecar: {container: agent}
";

fn scan(world: &World, args: &[&str]) -> (Option<i32>, Value, String) {
    let path = world.path("");
    let all = [&["scan", path.to_str().unwrap(), "-o", "json"], args].concat();
    let (code, out, err) = command(&all);
    let report = serde_json::from_str(&out).unwrap_or(Value::Null);
    (code, report, format!("{out}{err}"))
}

/// Check, verdict and file of each result about a subject.
fn rows(report: &Value, subject: &str) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let results = report["results"].as_array().cloned().unwrap_or_default();
    results
        .iter()
        .filter(|r| r["subject"]["name"] == subject)
        .map(|r| {
            let file = text(&r["source"]["file"]);
            let file = file.rsplit('/').next().unwrap_or_default().to_owned();
            (text(&r["check"]), text(&r["verdict"]), file)
        })
        .collect()
}

fn row(check: &str, verdict: &str, file: &str) -> (String, String, String) {
    (check.into(), verdict.into(), file.into())
}

#[test]
fn one_identity_in_several_files_is_judged_in_each() {
    let world = World::new();
    world.write("policy.yaml", POLICY);
    world.write("a.yaml", &deployment("web", COVERED));
    world.write("b.yaml", &deployment("web", BARE));
    world.write("c.yaml", &deployment("web", BARE));
    world.write("other.yaml", &deployment("other", BARE));
    let (code, report, all) = scan(&world, &[]);
    assert_eq!(code, Some(1), "{all}");
    let fails = [
        row("sidecar-missing", "Fail", "b.yaml"),
        row("sidecar-missing", "Fail", "c.yaml"),
    ];
    assert_eq!(rows(&report, "web"), fails, "{all}");
    assert_eq!(
        rows(&report, "other"),
        [row("sidecar-missing", "Fail", "other.yaml")]
    );
    assert_eq!(report["summary"]["fail"], 3, "{all}");
    let (_, report, all) = scan(&world, &["--all-verdicts"]);
    let passed = row("sidecar-missing", "Pass", "a.yaml");
    assert!(rows(&report, "web").contains(&passed), "{all}");
}

#[test]
fn one_bad_policy_stops_no_other() {
    let world = World::new();
    world.write("web.yaml", &deployment("web", BARE));
    let bad = POLICY
        .replace("production", "bad")
        .replace("checks:", "schedule: {every: 1s}\n  checks:");
    world.write("bad.yaml", &bad);
    let (code, _, all) = scan(&world, &[]);
    assert_eq!(code, Some(2), "the only policy is invalid: {all}");
    assert!(
        all.contains("bad.yaml:1: PatrolPolicy/bad: spec.schedule.every: "),
        "{all}"
    );
    world.write("policy.yaml", POLICY);
    let (code, report, all) = scan(&world, &[]);
    assert_eq!(code, Some(3), "{all}");
    assert_eq!(
        rows(&report, "web"),
        [row("sidecar-missing", "Fail", "web.yaml")]
    );
    let missed = &report["coverage"]["notInspected"];
    assert_eq!(missed.as_array().unwrap().len(), 1, "{all}");
    let reason = missed[0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("PatrolPolicy/bad: spec.schedule.every: "),
        "{all}"
    );
}

#[test]
fn what_cannot_be_read_is_said_once_and_its_absence_proves_nothing() {
    let world = World::new();
    let component = "  - name: engine\n    component: {anyOf: [{workload: {kind: Deployment, namespace: sys, name: engine}}]}\n";
    world.write("policy.yaml", &format!("{POLICY}{component}"));
    world.write("web.yaml", &deployment("web", BARE));
    let (code, report, all) = scan(&world, &[]);
    assert_eq!(code, Some(1), "{all}");
    assert_eq!(
        rows(&report, "cluster"),
        [row("component-missing", "Fail", "")]
    );
    world.write("broken.yaml", "kind: [\n");
    world.write("bad.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad, namespace: shop}\nspec: {template: 77}\n");
    let (code, report, all) = scan(&world, &[]);
    assert_eq!(code, Some(3), "{all}");
    assert_eq!(
        rows(&report, "cluster"),
        [row("component-missing", "Unknown", "")],
        "{all}"
    );
    assert_eq!(
        rows(&report, "web"),
        [row("sidecar-missing", "Fail", "web.yaml")]
    );
    let missed = report["coverage"]["notInspected"].as_array().unwrap();
    let reasons: Vec<&str> = missed.iter().filter_map(|m| m["reason"].as_str()).collect();
    assert_eq!(
        reasons,
        [
            "Deployment cannot be decoded (a number where an object belongs): correct it",
            "is no valid YAML (unclosed bracket): correct it"
        ],
        "{all}"
    );
}

#[test]
fn exit_codes_follow_severity_and_sight() {
    let world = World::new();
    world.write("policy.yaml", POLICY);
    world.write("web.yaml", &deployment("web", BARE));
    assert_eq!(scan(&world, &[]).0, Some(1));
    assert_eq!(scan(&world, &["--fail-on", "Medium"]).0, Some(1));
    assert_eq!(scan(&world, &["--fail-on", "high"]).0, Some(0));
    world.write("web.yaml", &deployment("web", COVERED));
    assert_eq!(scan(&world, &[]).0, Some(0));
    for args in [
        &["scan"][..],
        &["scan", "/nonexistent/x.yaml"],
        &["scan", ".", "--cluster"],
        &["scan", ".", "--baseline", "no-such-baseline"],
        &["nonsense"],
    ] {
        let (code, out, err) = command(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
    }
}

#[test]
fn lines_are_the_results_of_the_report() {
    let world = World::new();
    world.write("policy.yaml", POLICY);
    world.write("web.yaml", &deployment("web", BARE));
    let (_, report, _) = scan(&world, &[]);
    let path = world.path("");
    let (_, lines, _) = command(&["scan", path.to_str().unwrap(), "-o", "jsonl"]);
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(report["results"].as_array().unwrap(), &lines);
    assert_eq!(report["apiVersion"], "kubepatrol.io/scan/v1");
    assert_eq!(report["kind"], "ScanReport");
    let result = &lines[0];
    for key in [
        "check",
        "requirement",
        "verdict",
        "severity",
        "layer",
        "party",
        "subject",
        "reasons",
        "message",
        "paths",
        "source",
    ] {
        assert!(result.get(key).is_some(), "{key}: {result}");
    }
}

#[test]
fn the_cluster_needs_an_identity_and_the_error_says_so() {
    let world = World::new();
    world.write("broken", "users: [{name: s3cr3t\n");
    let broken = world.path("broken");
    for (path, said) in [
        (
            "/nonexistent/kubeconfig",
            "(the kubeconfig /nonexistent/kubeconfig does not exist)",
        ),
        (
            broken.to_str().unwrap(),
            "(the kubeconfig is no valid YAML)",
        ),
    ] {
        let (code, out, err) =
            process::command_with(&["scan", "--cluster"], &[("KUBECONFIG", path)]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        let whole = format!(
            "kube-patrol: API server: no identity to talk to it {said}: set KUBECONFIG, or run in a pod with a service account\n"
        );
        assert_eq!(err, whole);
    }
}

/// A dead address is not a missing right.
#[test]
fn an_api_server_that_does_not_answer_is_said_to_be_that() {
    let world = World::new();
    world.write(
        "dead",
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
         contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n",
    );
    let dead = world.path("dead");
    let (code, out, err) =
        process::command_with(&["tickets"], &[("KUBECONFIG", dead.to_str().unwrap())]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    let said = "see whether the API server answers at the address in the kubeconfig";
    assert!(
        err.starts_with("kube-patrol: tickets: cannot be listed: ") && err.contains(said),
        "{err}"
    );
}

#[test]
fn a_plan_counts_what_it_could_not_see() {
    let world = World::new();
    world.write("policy.yaml", POLICY);
    std::fs::create_dir(world.path("in")).unwrap();
    world.write("in/web.yaml", &deployment("web", BARE));
    let (policy, manifests) = (world.path("policy.yaml"), world.path("in"));
    let args = [
        "plan",
        "-f",
        policy.to_str().unwrap(),
        "--manifests",
        manifests.to_str().unwrap(),
    ];
    let (code, out, err) = command(&args);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("sidecar-missing"), "{out}");
    assert!(err.contains("1 to open, 0 to close, 0 stay open"), "{err}");
    world.write("in/broken.yaml", "kind: [\n");
    let (code, _, err) = command(&args);
    assert_eq!(code, Some(3), "{err}");
    assert!(
        err.contains("broken.yaml:1: not inspected: is no valid YAML"),
        "{err}"
    );
    std::fs::remove_file(world.path("in/broken.yaml")).unwrap();
    world.write("in/web.yaml", &deployment("web", COVERED));
    assert_eq!(command(&args).0, Some(0));
}

#[test]
fn tickets_have_the_columns_of_the_api() {
    let world = World::new();
    world.write("policy.yaml", POLICY);
    world.write("web.yaml", &deployment("web", BARE));
    assert_eq!(world.run(&["--once"]).0, Some(1));
    let state = world.path(".kube-patrol");
    let tickets = |output: &str| {
        let args = ["tickets", "--state", state.to_str().unwrap(), "-o", output];
        let (code, out, err) = command(&args);
        assert_eq!(code, Some(0), "{err}");
        out
    };
    let header = |text: &str| -> Vec<String> {
        let first = text.lines().next().unwrap_or_default();
        first.split_whitespace().map(str::to_owned).collect()
    };
    let narrow = [
        "NAMESPACE",
        "NAME",
        "SEVERITY",
        "CHECK",
        "SUBJECT",
        "STATE",
        "PARTY",
        "AGE",
        "DUE",
    ];
    let wide = ["LAST-SEEN", "ALERTED", "POLICY", "MESSAGE"];
    assert_eq!(header(&tickets("table")), narrow);
    assert_eq!(header(&tickets("wide")), [&narrow[..], &wide[..]].concat());
    let list: Value = serde_json::from_str(&tickets("json")).unwrap();
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&"List".into(), &"v1".into())
    );
    assert_eq!(list["items"][0]["kind"], "Ticket");
    assert!(tickets("yaml").contains("kind: List"));
    assert!(
        !tickets("wide").contains('\u{1b}'),
        "no colour but on a terminal"
    );
}

#[test]
fn every_command_is_explained_with_an_example() {
    for command_name in [
        "",
        "operator",
        "local",
        "scan",
        "tickets",
        "explain",
        "report",
        "ack",
        "snooze",
        "assign",
        "recheck",
        "test-receiver",
        "doctor",
        "plan",
        "lint",
        "checks",
        "baselines",
        "crds",
        "completion",
    ] {
        let args: Vec<&str> = command_name
            .split(' ')
            .filter(|w| !w.is_empty())
            .chain(["--help"])
            .collect();
        let (code, out, err) = command(&args);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
        assert!(out.contains("Examples:\n  "), "{args:?}: {out}");
        let widest = out.lines().map(str::len).max().unwrap_or_default();
        assert!(widest <= 100, "{args:?}: {widest} columns");
    }
}

#[test]
fn words_agree_with_their_numbers() {
    let world = World::new();
    world.write("policy.yaml", POLICY);
    world.write("web.yaml", &deployment("web", BARE));
    let policy = world.path("policy.yaml");
    let (_, _, err) = command(&["lint", policy.to_str().unwrap()]);
    assert!(err.contains("1 object, 0 invalid"), "{err}");
    let folder = world.path("");
    let (_, out, _) = command(&["scan", folder.to_str().unwrap()]);
    assert!(out.contains(": 1 finding, "), "{out}");
    world.write("broken.yaml", "kind: [\n");
    let broken = world.path("broken.yaml");
    let (_, _, err) = command(&["lint", broken.to_str().unwrap()]);
    assert!(err.contains("0 objects, 0 invalid"), "{err}");
    assert!(
        err.contains("1 file or document could not be read"),
        "{err}"
    );
}

#[test]
fn a_check_is_called_and_mended_in_chinese_where_that_is_asked_for() {
    let (code, list, _) = command(&["checks", "--lang", "zh"]);
    assert_eq!(code, Some(0));
    assert!(list.contains("缺少必需的 Sidecar"), "{list}");
    let describe = |lang| command(&["checks", "describe", "sidecar-missing", "--lang", lang]).1;
    let (english, chinese) = (describe("en"), describe("zh"));
    assert!(chinese.contains("缺少必需的 Sidecar"), "{chinese}");
    let remedy = |text: &str| text.split("How to fix it\n").nth(1).map(str::to_owned);
    assert_ne!(remedy(&english), remedy(&chinese));
    assert!(!english.contains("缺少"), "{english}");
    // Data is the same for every program.
    let data = |lang| command(&["checks", "-o", "json", "--lang", lang]).1;
    assert_eq!(data("en"), data("zh"));
}
