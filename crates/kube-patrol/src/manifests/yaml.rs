//! YAML text to JSON values and back, under budgets: no alias bomb, no deep nesting and no
//! flood of nodes gets further than its limit. A reason holds no value of the text.

use std::fmt;

use serde::Serialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::options::{MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Options, Spanned};

/// As deep as JSON may be nested here, too.
const MAX_DEPTH: usize = 128;
/// Events that aliases may repeat: real manifests use a handful.
const MAX_REPLAYED: usize = 50_000;
/// Nodes of one document: a dump of 64 MB has fewer.
const MAX_NODES: usize = 10_000_000;
const MAX_SCALAR_BYTES: usize = 64 << 20;

const BEYOND_A_LIMIT: &str = "goes beyond a limit (nesting, nodes or size): split or flatten it";

/// Why a text is no YAML that can be used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Line in the text, from 1.
    pub line: Option<usize>,
    /// What is wrong; without any value of the text.
    pub reason: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for YamlError {}

/// A parsed document, with the lines on which the items of a list begin.
#[derive(Debug)]
pub(super) struct Parsed {
    pub value: Value,
    pub item_lines: Vec<usize>,
}

/// Parses one document.
///
/// # Errors
/// When it is no YAML, or goes beyond a budget.
pub fn from_yaml(text: &str) -> Result<Value, YamlError> {
    parse(text).map(|parsed| parsed.value)
}

/// Parses one document into a type.
///
/// # Errors
/// As [`from_yaml`], and when it is no such thing.
pub fn read_yaml<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| YamlError {
        line: error
            .location()
            .and_then(|l| usize::try_from(l.line()).ok()),
        reason: reason(&error, text),
    })
}

pub(super) fn parse(text: &str) -> Result<Parsed, YamlError> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| YamlError {
        line: error
            .location()
            .and_then(|l| usize::try_from(l.line()).ok()),
        reason: reason(&error, text),
    })
}

/// Writes a value as YAML.
///
/// # Errors
/// When a part of it cannot be serialised.
pub fn to_yaml<T: Serialize>(value: &T) -> Result<String, YamlError> {
    serde_saphyr::to_string(value).map_err(|_| YamlError {
        line: None,
        reason: "cannot be written as YAML".into(),
    })
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2 * MAX_NODES,
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_total_scalar_bytes: MAX_SCALAR_BYTES,
            max_recorded_anchor_events: MAX_REPLAYED,
            // The replay limit bounds what aliases can do; many uses of one anchor are fine.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED,
        },
        // As kubectl reads it: YAML 1.1 merges, octals and booleans.
        merge_keys: MergeKeyPolicy::Merge,
        legacy_octal_numbers: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

fn reason(mut error: &Error, text: &str) -> String {
    while let Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    match error {
        // A bracket in a bracket is no key: the sign of a template that was not rendered.
        Error::ExternalMessage { .. } | Error::Unexpected { .. } | Error::Eof { .. }
            if text.contains("{{") =>
        {
            "is a template, not YAML: render it first, and inspect the result".into()
        }
        Error::Budget { .. } => BEYOND_A_LIMIT.into(),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => {
            "repeats too much by aliases: write it out, or split it".into()
        }
        Error::DuplicateMappingKey { .. } => "gives a key twice: remove one of them".into(),
        Error::UnknownAnchor { .. } => {
            "uses an alias whose anchor is not there: add the anchor".into()
        }
        Error::Eof { .. } => "ends in the middle: complete it".into(),
        Error::ExternalMessage { msg, .. } if msg.contains("limit exceeded") => {
            BEYOND_A_LIMIT.into()
        }
        Error::ExternalMessage { msg, .. } => match unquoted(msg).as_str() {
            "" => "is no valid YAML: correct it".into(),
            what => format!("is no valid YAML ({what}): correct it"),
        },
        Error::Unexpected { expected, .. } => {
            format!("is no valid YAML (expected {expected}): correct it")
        }
        _ => "is no valid YAML: correct it".into(),
    }
}

/// The parser's words without what it quotes from the text.
fn unquoted(message: &str) -> String {
    message
        .chars()
        .take_while(|c| !matches!(c, '`' | '"' | '\''))
        .collect::<String>()
        .trim_end_matches([' ', ':'])
        .to_owned()
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Document)
    }
}

/// Any document; in a mapping, the elements of `items` are parsed with their places.
struct Document;

impl Parsed {
    fn plain(value: Value) -> Self {
        Self {
            value,
            item_lines: vec![],
        }
    }
}

macro_rules! scalars {
    ($wrap:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($wrap(Value::Null))
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok($wrap(Value::Null))
        }
        fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
            Ok($wrap(v.into()))
        }
        fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
            Ok($wrap(v.into()))
        }
        fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
            Ok($wrap(v.into()))
        }
        fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
            Ok($wrap(v.into()))
        }
        fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
            Ok($wrap(v.into()))
        }
    };
}

impl<'de> Visitor<'de> for Document {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    scalars!(Parsed::plain);

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Parsed, A::Error> {
        Items.visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let mut fields = Map::new();
        let mut item_lines = vec![];
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                let items: ItemsOf = map.next_value()?;
                item_lines = items.0.item_lines;
                fields.insert(key, items.0.value);
            } else {
                fields.insert(key, map.next_value()?);
            }
        }
        Ok(Parsed {
            value: Value::Object(fields),
            item_lines,
        })
    }
}

struct ItemsOf(Parsed);

impl<'de> Deserialize<'de> for ItemsOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Items).map(ItemsOf)
    }
}

struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("items")
    }

    scalars!(Parsed::plain);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Parsed, A::Error> {
        let (mut items, mut item_lines) = (vec![], vec![]);
        while let Some(item) = seq.next_element::<Spanned<Value>>()? {
            item_lines.push(usize::try_from(item.referenced.line()).unwrap_or_default());
            items.push(item.value);
        }
        Ok(Parsed {
            value: Value::Array(items),
            item_lines,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Parsed, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(map)).map(Parsed::plain)
    }
}
