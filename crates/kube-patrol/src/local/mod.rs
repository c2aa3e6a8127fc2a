//! Local mode's edge: folders of manifests in place of watches, and a state folder in place
//! of an API server. The engine cannot tell the difference, and that is the point.
//!
//! It decides nothing. What cannot be read is told as a blind spot, never as gone.

mod edge;
mod index;
mod inputs;
mod secrets;
mod stamp;
pub(crate) mod store;
pub mod terminal;
mod watch;
mod worker;
mod world;

pub use edge::{LocalEdge, LocalError, Options, STATE, Started, remembered_files, start};
pub use secrets::{SecretFile, Secrets, of_object as secrets_of};
pub use store::kept_objects;
