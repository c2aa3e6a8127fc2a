//! The harness of the end-to-end tests: a real control plane on this machine, the
//! operator as a process, and a scripted webhook receiver.
//!
//! Everything here blocks and stays on loopback. Every process it starts ends with it,
//! also when the test is killed. It never pretends: where the control plane cannot be
//! built the caller gets [`Error::Unavailable`] and has to say loudly what it skipped.
//!
//! ```no_run
//! use patrol_e2e::control_plane::{ADMIN, ControlPlane};
//! use patrol_e2e::operator::Process;
//! use patrol_e2e::receiver::Receiver;
//! use patrol_e2e::skip::or_skip;
//!
//! # fn test() -> patrol_e2e::Result<()> {
//! let plane = ControlPlane::builder().identity("operator", &[]).start();
//! let Some(plane) = or_skip("alerts", plane)? else { return Ok(()) };
//! let receiver = Receiver::start()?;
//! let operator = Process::builder()
//!     .arg("operator")
//!     .kubeconfig(&plane.kubeconfig("operator")?)
//!     .spawn()?;
//! plane.kubectl(ADMIN, ["run", "web", "--image=web"])?.success()?;
//! # Ok(())
//! # }
//! ```
//!
//! It never sleeps for a guessed time: waits have a condition and a deadline
//! ([`wait_until`]).

pub mod admission;
pub mod api_client;
pub mod build;
pub mod child;
pub mod connections;
pub mod control_plane;
pub mod crowd;
mod error;
mod folder;
pub mod http;
pub mod installed;
mod keys;
pub mod operator;
pub mod peers;
mod ports;
pub mod random;
pub mod receiver;
pub mod skip;
mod wait;

pub use child::Output;
pub use error::{Context, Error, Result};
pub use wait::{Progress, wait_until};
