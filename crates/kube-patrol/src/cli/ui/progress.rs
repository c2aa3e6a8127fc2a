//! A line on the terminal that says how far long work is. It is on stderr, on a terminal
//! alone, and it is gone when the work is done.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Short work needs no word.
const QUIET: Duration = Duration::from_millis(500);
const EVERY: Duration = Duration::from_millis(100);
const CLEAR_LINE: &str = "\r\u{1b}[K";

/// The line.
#[derive(Debug)]
pub struct Progress {
    is_terminal: bool,
    next: Instant,
    shown: bool,
}

impl Progress {
    /// Nothing is shown yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            next: Instant::now() + QUIET,
            shown: false,
        }
    }

    /// Replaces the line, now and then.
    pub fn show(&mut self, text: String) {
        let now = Instant::now();
        if !self.is_terminal || now < self.next {
            return;
        }
        self.next = now + EVERY;
        self.shown = true;
        write(&format!("{CLEAR_LINE}{text}"));
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            write(CLEAR_LINE);
        }
    }
}

fn write(text: &str) {
    let mut out = std::io::stderr().lock();
    // A terminal that went away needs no progress.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
