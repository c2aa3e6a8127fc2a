//! Tests of `injector-unhealthy`: each thing that can keep an injector from injecting.

use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::testing::{Object, Said, World, injector, namespace, pod};

const CHECK: &str = "injector-unhealthy";
const SUBJECT: &str = "MutatingWebhookConfiguration/aegis-injector";

/// A certificate that was valid through 2024, as a caBundle.
const EXPIRED: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJBVENCcUFJQkFUQUtCZ2dxaGtqT1BRUURBakFOTVFzd0NRWURWUVFEREFKallUQWVGdzB5TkRBeE1ERXcKTURBd01EQmFGdzB5TlRBeE1ERXdNREF3TURCYU1BMHhDekFKQmdOVkJBTU1BbU5oTUZrd0V3WUhLb1pJemowQwpBUVlJS29aSXpqMERBUWNEUWdBRW5LRHBVV3NLODlQL2VLTkFHU0xESFdpVFlKZFcwdmJJYnlXLzROMkJ5UzlnCklLUjhVYWU3eWpZbXJ6eTUyQnAxSzdMSGkzQXZlTE5JNjZhUkNwQzFhakFLQmdncWhrak9QUVFEQWdOSUFEQkYKQWlFQTZJQmNzZ0l6cW5kNnlZRTR3Z3NPb3RiVStsQ3VBRnpQUms4LzFBSWhOK3dDSUFtUVhMNklQQ2RnbHgySAo1L1dwY1h3MGxsY0dmUjNHRmN0am1uZTNjTjB5Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";
/// The same, valid until 2026-03-01.
const VALID: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJBakNCcUFJQkFqQUtCZ2dxaGtqT1BRUURBakFOTVFzd0NRWURWUVFEREFKallUQWVGdzB5TkRBeE1ERXcKTURBd01EQmFGdzB5TmpBek1ERXdNREF3TURCYU1BMHhDekFKQmdOVkJBTU1BbU5oTUZrd0V3WUhLb1pJemowQwpBUVlJS29aSXpqMERBUWNEUWdBRW5LRHBVV3NLODlQL2VLTkFHU0xESFdpVFlKZFcwdmJJYnlXLzROMkJ5UzlnCklLUjhVYWU3eWpZbXJ6eTUyQnAxSzdMSGkzQXZlTE5JNjZhUkNwQzFhakFLQmdncWhrak9QUVFEQWdOSkFEQkcKQWlFQTVGbmlqYW9YemNaTWhmaUU5alN4NG05REdJMk5hZHI0Y0crak9za1pwVUFDSVFDemdnUEpjWk9vZW0wVQpUZDRDT3ZWSHMwakxVV3VlUFNEaUh1K1k2TDFac0E9PQotLS0tLUVORCBDRVJUSUZJQ0FURS0tLS0tCg==";

fn world() -> World {
    World::new(json!({"checks": [
        {"name": "security-center", "sidecar": {"container": "aegis", "injector": {"webhook": "aegis-injector"}}},
        {"name": "log-shipper", "sidecar": {"container": "logtail"}},
    ]}))
    .with(namespace("shop"))
}

fn with_bundle(bundle: &str) -> Object {
    let mut config = injector("aegis-injector");
    config.0["webhooks"][0]["clientConfig"]["caBundle"] = json!(bundle);
    config
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "injector", "namespace": "mesh"}})
}

fn endpoints(ready: &[bool]) -> Value {
    let endpoints: Vec<Value> = ready
        .iter()
        .map(|r| json!({"conditions": {"ready": r}}))
        .collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "injector-1", "namespace": "mesh",
            "labels": {"kubernetes.io/service-name": "injector"}},
        "endpoints": endpoints})
}

fn healthy() -> World {
    world()
        .with(with_bundle(VALID))
        .with(service())
        .with(endpoints(&[true, false]))
}

fn reasons(world: &World) -> String {
    let seen = world.verdict(CHECK, SUBJECT);
    assert_eq!(seen.said(), "Fail", "{}", seen.judgement.message);
    seen.reasons()
}

#[test]
fn a_healthy_injector_passes_until_its_bundle_expires() {
    let seen = healthy().verdict(CHECK, SUBJECT);
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Pass".into(), String::new())
    );
    let recheck = seen.judgement.recheck_at.map(|at| at.to_string());
    assert_eq!(recheck.as_deref(), Some("2026-03-01T00:00:00Z"));
    // A requirement without an injector has none to be judged.
    assert_eq!(healthy().judge(CHECK).len(), 1);
}

#[test]
fn a_missing_configuration_fails_in_a_cluster_and_says_nothing_in_files() {
    assert_eq!(reasons(&world().with(injector("other"))), "webhook-missing");
    let files = world().files().with(injector("other"));
    assert_eq!(
        files.verdict(CHECK, SUBJECT).said(),
        "Unknown(injector-unseen)"
    );
}

#[test]
fn no_ready_endpoint_is_an_outage_or_a_silent_gap() {
    let down = healthy().with(endpoints(&[false]));
    assert_eq!(reasons(&down), "no-ready-endpoint,outage");
    let mut ignoring = with_bundle(VALID);
    ignoring.0["webhooks"][0]["failurePolicy"] = json!("Ignore");
    let silent = down.with(ignoring);
    assert_eq!(reasons(&silent), "no-ready-endpoint,silent-gap");
    let message = silent.verdict(CHECK, SUBJECT).judgement.message;
    assert!(message.contains("silently go without"), "{message}");
    let no_slice = world().with(with_bundle(VALID)).with(service());
    assert_eq!(reasons(&no_slice), "no-ready-endpoint,outage");
    let no_service = world().with(with_bundle(VALID)).with(endpoints(&[true]));
    assert_eq!(reasons(&no_service), "service-missing,outage");
}

#[test]
fn a_bundle_that_is_empty_expired_or_garbage() {
    for (bundle, reason) in [
        ("", "ca-bundle-empty,outage"),
        (EXPIRED, "ca-bundle-expired,outage"),
        ("aGVsbG8=", "ca-bundle-unreadable,outage"),
    ] {
        let world = healthy().with(with_bundle(bundle));
        assert_eq!(reasons(&world), reason);
        assert_eq!(
            world.verdict(CHECK, SUBJECT).judgement.paths,
            ["/webhooks/0/clientConfig/caBundle"]
        );
    }
    // A URL may be trusted by the system's roots, and has no Service.
    let mut by_url = injector("aegis-injector");
    by_url.0["webhooks"][0]["clientConfig"] = json!({"url": "https://injector.example.com"});
    assert_eq!(world().with(by_url).verdict(CHECK, SUBJECT).said(), "Pass");
}

#[test]
fn a_webhook_that_is_asked_about_nothing() {
    let mut elsewhere = with_bundle(VALID);
    elsewhere.0["webhooks"][0]["namespaceSelector"] = json!({"matchLabels": {"inject": "yes"}});
    let world = healthy().with(elsewhere);
    assert_eq!(reasons(&world), "no-namespace-selected");
    let chosen = namespace("bank").patch(json!({"metadata": {"labels": {"inject": "yes"}}}));
    assert_eq!(
        world
            .clone()
            .with(chosen.clone())
            .verdict(CHECK, SUBJECT)
            .said(),
        "Pass"
    );
    let leaving = chosen.patch(json!({"status": {"phase": "Terminating"}}));
    assert_eq!(reasons(&world.with(leaving)), "no-namespace-selected");
    let mut updates = with_bundle(VALID);
    updates.0["webhooks"][0]["rules"][0]["operations"] = json!(["UPDATE"]);
    assert_eq!(reasons(&healthy().with(updates)), "covers-no-pods");
}

#[test]
fn files_carry_neither_endpoints_nor_run_time_bundles() {
    let files = world()
        .files()
        .with(injector("aegis-injector"))
        .with(pod("web-1"));
    assert_eq!(files.verdict(CHECK, SUBJECT).said(), "Pass");
    let expired = world().files().with(with_bundle(EXPIRED));
    assert_eq!(reasons(&expired), "ca-bundle-expired,outage");
}

#[test]
fn endpoints_that_cannot_be_read_are_no_verdict() {
    for kind in [Kind::EndpointSlice, Kind::MutatingWebhookConfiguration] {
        let seen = healthy().denied(kind).inspect(CHECK);
        assert!(seen.results.is_empty());
        assert!(seen.blind.contains_key(&kind), "{kind}");
    }
}
