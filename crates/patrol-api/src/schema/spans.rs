//! Durations: the CEL text of what `time::Span` reads, and lower and upper bounds.
//! Never accepts a text that `Span` refuses.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::rules;

/// What `Span` reads, but for the empty text.
const SPAN: &str =
    "^([0-9]{1,12}ms|([0-9]{1,5}d)?([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,9}s)?([0-9]{1,3}ms)?)$";
/// At least one second: a unit of a second or more that is not zero, or four digits of milliseconds.
const SECOND: &str = "[1-9][0-9]*([dhs]|m([^s]|$))|[1-9][0-9]{3,}ms";
/// At least ten seconds, in the same way.
const TEN_SECONDS: &str = "[1-9][0-9]*([dh]|m([^s]|$))|[1-9][0-9]+s|[1-9][0-9]{4,}ms";

fn with(extra: &str, message: &str) -> Schema {
    let rule = format!("self.size() > 1 && self.matches('{SPAN}'){extra}");
    json_schema!({
        "type": "string",
        "maxLength": 40,
        "x-kubernetes-validations": rules(&[(&rule, message)]),
    })
}

/// Any duration, zero too.
pub(crate) fn span(_: &mut SchemaGenerator) -> Schema {
    with("", "must be a duration such as 30s, 15m, 4h or 7d")
}

/// At least one second.
pub(crate) fn second(_: &mut SchemaGenerator) -> Schema {
    at_least_a_second()
}

fn at_least_a_second() -> Schema {
    with(
        &format!(" && self.matches('{SECOND}')"),
        "must be a duration of at least 1s, such as 30s, 15m, 4h or 7d",
    )
}

/// At least ten seconds: the period of patrols.
pub(crate) fn every(_: &mut SchemaGenerator) -> Schema {
    with(
        &format!(" && self.matches('{TEN_SECONDS}')"),
        "must be a duration of at least 10s, such as 30s, 15m or 4h",
    )
}

/// At most a day, zero too.
pub(crate) fn clear_after(_: &mut SchemaGenerator) -> Schema {
    // CEL's own durations know no days.
    with(
        " && (self == '1d' || (!self.contains('d') && duration(self) <= duration('24h')))",
        "must be a duration of at most 24h, such as 0s, 30s or 5m",
    )
}

/// Durations by severity, with the default due times.
pub(crate) fn sla(_: &mut SchemaGenerator) -> Schema {
    by_severity(
        "Time from opening to due of tickets",
        ["24h", "7d", "30d", "90d"],
    )
}

/// Durations by severity, with the default repeat intervals.
pub(crate) fn repeat(_: &mut SchemaGenerator) -> Schema {
    by_severity(
        "Time between two reminders of tickets",
        ["4h", "24h", "72h", "7d"],
    )
}

/// Durations by severity, with the default limits of silence.
pub(crate) fn max_quiet(_: &mut SchemaGenerator) -> Schema {
    by_severity(
        "Longest time without any message about an open ticket",
        ["72h", "14d", "45d", "45d"],
    )
}

fn by_severity(what: &str, defaults: [&str; 4]) -> Schema {
    let mut properties = serde_json::Map::new();
    for (severity, default) in ["Critical", "High", "Medium", "Low"].iter().zip(defaults) {
        let mut field = at_least_a_second();
        let text = format!("{what} of severity {severity}. Default {default}.");
        field.insert("default".to_owned(), json!(default));
        field.insert("description".to_owned(), json!(text));
        properties.insert(severity.to_lowercase(), field.to_value());
    }
    json_schema!({"type": "object", "properties": properties})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;
    use regex::Regex;

    #[test]
    fn the_rule_and_the_type_read_the_same() {
        let span = Regex::new(SPAN).unwrap();
        let second = Regex::new(SECOND).unwrap();
        let ten = Regex::new(TEN_SECONDS).unwrap();
        let numbers = [
            "",
            "0",
            "1",
            "9",
            "10",
            "059",
            "999",
            "1000",
            "123456",
            "1234567890123",
        ];
        let mut texts = vec![String::from("5"), String::from("5x"), String::from("1m1m")];
        for d in ["", "0d", "1d"] {
            for number in numbers {
                for unit in ["ms", "s", "m", "h", "d", "S"] {
                    for tail in ["", "5ms", "1s", "0s"] {
                        texts.push(format!("{d}{number}{unit}{tail}"));
                    }
                }
            }
        }
        for text in texts {
            let read = text.parse::<Span>().ok();
            assert_eq!(
                span.is_match(&text) && text.len() > 1,
                read.is_some(),
                "{text}"
            );
            if let Some(read) = read {
                assert_eq!(second.is_match(&text), read >= Span::seconds(1), "{text}");
                assert_eq!(ten.is_match(&text), read >= Span::seconds(10), "{text}");
            }
        }
    }
}
