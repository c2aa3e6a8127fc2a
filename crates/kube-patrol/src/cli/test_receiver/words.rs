//! What an answer means and what to do about it, in our own words.

use patrol_core::effect::Target;
use patrol_core::event::DeliveryClass;
use patrol_notify::Outcome;

use super::is_signed;
use super::place::Trouble;
use crate::cli::ui;
use crate::shell::delivery::Tried;

/// Where the texts begin.
const INDENT: &str = "           ";

/// The lines of the answer.
pub(super) fn explain(
    target: &Target,
    tried: &Tried,
    trouble: Option<&Trouble>,
    is_local: bool,
) -> String {
    let width = ui::width();
    let mut out = String::new();
    let mut line = |name: &str, text: &str| {
        let text = ui::wrap(&ui::clean(text), INDENT.len(), INDENT, width);
        out.push_str(&format!("{:<11}{text}\n", format!("{name}:")));
    };
    let kind = target.endpoint.kind().as_str();
    line("Receiver", &format!("{} ({kind})", target.name));
    line("Sent", &sent(target, tried));
    line("Answer", &answer(tried.class, tried.outcome.as_ref()));
    for (place, member) in tried.members.iter().enumerate() {
        let answer = answer(member.delivery_class(), Some(member));
        line(
            &format!("Target {place}"),
            &format!("{}: {answer}: {}", member.host, member.detail),
        );
    }
    line("Meaning", &meaning(tried, trouble));
    line("Do", &advice(tried, trouble, is_local));
    out
}

fn sent(target: &Target, tried: &Tried) -> String {
    if !tried.class.was_sent() || tried.outcome.is_none() {
        return "nothing".to_owned();
    }
    let host = tried.outcome.as_ref().map_or("", |o| o.host.as_str());
    let signed = if is_signed(target) {
        "signed"
    } else {
        "unsigned (no signing secret is set)"
    };
    format!("one patrol.test notice to {host}, {signed}, from this machine")
}

fn answer(class: DeliveryClass, outcome: Option<&Outcome>) -> String {
    let class = class.as_str();
    match outcome.and_then(|o| o.status) {
        Some(status) => format!("{class}, HTTP status {status}"),
        None => format!("{class}, no answer of the receiver"),
    }
}

fn meaning(tried: &Tried, trouble: Option<&Trouble>) -> String {
    match (tried.class, &tried.outcome, trouble) {
        (DeliveryClass::SecretMissing, _, Some(trouble)) => trouble.says.clone(),
        (_, Some(outcome), _) => outcome.detail.to_owned(),
        (DeliveryClass::Config(detail), ..) => detail.to_owned(),
        (DeliveryClass::SecretMissing, ..) => "a Secret or key it names cannot be read".to_owned(),
        (class, ..) => class.as_str().to_owned(),
    }
}

fn advice(tried: &Tried, trouble: Option<&Trouble>, is_local: bool) -> String {
    let within = if is_local {
        ""
    } else {
        " If only the cluster reaches it, test from within: kubectl -n kube-patrol exec deploy/kube-patrol -- kube-patrol test-receiver NAME."
    };
    match tried.class {
        DeliveryClass::Accepted => "nothing: alerts go the same way".to_owned(),
        DeliveryClass::Throttled(wait) => format!(
            "wait{}; it takes fewer messages than it gets: lower spec.rate, or look for another sender",
            wait.map_or(String::new(), |wait| format!(" {wait}"))
        ),
        DeliveryClass::Transient | DeliveryClass::Unreached(_) => format!(
            "see whether it runs, and whether name, port and network are right; alerts are tried again with growing pauses of up to 10m.{within}"
        ),
        DeliveryClass::Payload => "see whether the address leads to an endpoint of this kind and format; alerts that are refused are sent in smaller parts, then tried again each hour".to_owned(),
        DeliveryClass::Config(_) => "mend the receiver or its Secret; alerts wait, and are tried again when it changes and every 10m".to_owned(),
        DeliveryClass::Blocked => "give an address that may be sent to: not loopback, link-local, a metadata address or the API server, and within spec.addresses.allow where that is set".to_owned(),
        DeliveryClass::SecretMissing => match trouble {
            Some(_) => "mend the Secret; alerts wait, and are tried again within a minute".to_owned(),
            None => "create the Secret in the operator's namespace".to_owned(),
        },
        DeliveryClass::NotLeader => "try again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use patrol_api::receiver::{Endpoint, WebhookSpec};
    use patrol_api::time::Span;
    use patrol_notify::Class;

    fn target() -> Target {
        Target {
            name: "soc".into(),
            uid: "u".into(),
            endpoint: Endpoint::Webhook(WebhookSpec {
                url: Some("http://example.com/s3cret-path".into()),
                ..WebhookSpec::default()
            }),
            locale: Default::default(),
            allow: vec![],
            minimal: false,
        }
    }

    fn tried(class: DeliveryClass, status: Option<u16>) -> Tried {
        let outcome = Outcome {
            class: Class::Transient,
            status,
            detail: "what we say about it",
            host: "example.com".into(),
        };
        Tried {
            class,
            outcome: class.was_sent().then_some(outcome),
            members: vec![],
        }
    }

    #[test]
    fn each_member_of_a_cluster_is_a_line() {
        let member = |class, status, host: &str| Outcome {
            class,
            status,
            detail: "our words",
            host: host.into(),
        };
        let mut tried = tried(DeliveryClass::Accepted, Some(200));
        tried.members = vec![
            member(Class::Transient, None, "am-0:9093"),
            member(Class::Accepted, Some(200), "am-1:9093"),
        ];
        let text = explain(&target(), &tried, None, false);
        for line in [
            "Target 0:  am-0:9093: Transient, no answer of the receiver: our words",
            "Target 1:  am-1:9093: Accepted, HTTP status 200: our words",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
    }

    #[test]
    fn every_class_says_what_it_means_and_what_to_do() {
        for class in [
            DeliveryClass::Accepted,
            DeliveryClass::Throttled(Some(Span::seconds(90))),
            DeliveryClass::Transient,
            DeliveryClass::Unreached("the reason"),
            DeliveryClass::Payload,
            DeliveryClass::Config("the reason"),
            DeliveryClass::Blocked,
            DeliveryClass::SecretMissing,
        ] {
            let text = explain(&target(), &tried(class, Some(500)), None, false);
            for line in ["Receiver:", "Sent:", "Answer:", "Meaning:", "Do:"] {
                let found = text.lines().find(|l| l.starts_with(line)).unwrap_or("");
                assert!(found.len() > INDENT.len(), "{class:?}: {line}: {text}");
            }
            assert!(text.contains(class.as_str()), "{text}");
            assert!(!text.contains("s3cret"), "{text}");
            let sent = if class.was_sent() {
                "one patrol.test notice to example.com, unsigned"
            } else {
                "nothing"
            };
            assert!(text.contains(&format!("Sent:      {sent}")), "{text}");
        }
        let throttled = DeliveryClass::Throttled(Some(Span::seconds(90)));
        assert!(advice(&tried(throttled, Some(429)), None, true).starts_with("wait 1m30s;"));
    }
}
