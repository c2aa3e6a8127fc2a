//! Output for people: tables aligned by display width, colours on a terminal only.

use std::io::{IsTerminal, Write};

use patrol_api::words::Severity;
use unicode_width::UnicodeWidthStr;

mod progress;
mod say;
mod table;

use super::{Exit, Failure};
use crate::manifests::{self, Input, Loaded};
pub use progress::Progress;
pub use say::{severity_of, ticket_name, when};
pub use table::Table;

/// Writes to stdout. A reader that left early (`| head`) is no failure.
pub fn print(text: &str) -> Result<Exit, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Exit::Clean),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Clean),
        Err(error) => Err(error.into()),
    }
}

/// Whether stdout takes colours.
#[must_use]
pub fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A colour of eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Colour {
    Red,
    Yellow,
    Green,
    Blue,
    Dim,
    Bold,
}

/// Paints a text when colours are on.
#[must_use]
pub fn paint(text: &str, colour: Colour, on: bool) -> String {
    if !on {
        return text.to_owned();
    }
    let code = match colour {
        Colour::Red => "31",
        Colour::Yellow => "33",
        Colour::Green => "32",
        Colour::Blue => "34",
        Colour::Dim => "2",
        Colour::Bold => "1",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// The colour of a severity.
#[must_use]
pub const fn severity_colour(severity: Severity) -> Colour {
    match severity {
        Severity::Critical | Severity::High => Colour::Red,
        Severity::Medium => Colour::Yellow,
        Severity::Low => Colour::Blue,
        Severity::Info => Colour::Dim,
    }
}

/// Text that comes from objects: control and escape characters must not reach a terminal.
#[must_use]
pub fn clean(text: &str) -> String {
    patrol_notify::text::clean(text).into_owned()
}

/// `1 object`, `2 objects`.
pub fn number<N>(count: N, one: &str, many: &str) -> String
where
    N: std::fmt::Display + PartialEq + From<u8>,
{
    let one_only = count == N::from(1);
    format!("{count} {}", if one_only { one } else { many })
}

/// How long ago, as kubectl writes ages.
#[must_use]
pub fn age(since: patrol_api::time::Time, now: patrol_api::time::Time) -> String {
    let seconds = now.since(since).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Columns of the terminal that stdout is; `None` when it is none.
#[must_use]
pub fn width() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(out).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns >= 20)
}

/// Breaks a text between words so that it fits into so many columns, of which `used` are
/// taken in the first line; later lines begin with `indent`. Without a width it stays whole.
#[must_use]
pub fn wrap(text: &str, used: usize, indent: &str, width: Option<usize>) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let mut out = String::new();
    let mut column = used;
    let mut first = true;
    for word in text.split(' ') {
        let gap = usize::from(!first);
        if column + gap + word.width() > width && column > indent.width() {
            out.push('\n');
            out.push_str(indent);
            column = indent.width();
        } else if !first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.width();
        first = false;
    }
    out
}

/// Reads manifests, and says how far it is when that takes a while.
#[must_use]
pub fn loading(inputs: &[Input]) -> Loaded {
    let mut progress = Progress::new();
    manifests::load(inputs, &[], |done, all| {
        progress.show(format!("reading manifests: {done} of {all} files"));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_break_between_words() {
        let text = "fix: Enable the injection for the pods and restart the workload";
        assert_eq!(wrap(text, 4, "    ", None), text);
        let wrapped = wrap(text, 4, "    ", Some(30));
        assert_eq!(
            wrapped,
            "fix: Enable the injection\n    for the pods and restart\n    the workload"
        );
        // A word that fits nowhere is left whole.
        assert_eq!(wrap(&"x".repeat(40), 0, "", Some(30)), "x".repeat(40));
    }
}
