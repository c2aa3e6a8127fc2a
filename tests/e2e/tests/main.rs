//! The whole product on a real control plane. Each module raises what it needs and ends it.

mod commands;
mod conditions;
mod control_plane;
mod deploy;
mod hardening;
mod hostile;
mod leaders;
mod newcomer;
mod nodes;
mod objects;
mod operator;
mod outage;
mod overlays;
mod peers;
mod people;
mod receiver;
mod roles;
mod sight;
mod survival;
mod writers;
