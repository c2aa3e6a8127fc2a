//! The edges and the command line of kube-patrol. Wires the other crates together and
//! decides nothing: what is right or wrong is said by the core and the catalogue.

pub mod cli;
pub mod local;
pub mod logging;
pub mod manifests;
pub mod metrics;
pub mod shell;
