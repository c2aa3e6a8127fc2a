//! Label selectors, compiled once and matched without allocation.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::facts::Labels;
use crate::sym::Sym;

/// A compiled `LabelSelector`. All requirements must hold; none selects everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Selector(Box<[Requirement]>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Requirement {
    In(Sym, Box<[Sym]>),
    NotIn(Sym, Box<[Sym]>),
    Exists(Sym),
    Absent(Sym),
}

impl Selector {
    /// Selects everything.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Compiles and checks `selector`.
    ///
    /// # Errors
    /// One sentence that names the part at fault: an unknown operator, values where none
    /// belong, none where some are needed, or a key or value that is no label.
    pub fn compile(selector: &LabelSelector) -> Result<Self, String> {
        let mut out = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            check_key(key)?;
            check_value(key, value)?;
            out.push(Requirement::In(Sym::new(key), [Sym::new(value)].into()));
        }
        for e in selector.match_expressions.iter().flatten() {
            check_key(&e.key)?;
            let values: Box<[Sym]> = e.values.iter().flatten().map(Sym::from).collect();
            for value in &values {
                check_value(&e.key, value)?;
            }
            let key = Sym::new(&e.key);
            out.push(match (e.operator.as_str(), values.is_empty()) {
                ("In", false) => Requirement::In(key, values),
                ("NotIn", false) => Requirement::NotIn(key, values),
                ("In" | "NotIn", true) => {
                    return Err(format!(
                        "operator {} of key {} needs values: list at least one",
                        e.operator, e.key
                    ));
                }
                ("Exists", true) => Requirement::Exists(key),
                ("DoesNotExist", true) => Requirement::Absent(key),
                ("Exists" | "DoesNotExist", false) => {
                    return Err(format!(
                        "operator {} of key {} takes no values: remove them",
                        e.operator, e.key
                    ));
                }
                _ => {
                    return Err(format!(
                        "operator {:?} of key {} is unknown: use In, NotIn, Exists or DoesNotExist",
                        e.operator, e.key
                    ));
                }
            });
        }
        Ok(Self(out.into()))
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `labels` are selected.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_with(|key| labels.get(key).map(Sym::as_str))
    }

    /// Whether labels given by a look-up are selected.
    pub fn matches_with<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|r| match r {
            Requirement::In(key, values) => {
                get(key).is_some_and(|v| values.iter().any(|w| w.as_str() == v))
            }
            Requirement::NotIn(key, values) => {
                get(key).is_none_or(|v| values.iter().all(|w| w.as_str() != v))
            }
            Requirement::Exists(key) => get(key).is_some(),
            Requirement::Absent(key) => get(key).is_none(),
        })
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(p, n)| (Some(p), n));
    let prefix_ok = prefix.is_none_or(|p| {
        !p.is_empty()
            && p.len() <= 253
            && p.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.')
    });
    if prefix_ok && is_label_text(name) && !name.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "{key:?} is no label key: use [prefix/]name with letters, digits, '-', '_' and '.'"
        ))
    }
}

fn check_value(key: &str, value: &str) -> Result<(), String> {
    if is_label_text(value) {
        Ok(())
    } else {
        Err(format!(
            "the value of key {key} is no label value: use at most 63 letters, digits, '-', '_' and '.'"
        ))
    }
}

/// The syntax of label names and values (apimachinery, validation.IsValidLabelValue).
fn is_label_text(text: &str) -> bool {
    let alnum = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && alnum(text.chars().next())
        && alnum(text.chars().last())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compile(value: serde_json::Value) -> Result<Selector, String> {
        Selector::compile(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn every_operator_on_present_absent_and_other_values() {
        let table = [
            (json!({"matchLabels": {"a": "1"}}), [true, false, false]),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "3"]}]}),
                [true, false, false],
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}),
                [false, true, true],
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}),
                [true, true, false],
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}),
                [false, false, true],
            ),
            (json!({}), [true, true, true]),
        ];
        let worlds = [
            Labels::of(&[("a", "1")]),
            Labels::of(&[("a", "2")]),
            Labels::of(&[]),
        ];
        for (selector, expected) in table {
            let compiled = compile(selector.clone()).unwrap();
            assert_eq!(
                worlds.each_ref().map(|w| compiled.matches(w)),
                expected,
                "{selector}"
            );
        }
    }

    #[test]
    fn bad_selectors_name_the_part_at_fault() {
        for (selector, part) in [
            (
                json!({"matchExpressions": [{"key": "a", "operator": "in", "values": ["1"]}]}),
                "\"in\"",
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
                "needs values",
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["1"]}]}),
                "takes no values",
            ),
            (json!({"matchLabels": {"a b": "1"}}), "\"a b\""),
            (json!({"matchLabels": {"a": "no spaces"}}), "key a"),
        ] {
            let error = compile(selector.clone()).unwrap_err();
            assert!(error.contains(part), "{selector}: {error}");
        }
    }
}
