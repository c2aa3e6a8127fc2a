//! The text that leaves for people: the core's own rule, so that a ticket and its notice
//! say the same.

pub use patrol_core::harmless::clean;
