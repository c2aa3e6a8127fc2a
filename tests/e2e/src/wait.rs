//! Waiting for a condition with a deadline, the only way this crate waits.

use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// How long a probe rests before it is asked again.
const POLL: Duration = Duration::from_millis(20);

/// What a probe saw: the value waited for, or why it is not there yet.
pub trait Progress<T> {
    /// Splits into the value or the text of what was seen last.
    ///
    /// # Errors
    /// The text of what was seen instead of the value.
    fn seen(self) -> Result<T, String>;
}

impl<T> Progress<T> for Option<T> {
    fn seen(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing yet".to_owned())
    }
}

impl<T, E: Display> Progress<T> for std::result::Result<T, E> {
    fn seen(self) -> Result<T, String> {
        self.map_err(|last| last.to_string())
    }
}

/// Asks `probe` until it has the value, at most `within`. A probe may return an
/// `Option`, or a `Result` whose error says what it saw instead: the failure repeats it.
///
/// # Errors
/// `<what>: not within <deadline>: last seen: <last value>`.
pub fn wait_until<T, P: Progress<T>>(
    within: Duration,
    what: &str,
    mut probe: impl FnMut() -> P,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        let last = match probe().seen() {
            Ok(value) => return Ok(value),
            Err(last) => last,
        };
        if Instant::now() >= deadline {
            return Err(Error::failed(format!(
                "{what}: not within {within:?}: last seen: {last}"
            )));
        }
        // A park may end early: the loop looks at the condition again anyway.
        std::thread::park_timeout(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_the_value_once_it_is_there() {
        let mut left = 3;
        let value = wait_until(Duration::from_secs(5), "a countdown", || {
            left -= 1;
            (left == 0).then_some("done")
        });
        assert_eq!(value, Ok("done"));
    }

    #[test]
    fn fails_with_what_and_the_last_value() {
        let error = wait_until::<(), _>(Duration::from_millis(1), "three pods", || {
            Err::<(), _>("2 pods")
        })
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("three pods") && error.ends_with("last seen: 2 pods"),
            "{error}"
        );
    }
}
