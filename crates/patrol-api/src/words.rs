//! The closed vocabularies of the API. Each word is written in objects exactly as it is spelled here.
//! Never holds a word that is not part of the published contract.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a text is no word of a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    text: String,
    words: &'static [&'static str],
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not one of {}", self.text, self.words.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $word:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[schemars(inline)]
        #[allow(missing_docs, reason = "each word names itself; the enum says what they are")]
        pub enum $name { $($(#[$doc])* $word),+ }

        impl $name {
            /// Every word, in order.
            pub const ALL: &'static [Self] = &[$(Self::$word),+];

            /// The word itself.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => stringify!($word)),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownWord;

            /// Upper and lower case are the same here, so that a label value reads back.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|word| word.as_str().eq_ignore_ascii_case(text))
                    .ok_or_else(|| UnknownWord {
                        text: text.chars().take(40).collect(),
                        words: &[$(stringify!($word)),+],
                    })
            }
        }
    };
}

words! {
    /// How bad a finding is; the worst is the greatest.
    Severity { Info, Low, Medium, High, Critical }
}

words! {
    /// Who is responsible for the mending.
    Party { Customer, Platform, Shared }
}

words! {
    /// The layer of the shared-responsibility model a check belongs to.
    Layer { L0, L1, L2, L3, L4, L5, L6, L7, L8, L9, L10, LS }
}

words! {
    /// How the cluster is provided, which decides the default party of each layer.
    #[derive(Default)]
    Profile { #[default] Auto, ServerlessManaged, Managed, SelfHosted }
}

words! {
    /// Whether a policy writes tickets and sends alerts or only reports in its status.
    #[derive(Default)]
    Mode { #[default] Enforce, Observe }
}

words! {
    /// Where a ticket stands.
    #[derive(Default)]
    Phase { #[default] Open, Acknowledged, Snoozed, Waived, Resolved }
}

words! {
    /// What people laid over a ticket.
    OverlayKind { Acknowledged, Snoozed, Waived }
}

words! {
    /// What a waiver does: `Waive` puts the ticket out of the open ones, `Mute` keeps it open and silent.
    #[derive(Default)]
    Treatment { #[default] Waive, Mute }
}

words! {
    /// Why a ticket was resolved.
    Resolution { Fixed, SubjectGone, NoLivePods, Waived, PolicyRemoved, OutOfScope, CheckDisabled }
}

words! {
    /// What a receiver was last told about a ticket.
    ToldState { Firing, Closed }
}

words! {
    /// Why a receiver is told about a ticket.
    AlertReason {
        Opened, Reopened, Reminder, Escalated, SeverityRaised, SLABreached, ReArmed, WaiverEnded, Overdue,
        Resolved, Waived, Baseline, Late, Mixed, Acknowledged, Snoozed, Assigned,
        Withdrawn,
    }
}

impl AlertReason {
    /// Whether it is something that people did, told without calling anybody.
    #[must_use]
    pub const fn is_quiet(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Snoozed | Self::Assigned)
    }
}

words! {
    /// What people did to a ticket, told without calling anybody.
    QuietNotice { Acknowledged, Snoozed, Assigned }
}

words! {
    /// What started a patrol.
    Trigger { Schedule, Startup, Manual, PolicyChanged }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_as_they_are_named() {
        for severity in Severity::ALL {
            let json = serde_json::to_string(severity).unwrap();
            assert_eq!(json, format!("\"{severity}\""));
            assert_eq!(severity.as_str().to_lowercase().parse(), Ok(*severity));
        }
        assert!(Severity::Critical > Severity::High && Severity::Low > Severity::Info);
        assert_eq!(
            "Urgent".parse::<Severity>().unwrap_err().to_string(),
            "\"Urgent\" is not one of Info, Low, Medium, High, Critical"
        );
    }
}
