//! Output for people: tables aligned by display width, colours on a terminal only.

use std::io::{IsTerminal, Write};

use patrol_api::words::Severity;
use unicode_width::UnicodeWidthStr;

use super::{Exit, Failure};

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

/// A table; the last column is not padded.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<(String, Option<Colour>)>>,
}

impl Table {
    /// A table with a header.
    #[must_use]
    pub fn new(header: &[&str]) -> Self {
        let mut table = Self::default();
        table.row(
            header
                .iter()
                .map(|cell| ((*cell).to_owned(), Some(Colour::Bold))),
        );
        table
    }

    /// One more row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, Option<Colour>)>) {
        self.rows.push(
            cells
                .into_iter()
                .map(|(text, colour)| (clean(&text), colour))
                .collect(),
        );
    }

    /// The text of the table.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|i| {
                self.rows
                    .iter()
                    .filter_map(|row| row.get(i))
                    .map(|(text, _)| text.width())
                    .max()
                    .unwrap_or_default()
            })
            .collect();
        let mut out = String::new();
        for row in &self.rows {
            let last = row.len().saturating_sub(1);
            for (i, (text, colour)) in row.iter().enumerate() {
                match colour {
                    Some(colour) => out.push_str(&paint(text, *colour, colours)),
                    None => out.push_str(text),
                }
                if i < last {
                    let width = widths.get(i).copied().unwrap_or_default();
                    let pad = width.saturating_sub(text.width()) + 3;
                    out.extend(std::iter::repeat_n(' ', pad));
                }
            }
            out.push('\n');
        }
        out
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_by_display_width_and_hostile_text_is_harmless() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row([("节点".into(), None), ("Open".into(), None)]);
        table.row([
            ("\u{1b}[31mweb\u{202e}".into(), None),
            ("Open".into(), None),
        ]);
        let text = table.render(false);
        let columns: Vec<usize> = text
            .lines()
            .map(|l| {
                l.split("  ").next().map_or(0, |_| {
                    let at = l.find("Open").or_else(|| l.find("STATE")).unwrap();
                    l[..at].width()
                })
            })
            .collect();
        assert!(columns.windows(2).all(|w| w[0] == w[1]), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    }
}
