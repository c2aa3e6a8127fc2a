//! Windows: when messages may go out. They put off and never discard.
//! Never computes an instant: days and zones are worked out where time is known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{Rule, rules};

const WINDOW: &[Rule<'_>] = &[(
    "self.from != self.to",
    "from and to must differ: for a whole day write 00:00 to 24:00",
)];

/// A part of the week in which messages go out, or do not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = rules(WINDOW)))]
pub struct Window {
    /// Active: messages go out inside it (where there is an Active window, only inside one). Mute: none goes out inside
    /// it, which wins over Active. Default Active.
    #[serde(default)]
    pub mode: WindowMode,
    /// Days of the week on which it begins: Mon, Tue, Wed, Thu, Fri, Sat, Sun. Default every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7), extend("x-kubernetes-list-type" = "set"))]
    pub days: Vec<Weekday>,
    /// Days of the month on which it begins, 1 to 31; with `days` both must hold. Default every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::days_of_month")]
    pub days_of_month: Vec<u32>,
    /// Begin, as HH:MM. Default 00:00.
    #[serde(default = "midnight")]
    #[schemars(schema_with = "crate::schema::time_of_day")]
    pub from: String,
    /// End, as HH:MM, not included; earlier than `from` means the next day. Default 24:00.
    #[serde(default = "day_end")]
    #[schemars(schema_with = "crate::schema::time_of_day")]
    pub to: String,
    /// IANA time zone. Default UTC.
    #[serde(default = "utc")]
    #[schemars(schema_with = "crate::schema::time_zone")]
    pub time_zone: String,
    /// What goes out all the same: Critical (everything about critical tickets), Resolved (ends), SLABreached, Overdue.
    /// Default all four.
    #[serde(default = "all")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub bypass: Vec<Bypass>,
}

fn midnight() -> String {
    "00:00".to_owned()
}

fn day_end() -> String {
    "24:00".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

fn all() -> Vec<Bypass> {
    vec![
        Bypass::Critical,
        Bypass::Resolved,
        Bypass::SLABreached,
        Bypass::Overdue,
    ]
}

/// Whether messages go out inside a window or not.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[schemars(inline)]
pub enum WindowMode {
    /// Messages go out inside it.
    #[default]
    Active,
    /// No message goes out inside it.
    Mute,
}

/// A day of the week.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[schemars(inline)]
#[allow(missing_docs, reason = "each word names itself")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// What goes out whatever a window says.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[schemars(inline)]
pub enum Bypass {
    /// Everything about critical tickets.
    Critical,
    /// Ends.
    Resolved,
    /// A due time that has passed.
    SLABreached,
    /// The longest silence that has passed.
    Overdue,
}
