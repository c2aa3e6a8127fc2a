//! The engine in a small world: a virtual clock, an honest API server in memory, scripted
//! receivers, and three checks of its own. Every test names the rule or the row it holds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on must fail"
)]

mod alarms;
mod alerts;
mod catalogue;
mod ceiling;
mod foresight;
mod gone;
mod groups;
mod incidents;
mod inhibition;
mod leadership;
mod limits_of_time;
mod numbers;
mod own_work;
mod pacing;
mod patrols;
mod people;
mod policies;
mod properties;
mod quiet;
mod retention;
mod rotation;
mod server;
mod sight;
mod tickets;
mod time;
mod waiver_notices;
mod world;
