//! Upsert and look-up of Kubernetes conditions.
//! Never touches a condition of another type, and never moves `lastTransitionTime` while the status stays.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time as MetaTime};
use k8s_openapi::jiff::Timestamp;

use crate::time::Time;

/// What a condition now says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// The condition's type, for example `Ready`.
    pub kind: &'a str,
    /// `Some(true)` is `True`, `Some(false)` is `False`, `None` is `Unknown`.
    pub status: Option<bool>,
    /// One CamelCase word.
    pub reason: &'a str,
    /// A sentence for people; may be empty.
    pub message: &'a str,
    /// `metadata.generation` of the object the statement is about.
    pub generation: Option<i64>,
}

/// The condition's status as the API writes it.
#[must_use]
pub fn status_word(status: Option<bool>) -> &'static str {
    match status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    }
}

/// Sets one condition and returns true when anything but the time changed.
/// The list stays ordered by type, so that equal contents are equal bytes.
pub fn set(conditions: &mut Vec<Condition>, said: &Said<'_>, now: Time) -> bool {
    let wanted = Condition {
        type_: said.kind.to_owned(),
        status: status_word(said.status).to_owned(),
        reason: said.reason.to_owned(),
        message: said.message.to_owned(),
        observed_generation: said.generation,
        last_transition_time: meta_time(now),
    };
    match conditions.binary_search_by(|found| found.type_.as_str().cmp(said.kind)) {
        Ok(at) => conditions
            .get_mut(at)
            .is_some_and(|found| replace(found, wanted)),
        Err(at) => {
            // A list in another order (written by someone else) may still hold the type.
            if let Some(found) = conditions.iter_mut().find(|found| found.type_ == said.kind) {
                let changed = replace(found, wanted);
                conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
                return changed;
            }
            conditions.insert(at, wanted);
            true
        }
    }
}

fn replace(found: &mut Condition, mut wanted: Condition) -> bool {
    if found.status == wanted.status {
        wanted
            .last_transition_time
            .clone_from(&found.last_transition_time);
    }
    let changed = *found != wanted;
    *found = wanted;
    changed
}

/// The condition of this type, if any.
#[must_use]
pub fn get<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Our time as the Kubernetes library's type.
#[must_use]
pub fn meta_time(time: Time) -> MetaTime {
    let edge = if time.unix() < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    MetaTime(Timestamp::from_second(time.unix()).unwrap_or(edge))
}

/// The Kubernetes library's time as ours.
#[must_use]
pub fn from_meta_time(time: &MetaTime) -> Time {
    Time::from_unix(time.0.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: Option<bool>, reason: &'static str) -> Said<'static> {
        Said {
            kind: "Ready",
            status,
            reason,
            message: "",
            generation: Some(1),
        }
    }

    #[test]
    fn transition_time_moves_with_the_status_only() {
        let mut list = Vec::new();
        assert!(set(&mut list, &said(None, "Pending"), Time::from_unix(1)));
        assert!(set(&mut list, &said(None, "Waiting"), Time::from_unix(2)));
        let found = get(&list, "Ready").unwrap();
        assert_eq!(found.status, "Unknown");
        assert_eq!(
            from_meta_time(&found.last_transition_time),
            Time::from_unix(1)
        );
        assert!(set(
            &mut list,
            &said(Some(true), "Running"),
            Time::from_unix(3)
        ));
        assert!(!set(
            &mut list,
            &said(Some(true), "Running"),
            Time::from_unix(4)
        ));
        let found = get(&list, "Ready").unwrap();
        assert_eq!(
            from_meta_time(&found.last_transition_time),
            Time::from_unix(3)
        );
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn a_list_in_foreign_order_gets_no_second_entry() {
        let mut list = Vec::new();
        for kind in ["Stalled", "Ready", "Compliant"] {
            let said = Said {
                kind,
                ..said(Some(true), "X")
            };
            set(&mut list, &said, Time::from_unix(1));
        }
        list.reverse();
        set(&mut list, &said(Some(false), "Y"), Time::from_unix(2));
        let kinds: Vec<_> = list.iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(kinds, ["Compliant", "Ready", "Stalled"]);
    }
}
