//! NetworkPolicies that may keep the operator from reaching a receiver. What other kinds of policy say is not known here.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use patrol_core::selector::Selector;
use patrol_kube::ask::{NoAnswer, Resource};
use patrol_kube::client::Http;
use patrol_notify::address;
use serde_json::Value;

/// What must be allowed to see them.
pub(super) fn right(namespace: &str) -> String {
    format!("list on networkpolicies of group networking.k8s.io in namespace {namespace}")
}

/// The policies that limit what the operator's pods may connect to, by namespace and name.
///
/// # Errors
/// When policies cannot be listed.
pub(super) async fn limiting(
    http: &Http,
    namespace: &str,
    account: &str,
) -> Result<Vec<String>, NoAnswer> {
    let at = |group, resource| Resource {
        group,
        version: "v1",
        resource,
        namespace,
    };
    let policies = http
        .list(&at("networking.k8s.io", "networkpolicies"))
        .await?;
    // Who may not see the pods knows them as they are shipped.
    let pods = http.list(&at("", "pods")).await.unwrap_or_default();
    let pods = labels_of(&pods, account);
    let names = limits(&policies, &pods).into_iter();
    Ok(names.map(|name| format!("{namespace}/{name}")).collect())
}

type Labels = BTreeMap<String, String>;

/// The labels of the operator's pods.
fn labels_of(pods: &[Value], account: &str) -> Vec<Labels> {
    let runs_as = |pod: &&Value| {
        let name = pod.pointer("/spec/serviceAccountName");
        name.and_then(Value::as_str) == Some(account)
    };
    let labels = |pod: &Value| {
        let labels = pod.pointer("/metadata/labels").cloned();
        serde_json::from_value(labels.unwrap_or_default()).unwrap_or_default()
    };
    let found: Vec<Labels> = pods.iter().filter(runs_as).map(labels).collect();
    match found.is_empty() {
        true => vec![Labels::from([(
            "app.kubernetes.io/name".to_owned(),
            "kube-patrol".to_owned(),
        )])],
        false => found,
    }
}

/// Names of the policies that leave a pod less than the whole way out: TCP to everywhere, and names. Policies add up: where
/// one of them opens it, no other closes it again.
fn limits(policies: &[Value], pods: &[Labels]) -> Vec<String> {
    let of_pod = |pod: &Labels| {
        let held: Vec<&Value> = policies
            .iter()
            .filter(|policy| is_about_egress(policy) && selects(policy, pod))
            .collect();
        let any = |opens: fn(&Value) -> bool| held.iter().flat_map(|p| rules(p)).any(opens);
        match any(opens_everything) && any(opens_names) {
            true => vec![],
            false => held,
        }
    };
    let named = |policy: &Value| {
        policy
            .pointer("/metadata/name")?
            .as_str()
            .map(str::to_owned)
    };
    let mut names: Vec<String> = pods.iter().flat_map(of_pod).filter_map(named).collect();
    names.sort();
    names.dedup();
    names
}

fn is_about_egress(policy: &Value) -> bool {
    match policy
        .pointer("/spec/policyTypes")
        .and_then(Value::as_array)
    {
        Some(types) => types.iter().any(|t| t == "Egress"),
        // As the API says of those that do not.
        None => !rules(policy).is_empty(),
    }
}

fn rules(policy: &Value) -> &[Value] {
    let rules = policy.pointer("/spec/egress").and_then(Value::as_array);
    rules.map_or(&[], Vec::as_slice)
}

fn selects(policy: &Value, pod: &Labels) -> bool {
    let selector = policy.pointer("/spec/podSelector").cloned();
    let selector: Result<LabelSelector, _> = serde_json::from_value(selector.unwrap_or_default());
    // One that cannot be read may select anything.
    selector
        .ok()
        .and_then(|selector| Selector::compile(&selector).ok())
        .is_none_or(|selector| selector.matches_with(|key| pod.get(key).map(String::as_str)))
}

fn list<'a>(rule: &'a Value, field: &str) -> &'a [Value] {
    let list = rule.get(field).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// Whether a rule is about all of IPv4, or of IPv6, those addresses aside that no message goes to anyway.
fn is_everywhere(rule: &Value) -> bool {
    let is_network = |text: &str| {
        let (network, prefix) = text.split_once('/')?;
        let (network, prefix) = (network.parse().ok()?, prefix.parse().ok()?);
        Some(address::is_of_platform(network, prefix))
    };
    let is_whole = |peer: &Value| {
        let Some(block) = peer.get("ipBlock") else {
            return false;
        };
        let left_out = list(block, "except").iter().map(Value::as_str);
        matches!(
            block.get("cidr").and_then(Value::as_str),
            Some("0.0.0.0/0" | "::/0")
        ) && left_out
            .map(|text| text.and_then(is_network))
            .all(|is| is == Some(true))
    };
    let peers = list(rule, "to");
    peers.is_empty() || peers.iter().any(is_whole)
}

fn is_of(port: &Value, protocol: &str) -> bool {
    let named = port.get("protocol").and_then(Value::as_str);
    named.unwrap_or("TCP") == protocol
}

/// Whether a rule lets TCP out to everywhere.
fn opens_everything(rule: &Value) -> bool {
    let ports = list(rule, "ports");
    let is_whole = |port: &Value| is_of(port, "TCP") && port.get("port").is_none();
    is_everywhere(rule) && (ports.is_empty() || ports.iter().any(is_whole))
}

/// Whether a rule lets questions to a name server out. One that is about port 53 is meant for that, wherever the name
/// server is; any other must be about everywhere or about pods of namespaces.
fn opens_names(rule: &Value) -> bool {
    let ports = list(rule, "ports");
    let udp = || ports.iter().filter(|port| is_of(port, "UDP"));
    let is_for_names = |port: &Value| match port.get("port") {
        Some(Value::Number(first)) => {
            let last = port.get("endPort").and_then(Value::as_u64);
            first
                .as_u64()
                .is_some_and(|first| (first..=last.unwrap_or(first)).contains(&53))
        }
        Some(Value::String(name)) => name.contains("dns"),
        _ => false,
    };
    let is_pods = |peer: &Value| peer.get("namespaceSelector").is_some();
    let every_port = ports.is_empty() || udp().any(|port| port.get("port").is_none());
    udp().any(is_for_names)
        || (every_port && (is_everywhere(rule) || list(rule, "to").iter().any(is_pods)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy(name: &str, spec: Value) -> Value {
        json!({"metadata": {"name": name}, "spec": spec})
    }

    fn shipped() -> Vec<Labels> {
        labels_of(&[], "kube-patrol")
    }

    #[test]
    fn row90_policies_that_limit_the_way_out_are_named() {
        let closed = json!({"podSelector": {}, "policyTypes": ["Egress"]});
        let ours = json!({"matchLabels": {"app.kubernetes.io/name": "kube-patrol"}});
        let other = json!({"matchLabels": {"app": "shop"}});
        let to = |cidr: &str| json!([{"to": [{"ipBlock": {"cidr": cidr}}]}]);
        let named = |spec: Value| limits(&[policy("p", spec)], &shipped()) == ["p"];
        for (spec, is_named) in [
            (closed.clone(), true),
            (
                json!({"podSelector": ours, "policyTypes": ["Ingress", "Egress"], "egress": to("10.0.0.0/8")}),
                true,
            ),
            (
                json!({"podSelector": ours, "egress": to("10.0.0.0/8")}),
                true,
            ),
            (
                json!({"podSelector": ours, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 443}]}]}),
                true,
            ),
            (
                json!({"podSelector": ours, "policyTypes": ["Egress"], "egress": [{"ports": [{"protocol": "UDP"}]}]}),
                true,
            ),
            (
                json!({"podSelector": {"matchExpressions": [{"key": "x", "operator": "Bad"}]}, "policyTypes": ["Egress"]}),
                true,
            ),
            (
                json!({"podSelector": {}, "policyTypes": ["Ingress"]}),
                false,
            ),
            (json!({"podSelector": {}}), false),
            (
                json!({"podSelector": other, "policyTypes": ["Egress"]}),
                false,
            ),
            (
                json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}),
                false,
            ),
        ] {
            assert_eq!(named(spec.clone()), is_named, "{spec}");
        }
        // The one that is shipped opens the way, whatever else is closed.
        let text = include_str!("../../../../../deploy/base/networkpolicy.yaml");
        let ships: Value = crate::manifests::read_yaml(text).unwrap();
        let both = [policy("deny", closed), ships];
        assert_eq!(limits(&both, &shipped()), Vec::<String>::new());
        assert_eq!(limits(&both[..1], &shipped()), ["deny"]);
    }

    fn is_named(egress: &[Value]) -> bool {
        let spec = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": egress});
        !limits(&[policy("p", spec)], &shipped()).is_empty()
    }

    #[test]
    fn row90_a_rule_for_everywhere_that_leaves_receivers_out_is_named() {
        let names = json!({"ports": [{"protocol": "UDP", "port": 53}]});
        for (except, named) in [
            (json!([]), false),
            (json!(["169.254.169.254/32"]), false),
            (json!(["169.254.0.0/16", "100.100.100.200/32"]), false),
            (json!(["10.0.0.0/8"]), true),
            (json!(["169.254.0.0/16", "192.168.0.0/16"]), true),
            (json!(["169.0.0.0/8"]), true),
            (json!(["nonsense"]), true),
            (json!([7]), true),
        ] {
            let rule = json!({"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": except}}]});
            assert_eq!(is_named(&[rule, names.clone()]), named, "{except}");
        }
        let six = json!({"to": [{"ipBlock": {"cidr": "::/0", "except": ["fe80::/10"]}}]});
        assert!(!is_named(&[six, names.clone()]));
        let some = json!({"to": [{"ipBlock": {"cidr": "0.0.0.0/1"}}]});
        assert!(is_named(&[some, names]));
    }

    #[test]
    fn row90_a_way_out_without_names_is_named() {
        let tcp = json!({"ports": [{"protocol": "TCP"}]});
        let block = json!([{"ipBlock": {"cidr": "10.0.0.10/32"}}]);
        let pods = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]);
        let udp = |port: Value| json!({"ports": [{"protocol": "UDP", "port": port}]});
        for (rule, named) in [
            (json!({"ports": [{"protocol": "TCP", "port": 53}]}), true),
            (udp(json!(5353)), true),
            (udp(json!(53)), false),
            (udp(json!("dns")), false),
            (json!({"ports": [{"protocol": "UDP"}]}), false),
            (
                json!({"ports": [{"protocol": "UDP", "port": 1, "endPort": 1024}]}),
                false,
            ),
            (
                json!({"ports": [{"protocol": "UDP", "port": 54, "endPort": 1024}]}),
                true,
            ),
            (
                json!({"to": block, "ports": [{"protocol": "UDP", "port": 53}]}),
                false,
            ),
            (json!({"to": block}), true),
            (json!({"to": pods}), false),
            (json!({}), false),
        ] {
            assert_eq!(is_named(&[tcp.clone(), rule.clone()]), named, "{rule}");
        }
        assert!(is_named(std::slice::from_ref(&tcp)));
        // Policies add up.
        let one = |name: &str, rule: Value| {
            policy(
                name,
                json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}),
            )
        };
        let both = [one("tcp", tcp), one("names", udp(json!(53)))];
        assert_eq!(limits(&both, &shipped()), Vec::<String>::new());
        assert_eq!(limits(&both[..1], &shipped()), ["tcp"]);
    }

    /// What the operator never sends to and a policy can say, both say.
    #[test]
    fn row90_the_policy_that_is_shipped_leaves_out_what_no_message_goes_to() {
        let text = include_str!("../../../../../deploy/base/networkpolicy.yaml");
        let ships: Value = crate::manifests::read_yaml(text).unwrap();
        let peers = rules(&ships).iter().flat_map(|rule| list(rule, "to"));
        let mut left_out: Vec<String> = peers
            .flat_map(|peer| list(&peer["ipBlock"], "except"))
            .map(|network| network.as_str().unwrap().to_owned())
            .collect();
        let networks = address::platform_networks();
        let mut never: Vec<String> = networks.map(|(ip, n)| format!("{ip}/{n}")).collect();
        left_out.sort();
        never.sort();
        assert_eq!(left_out, never);
    }

    #[test]
    fn the_operators_pods_are_those_of_its_service_account() {
        let pod = |account: &str, app: &str| json!({"metadata": {"labels": {"app": app}}, "spec": {"serviceAccountName": account}});
        let pods = [pod("patrol", "a"), pod("default", "b"), pod("patrol", "a")];
        let labels = labels_of(&pods, "patrol");
        assert_eq!(labels.len(), 2);
        let about = |app: &str| {
            let spec =
                json!({"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Egress"]});
            limits(&[policy(app, spec)], &labels)
        };
        assert_eq!(about("a"), ["a"]);
        assert_eq!(about("b"), Vec::<String>::new());
    }
}
