//! The decisions of kube-patrol: synchronous, deterministic, without I/O.
//!
//! Time comes in as an argument. Nothing here reads a clock, an environment variable or a
//! file, and no hash map is iterated in an order that reaches an effect. The edges feed
//! events to the engine and carry out the effects it returns; they may lose, repeat, delay
//! or reorder any of them.

pub mod certificate;
pub mod check;
pub mod clock;
pub mod effect;
pub mod engine;
pub mod event;
pub mod facts;
pub mod fingerprint;
pub mod harmless;
pub mod inspect;
pub mod inventory;
pub mod kind;
pub mod notice;
pub mod pattern;
pub mod rule;
pub mod schedule;
pub mod selector;
pub mod sym;
pub mod ticket;
pub mod waiver;
pub mod windows;

// The world of the engine's tests, for those that must reach inside.
#[cfg(test)]
extern crate self as patrol_core;
#[cfg(test)]
#[allow(dead_code)]
#[path = "../tests/engine/catalogue.rs"]
mod catalogue;
#[cfg(test)]
#[allow(dead_code)]
#[path = "../tests/engine/server.rs"]
mod server;
#[cfg(test)]
#[allow(dead_code)]
#[path = "../tests/engine/world.rs"]
mod world;
