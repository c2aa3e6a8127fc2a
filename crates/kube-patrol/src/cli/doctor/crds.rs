//! The CustomResourceDefinitions: whether they are there, served, and the ones this program
//! was built with.

use patrol_api::crd;
use patrol_kube::ask::{NoAnswer, Resource};
use patrol_kube::client::Http;
use serde_json::Value;

use super::line::Line;

const CHECK: &str = "crds";
const APPLY: &str = "kube-patrol crds | kubectl apply --server-side -f -";

pub(super) async fn examine(http: &Http) -> Vec<Line> {
    let at = Resource {
        group: "apiextensions.k8s.io",
        version: "v1",
        resource: "customresourcedefinitions",
        namespace: "",
    };
    let mut lines = vec![];
    for ours in crd::crds() {
        let name = ours.metadata.name.clone().unwrap_or_default();
        let theirs = http.read(&at, &name).await;
        lines.push(line(&name, &crd::manifest(&ours), theirs));
    }
    lines
}

fn line(name: &str, ours: &Value, theirs: Result<Value, NoAnswer>) -> Line {
    let theirs = match theirs {
        Ok(theirs) => theirs,
        Err(NoAnswer::Absent) => {
            return Line::fail(CHECK, "is not installed").about(name).fix(APPLY);
        }
        Err(why) => {
            let right = "get on customresourcedefinitions of group apiextensions.k8s.io";
            return Line::unseen(CHECK, "it", why, right).about(name);
        }
    };
    let served = condition(&theirs, "Established") == Some("True");
    if !served {
        return Line::fail(CHECK, "is installed but not served yet")
            .about(name)
            .fix(format!("kubectl describe crd {name}"));
    }
    let version = text(ours, "/spec/versions/0/name");
    let drift = drift(ours, &theirs);
    match (drift.missing.first(), drift.extra.first()) {
        (Some(at), _) => Line::fail(
            CHECK,
            format!(
                "{version} is another than this program's: {at} is {}",
                if drift.extra.is_empty() {
                    "missing in it"
                } else {
                    "different in it"
                }
            ),
        )
        .about(name)
        .fix(format!("{APPLY}; with the program that the operator runs")),
        (None, Some(at)) => Line::warn(
            CHECK,
            format!("{version} is newer than this program's: {at} is not known here"),
        )
        .about(name)
        .fix("use the program that the operator runs, or apply its CustomResourceDefinitions"),
        (None, None) => Line::ok(
            CHECK,
            format!("{version} is served, as this program knows it"),
        )
        .about(name),
    }
}

/// Where two schemas part.
#[derive(Debug, Default, PartialEq, Eq)]
struct Drift {
    /// What we ask for and they do not have, or have otherwise.
    missing: Vec<String>,
    /// What they have and we do not know.
    extra: Vec<String>,
}

fn drift(ours: &Value, theirs: &Value) -> Drift {
    let mut drift = Drift::default();
    let null = Value::Null;
    for field in ["schema", "subresources", "selectableFields"] {
        let at = format!("/spec/versions/0/{field}");
        let (a, b) = (ours.pointer(&at), theirs.pointer(&at));
        compare(a.unwrap_or(&null), b.unwrap_or(&null), field, &mut drift);
    }
    drift
}

fn compare(ours: &Value, theirs: &Value, at: &str, drift: &mut Drift) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            // Words for people may differ, what is accepted may not.
            for (key, value) in a.iter().filter(|(key, v)| !is_prose(key, v)) {
                match b.get(key) {
                    Some(other) => compare(value, other, &below(at, key), drift),
                    None => drift.missing.push(below(at, key)),
                }
            }
            let unknown = b.iter().filter(|(key, v)| !is_prose(key, v));
            for (key, _) in unknown.filter(|(key, _)| !a.contains_key(*key)) {
                drift.extra.push(below(at, key));
            }
        }
        (a, b) if same(a, b) => {}
        _ => {
            drift.missing.push(at.to_owned());
            drift.extra.push(at.to_owned());
        }
    }
}

/// Lists of rules hold prose, too: compared without it.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let of = |map: &serde_json::Map<String, Value>| {
                map.iter()
                    .filter(|(key, v)| !is_prose(key, v))
                    .map(|(key, v)| (key.clone(), v.clone()))
                    .collect::<Vec<_>>()
            };
            let (a, b) = (of(a), of(b));
            a.len() == b.len()
                && a.iter()
                    .zip(&b)
                    .all(|((ka, va), (kb, vb))| ka == kb && same(va, vb))
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

fn is_prose(key: &str, value: &Value) -> bool {
    matches!(key, "description" | "message" | "messageExpression") && value.is_string()
}

/// Names of fields as people write them, without the schema's own words.
fn below(at: &str, key: &str) -> String {
    match key {
        "openAPIV3Schema" | "properties" | "items" => at.to_owned(),
        key => format!("{at}.{key}"),
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let all = object.pointer("/status/conditions")?.as_array()?;
    let found = all
        .iter()
        .find(|c| c.get("type").and_then(Value::as_str) == Some(kind))?;
    found.get("status")?.as_str()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::super::line::Level;
    use super::*;
    use serde_json::json;

    fn tickets() -> Value {
        let all = crd::crds();
        let found = all.iter().find(|c| c.spec.names.kind == "Ticket");
        crd::manifest(found.unwrap())
    }

    fn served(mut crd: Value) -> Value {
        crd["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
        crd
    }

    const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";

    #[test]
    fn the_own_definition_is_no_drift_whatever_its_words() {
        let ours = tickets();
        let mut theirs = served(ours.clone());
        assert_eq!(line("t", &ours, Ok(theirs.clone())).level, Level::Ok);
        theirs.pointer_mut(SPEC).unwrap()["assignee"]["description"] = json!("other words");
        assert_eq!(line("t", &ours, Ok(theirs)).level, Level::Ok);
    }

    #[test]
    fn an_older_one_fails_and_names_what_it_lacks() {
        let ours = tickets();
        let mut theirs = served(ours.clone());
        let fields = theirs.pointer_mut(SPEC).unwrap();
        fields.as_object_mut().unwrap().remove("snooze");
        let found = line("t", &ours, Ok(theirs));
        assert_eq!(found.level, Level::Fail);
        assert!(
            found.says.contains("schema.spec.snooze is missing in it"),
            "{}",
            found.says
        );
        assert!(found.fix.contains("kube-patrol crds | kubectl apply"));
    }

    #[test]
    fn a_newer_one_warns_and_a_changed_one_fails() {
        let ours = tickets();
        let mut newer = served(ours.clone());
        newer.pointer_mut(SPEC).unwrap()["later"] = json!({"type": "string"});
        let found = line("t", &ours, Ok(newer));
        assert_eq!(found.level, Level::Warn);
        assert!(
            found.says.contains("schema.spec.later is not known here"),
            "{}",
            found.says
        );
        let mut changed = served(ours.clone());
        changed.pointer_mut(SPEC).unwrap()["assignee"]["maxLength"] = json!(1);
        let found = line("t", &ours, Ok(changed));
        assert_eq!(found.level, Level::Fail);
        assert!(
            found
                .says
                .contains("schema.spec.assignee.maxLength is different in it"),
            "{}",
            found.says
        );
    }

    #[test]
    fn absent_unserved_and_unreadable_are_told_apart() {
        let ours = tickets();
        let absent = line("t", &ours, Err(NoAnswer::Absent));
        assert_eq!((absent.level, absent.seen), (Level::Fail, true));
        assert_eq!(line("t", &ours, Ok(ours.clone())).level, Level::Fail);
        let denied = line("t", &ours, Err(NoAnswer::Denied));
        assert_eq!((denied.level, denied.seen), (Level::Warn, false));
    }
}
