//! Waivers that waive nothing: ended, unusable, or over no ticket.

use patrol_api::condition;
use patrol_api::time::Time;
use patrol_api::waiver::TicketWaiver;
use patrol_core::waiver::{Standing, Waiver};
use serde_json::Value;

use super::line::Line;
use crate::cli::ui::{number, when};

const CHECK: &str = "waivers";

/// One line for each that is not in order, and one for all others.
pub(super) fn examine(found: &[Value], operator: &str, now: Time) -> Vec<Line> {
    let mut holding = 0_usize;
    let mut lines = vec![];
    for object in found {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let about = format!(
            "{}/{}",
            text("/metadata/namespace").unwrap_or_default(),
            text("/metadata/name").unwrap_or_default()
        );
        let line = match serde_json::from_value::<TicketWaiver>(object.clone()) {
            Ok(waiver) => trouble(&waiver, operator, now),
            Err(_) => Some(
                Line::warn(CHECK, "cannot be read by this program")
                    .fix("use the program that the operator runs"),
            ),
        };
        match line {
            Some(line) => lines.push(line.about(about)),
            None => holding += 1,
        }
    }
    let hold = match holding {
        0 if found.is_empty() => "there is none".to_owned(),
        n => format!("{} in order", number(n, "is", "are")),
    };
    if lines.is_empty() || holding > 0 {
        lines.push(Line::ok(CHECK, hold));
    }
    lines
}

/// Its end is computed and not only read; how long it has stood over nothing is for the operator to say.
fn trouble(waiver: &TicketWaiver, operator: &str, now: Time) -> Option<Line> {
    let until = match Waiver::compile(waiver, operator) {
        Ok(compiled) => compiled.until,
        Err(why) => {
            let says = format!("waives nothing: {}: {}", why.reason, why.message);
            return Some(
                Line::fail(CHECK, says).fix("mend it: `kube-patrol lint` says the same offline"),
            );
        }
    };
    if now >= until {
        let says = format!("ended at {} and waives nothing any more", when(until));
        return Some(Line::warn(CHECK, says).fix("delete it, or give a new end and reason"));
    }
    let conditions = waiver.status.as_ref().map_or(&[][..], |s| &s.conditions);
    let unused = condition::get(conditions, "Active")?.reason == Standing::Unused.as_str();
    unused.then(|| {
        Line::warn(CHECK, "has stood over no ticket for 30 days")
            .fix("delete it, or correct what it selects")
    })
}

#[cfg(test)]
mod tests {
    use super::super::line::Level;
    use super::*;
    use serde_json::json;

    fn waiver(name: &str, expires: &str, reason: &str) -> Value {
        json!({
            "apiVersion": "kubepatrol.io/v1alpha1", "kind": "TicketWaiver",
            "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2026-11-01T00:00:00Z"},
            "spec": {"checks": ["*"], "reason": "r", "owner": "o", "expiresAt": expires},
            "status": {"conditions": [{"type": "Active", "status": "True", "reason": reason, "message": "m",
                                       "lastTransitionTime": "2026-11-02T00:00:00Z"}]},
        })
    }

    fn said(found: &[Value]) -> Vec<(String, Level, String)> {
        let now = "2026-11-29T12:00:00Z".parse().unwrap();
        let lines = examine(found, "kube-patrol", now).into_iter();
        lines.map(|l| (l.object, l.level, l.says)).collect()
    }

    #[test]
    fn a_waiver_that_ended_or_never_matched_is_a_line_and_the_rest_are_one() {
        let all = [
            waiver("a", "2026-12-01T00:00:00Z", "Active"),
            waiver("b", "2026-12-01T00:00:00Z", "Expiring"),
            // Nobody has written yet that it ended.
            waiver("c", "2026-11-29T12:00:00Z", "Active"),
            waiver("d", "2026-12-01T00:00:00Z", "Unused"),
            waiver("e", "2028-12-01T00:00:00Z", "Active"),
            json!({"metadata": {"name": "f", "namespace": "shop"}, "spec": 7}),
        ];
        let said = said(&all);
        let rows: Vec<(&str, Level)> = said.iter().map(|(o, l, _)| (o.as_str(), *l)).collect();
        assert_eq!(
            rows,
            [
                ("shop/c", Level::Warn),
                ("shop/d", Level::Warn),
                ("shop/e", Level::Fail),
                ("shop/f", Level::Warn),
                ("", Level::Ok),
            ]
        );
        assert!(
            said[0].2.starts_with("ended at 2026-11-29 12:00 UTC"),
            "{said:?}"
        );
        assert!(said[2].2.contains("Unbounded"), "{said:?}");
        assert_eq!(said[4].2, "2 are in order");
    }

    #[test]
    fn where_there_is_none_or_none_in_order_that_is_what_is_said() {
        assert_eq!(
            said(&[]),
            [(String::new(), Level::Ok, "there is none".to_owned())]
        );
        let one = said(&[waiver("c", "2026-11-28T00:00:00Z", "Expired")]);
        assert_eq!(one.len(), 1, "{one:?}");
    }
}
