//! How long things may take: graces before a gap counts, due times, retention.
//! Never computes a due time.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::time::Span;
use crate::words::Severity;

/// A length of time for each severity that is alerted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BySeverity {
    /// For Critical.
    pub critical: Span,
    /// For High.
    pub high: Span,
    /// For Medium.
    pub medium: Span,
    /// For Low.
    pub low: Span,
}

impl BySeverity {
    /// The length for a severity; `Info` has none.
    #[must_use]
    pub const fn get(&self, severity: Severity) -> Option<Span> {
        match severity {
            Severity::Critical => Some(self.critical),
            Severity::High => Some(self.high),
            Severity::Medium => Some(self.medium),
            Severity::Low => Some(self.low),
            Severity::Info => None,
        }
    }

    /// Default due times: 24h, 7d, 30d, 90d.
    #[must_use]
    pub const fn sla() -> Self {
        Self {
            critical: Span::hours(24),
            high: Span::days(7),
            medium: Span::days(30),
            low: Span::days(90),
        }
    }

    /// Default repeat intervals: 4h, 24h, 72h, 7d.
    #[must_use]
    pub const fn repeat() -> Self {
        Self {
            critical: Span::hours(4),
            high: Span::hours(24),
            medium: Span::hours(72),
            low: Span::days(7),
        }
    }

    /// Default limits of silence: 72h, 14d, 45d, 45d.
    #[must_use]
    pub const fn max_quiet() -> Self {
        Self {
            critical: Span::hours(72),
            high: Span::days(14),
            medium: Span::days(45),
            low: Span::days(45),
        }
    }

    /// Reads a partial table; what is not written comes from `rest`.
    pub(super) fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        rest: Self,
    ) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Partial {
            critical: Option<Span>,
            high: Option<Span>,
            medium: Option<Span>,
            low: Option<Span>,
        }
        let partial = Partial::deserialize(deserializer)?;
        Ok(Self {
            critical: partial.critical.unwrap_or(rest.critical),
            high: partial.high.unwrap_or(rest.high),
            medium: partial.medium.unwrap_or(rest.medium),
            low: partial.low.unwrap_or(rest.low),
        })
    }
}

fn read_sla<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BySeverity, D::Error> {
    BySeverity::read(deserializer, BySeverity::sla())
}

/// How long new objects may take before a gap counts, measured from the objects' own timestamps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Graces {
    /// From a pod's creation until a missing sidecar counts. Default 2m.
    #[schemars(schema_with = "crate::schema::span")]
    pub pod_injection: Span,
    /// From a pod's start until an agent in it that is not ready counts. Default 10m.
    #[schemars(schema_with = "crate::schema::span")]
    pub pod_start: Span,
    /// From an agent's restart until its not being ready counts. Default 5m.
    #[schemars(schema_with = "crate::schema::span")]
    pub agent_restart: Span,
    /// From a node's creation until a missing agent counts. Default 10m.
    #[schemars(schema_with = "crate::schema::span")]
    pub new_node: Span,
    /// From a namespace's creation until its own gaps count. Default 10m.
    #[schemars(schema_with = "crate::schema::span")]
    pub new_namespace: Span,
}

impl Default for Graces {
    fn default() -> Self {
        Self {
            pod_injection: Span::minutes(2),
            pod_start: Span::minutes(10),
            agent_restart: Span::minutes(5),
            new_node: Span::minutes(10),
            new_namespace: Span::minutes(10),
        }
    }
}

/// How tickets live and end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct TicketRules {
    /// Time from opening to due, for each severity. Default 24h, 7d, 30d and 90d.
    #[serde(deserialize_with = "read_sla")]
    #[schemars(schema_with = "crate::schema::sla")]
    pub sla: BySeverity,
    /// How long a subject must be seen clean before its ticket is resolved. Default 30s.
    #[schemars(schema_with = "crate::schema::clear_after")]
    pub clear_after: Span,
    /// How long a resolved ticket is kept. Default 30d.
    #[schemars(schema_with = "crate::schema::second")]
    pub retention: Span,
    /// Tickets of one check in one namespace that may be open at once; beyond it one aggregate ticket stands for the rest.
    /// Default 1000.
    #[schemars(schema_with = "crate::schema::tickets")]
    pub max_per_check: u64,
}

impl Default for TicketRules {
    fn default() -> Self {
        Self {
            sla: BySeverity::sla(),
            clear_after: Span::seconds(30),
            retention: Span::days(30),
            max_per_check: 1_000,
        }
    }
}
