//! The one error of the harness. It is read by people in a failed test, so `Debug`
//! prints the sentence, not a structure.

use std::fmt;

/// What the harness returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the harness could not do what it was asked.
#[derive(Clone, PartialEq, Eq)]
pub enum Error {
    /// A part that has to be on the machine (Go, a program in `KUBEBUILDER_ASSETS`) is
    /// not there: the caller skips, and says so with this text.
    Unavailable(String),
    /// Anything else: the test fails with this text.
    Failed(String),
}

impl Error {
    /// A failure with this text.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// A missing part with this text.
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self::Unavailable(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// Says what was being done when a lower error came up.
pub trait Context<T> {
    /// Turns the error into [`Error::Failed`] as `<what>: <error>`.
    ///
    /// # Errors
    /// The error it was called on, with `what` before it.
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Error::Failed(format!("{what}: {error}")))
    }
}
