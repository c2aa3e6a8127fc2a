//! Questions that a patrol asks: may these kinds be read, and how many objects of a
//! custom kind are there.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use patrol_core::inventory::{Blindness, Instances};
use patrol_core::kind::Kind;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::client::{
    Call, Http, JSON, METADATA_LIST, OBJECT_DEADLINE, OBJECT_MAX, PAGE_DEADLINE, Reply,
};
use crate::error::CallError;
use crate::path;

/// Questions asked at once.
const AT_ONCE: usize = 4;
/// Tries of one question.
const TRIES: usize = 3;
/// All questions of a review together. Whoever asked asks again after half a minute.
const REVIEW_DEADLINE: Duration = Duration::from_secs(30);

/// Whether each kind may be listed and watched. `None`: the API server did not answer, so
/// nothing can be said; whoever asked asks again.
pub(super) async fn review(
    http: &Http,
    kinds: &[Kind],
) -> Option<BTreeMap<Kind, Result<(), Blindness>>> {
    let asked = tokio::time::timeout(REVIEW_DEADLINE, ask(http, kinds));
    asked.await.ok()?
}

async fn ask(http: &Http, kinds: &[Kind]) -> Option<BTreeMap<Kind, Result<(), Blindness>>> {
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

#[derive(Deserialize)]
struct Answered {
    status: Verdict,
}

#[derive(Deserialize)]
struct Verdict {
    allowed: bool,
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
        let answer: Answered = serde_json::from_slice(&reply.body).ok()?;
        return Some(answer.status.allowed);
    }
    None
}

#[derive(Deserialize)]
struct Definition {
    spec: DefinitionSpec,
}

#[derive(Deserialize)]
struct DefinitionSpec {
    group: String,
    names: DefinitionNames,
    versions: Vec<DefinitionVersion>,
}

#[derive(Deserialize)]
struct DefinitionNames {
    plural: String,
}

#[derive(Deserialize)]
struct DefinitionVersion {
    name: String,
    served: bool,
}

#[derive(Deserialize)]
struct Counted {
    items: Vec<IgnoredAny>,
}

/// Counts the objects of a CRD, up to `most`. The operator's own rights do not reach
/// foreign kinds: where nobody granted them, the count is unknown and not zero.
pub(super) async fn count(http: &Http, crd: &str, most: u32) -> Instances {
    match try_count(http, crd, most).await {
        Ok(found) => Instances::AtLeast(found),
        Err(why) => Instances::Unknown(why.to_owned()),
    }
}

async fn try_count(http: &Http, crd: &str, most: u32) -> Result<u32, &'static str> {
    let target = path::object(Kind::CustomResourceDefinition, "", crd);
    let Some(body) = found(http.get(target).await)? else {
        return Ok(0);
    };
    let Definition { spec } = serde_json::from_slice(&body).map_err(|_| "Undecodable")?;
    let served = spec.versions.iter().find(|version| version.served);
    let version = served.ok_or("NotServed")?;
    let call = Call {
        accept: METADATA_LIST,
        ..Call::get(format!(
            "{}/{}?limit={}",
            path::version_root(&spec.group, &version.name),
            path::escape(&spec.names.plural),
            most.max(1)
        ))
    };
    let Some(body) = found(http.call(call, PAGE_DEADLINE, OBJECT_MAX).await)? else {
        return Ok(0);
    };
    let list: Counted = serde_json::from_slice(&body).map_err(|_| "Undecodable")?;
    Ok(u32::try_from(list.items.len()).unwrap_or(u32::MAX))
}

/// The body of a reply; `None` when there is nothing of that name.
fn found(reply: Result<Reply, CallError>) -> Result<Option<Bytes>, &'static str> {
    match reply {
        Ok(reply) if reply.status == 200 => Ok(Some(reply.body)),
        Ok(reply) if reply.status == 404 => Ok(None),
        Ok(reply) if reply.status == 403 => Err("AccessDenied"),
        _ => Err("Unanswered"),
    }
}
