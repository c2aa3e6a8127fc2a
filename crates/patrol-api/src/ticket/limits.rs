//! How much of each text and list a ticket holds, so that one stays small. Lengths count characters.
//! Never more than the schema allows: it is made of these.

/// `status.title`.
pub const TITLE: usize = 160;
/// `status.message` and `status.remediation`.
pub const TEXT: usize = 1024;
/// Names in `status.evidence.affected.sample`.
pub const SAMPLE: usize = 20;
/// Length of one of them.
pub const SAMPLE_NAME: usize = 128;
/// Words in `status.evidence.reasons`.
pub const REASONS: usize = 8;
/// Length of one of them, and of `status.history[].reason`.
pub const REASON: usize = 64;
/// Pointers in `status.evidence.paths`.
pub const PATHS: usize = 8;
/// Length of one of them.
pub const PATH: usize = 200;
/// Entries in `status.history`.
pub const HISTORY: usize = 20;
/// Length of `status.overlay.by`.
pub const BY: usize = 253;
/// Length of `status.history[].actor`.
pub const ACTOR: usize = 64;
/// Records in `status.alerts`: more receivers than anyone has, for a record that does not fit is told for ever.
pub const ALERTS: usize = 64;
