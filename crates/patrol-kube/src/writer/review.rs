//! Questions that a patrol asks: may these kinds be read, and how many objects of a
//! custom kind are there.

use std::collections::BTreeMap;

use http::Method;
use patrol_core::inventory::{Blindness, Instances};
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::client::{Call, Http, JSON, METADATA_LIST, OBJECT_DEADLINE, OBJECT_MAX, PAGE_DEADLINE};
use crate::path;

/// Questions asked at once.
const AT_ONCE: usize = 4;
/// Tries of one question.
const TRIES: usize = 3;

/// Whether each kind may be listed and watched. `None`: the API server did not answer, so
/// nothing can be said; whoever asked asks again.
pub(super) async fn review(
    http: &Http,
    kinds: &[Kind],
) -> Option<BTreeMap<Kind, Result<(), Blindness>>> {
    let mut questions: Vec<(Kind, &'static str)> = vec![];
    for kind in kinds {
        questions.extend([(*kind, "list"), (*kind, "watch")]);
    }
    let mut answers: Vec<(Kind, &'static str, Option<bool>)> = vec![];
    for some in questions.chunks(AT_ONCE) {
        let asked = some.iter().map(|(kind, verb)| allowed(http, *kind, verb));
        let came = futures::future::join_all(asked).await;
        answers.extend(
            some.iter()
                .zip(came)
                .map(|((kind, verb), a)| (*kind, *verb, a)),
        );
    }
    let mut out: BTreeMap<Kind, Result<(), Blindness>> =
        kinds.iter().map(|kind| (*kind, Ok(()))).collect();
    for (kind, verb, answer) in answers {
        if !answer? {
            out.entry(kind)
                .and_modify(|r| *r = Err(Blindness::Denied(verb.to_owned())));
        }
    }
    Some(out)
}

async fn allowed(http: &Http, kind: Kind, verb: &'static str) -> Option<bool> {
    let info = kind.info();
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "group": info.group,
            "version": info.version,
            "resource": info.resource,
            "verb": verb,
        }},
    });
    let target = format!(
        "{}/selfsubjectaccessreviews",
        path::version_root("authorization.k8s.io", "v1")
    );
    for _ in 0..TRIES {
        let call = Call::send(Method::POST, target.clone(), JSON, &body);
        let Ok(reply) = http.call(call, OBJECT_DEADLINE, OBJECT_MAX).await else {
            continue;
        };
        if !reply.status.is_success() {
            continue;
        }
        let answer: Value = serde_json::from_slice(&reply.body).ok()?;
        return answer["status"]["allowed"].as_bool();
    }
    None
}

/// Counts the objects of a CRD, up to `most`.
pub(super) async fn count(http: &Http, crd: &str, most: u32) -> Instances {
    let unknown = |why: &str| Instances::Unknown(why.to_owned());
    let target = path::object(Kind::CustomResourceDefinition, "", crd);
    let definition = match http.get(target).await {
        Ok(reply) if reply.status == 404 => return Instances::AtLeast(0),
        Ok(reply) if reply.status == 200 => reply,
        Ok(reply) if reply.status == 403 => return unknown("AccessDenied"),
        _ => return unknown("Unanswered"),
    };
    let Ok(definition) = serde_json::from_slice::<Value>(&definition.body) else {
        return unknown("Undecodable");
    };
    let spec = &definition["spec"];
    let version = spec["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|v| v["served"] == true)
        .and_then(|v| v["name"].as_str());
    let (Some(group), Some(plural), Some(version)) = (
        spec["group"].as_str(),
        spec["names"]["plural"].as_str(),
        version,
    ) else {
        return unknown("NotServed");
    };
    let root = path::version_root(group, version);
    let mut call = Call::get(format!(
        "{root}/{}?limit={}",
        path::escape(plural),
        most.max(1)
    ));
    call.accept = METADATA_LIST;
    match http.call(call, PAGE_DEADLINE, OBJECT_MAX).await {
        Ok(reply) if reply.status == 200 => {
            let Ok(list) = serde_json::from_slice::<Value>(&reply.body) else {
                return unknown("Undecodable");
            };
            let found = list["items"].as_array().map_or(0, Vec::len);
            Instances::AtLeast(u32::try_from(found).unwrap_or(u32::MAX))
        }
        Ok(reply) if reply.status == 403 => unknown("AccessDenied"),
        Ok(reply) if reply.status == 404 => Instances::AtLeast(0),
        _ => unknown("Unanswered"),
    }
}
