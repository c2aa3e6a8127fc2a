//! Whatever a check looks at must make the engine judge again when it changes: a change
//! that alters a verdict marks the unit it is altered in, at once and not at the next
//! patrol. The real engine takes in the change, and its marks are compared with what a
//! whole inspection before and after it says. Every kind that a check claims to read must
//! be seen to alter a verdict of it, so that the claims are honest too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

mod bed;
mod cost;
mod objects;
mod rows;
