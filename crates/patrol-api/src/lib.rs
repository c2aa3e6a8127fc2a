//! Kinds, words and checked names of kube-patrol: what users write, what tickets say, and the schemas of both.
//! Never talks to a cluster, never reads a clock or a file.

pub mod condition;
pub mod crd;
pub mod names;
pub mod policy;
pub mod receiver;
mod schema;
mod span;
pub mod ticket;
pub mod time;
pub mod validate;
pub mod waiver;
pub mod words;
