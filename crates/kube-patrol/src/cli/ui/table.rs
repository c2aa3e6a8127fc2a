//! Tables aligned by display width; on a narrow terminal they become blocks of lines.

use unicode_width::UnicodeWidthStr;

use super::{Colour, clean, paint};

/// Spaces between columns.
const GAP: usize = 3;
/// How a line that goes on begins.
const INDENT: &str = "    ";

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

    /// The text of the table, for the terminal that stdout is.
    #[must_use]
    pub fn fit(&self, colours: bool) -> String {
        self.within(super::width(), colours)
    }

    /// The text of the table in at most so many columns: what does not fit into a line goes
    /// on in the next one, indented.
    fn within(&self, width: Option<usize>, colours: bool) -> String {
        let text = self.render(false);
        match width {
            Some(width) if text.lines().any(|line| line.width() > width) => {
                self.flow(width, colours)
            }
            _ => self.render(colours),
        }
    }

    /// Cells one after the other, as many as fit into a line; long ones by words.
    fn flow(&self, width: usize, colours: bool) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let mut column = 0;
            for (text, colour) in row.iter().filter(|(text, _)| !text.is_empty()) {
                let left = width.saturating_sub(column + GAP);
                // A long text begins in a line of its own, where it is read in one piece.
                let begins = column > INDENT.len() && text.width() > left;
                for (i, word) in cell_words(text, width).into_iter().enumerate() {
                    let gap = if i == 0 { GAP } else { 1 };
                    let breaks = i == 0 && begins;
                    if column > 0 && !breaks && column + gap + word.width() <= width {
                        out.extend(std::iter::repeat_n(' ', gap));
                        column += gap;
                    } else if column > 0 {
                        out.push('\n');
                        out.push_str(INDENT);
                        column = INDENT.len();
                    }
                    column += word.width();
                    match colour {
                        Some(colour) => out.push_str(&paint(word, *colour, colours)),
                        None => out.push_str(word),
                    }
                }
            }
            out.push('\n');
        }
        out
    }

    /// The text of the table, as wide as it is.
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
                    let pad = width.saturating_sub(text.width()) + GAP;
                    out.extend(std::iter::repeat_n(' ', pad));
                }
            }
            out.push('\n');
        }
        out
    }
}

/// A cell that fits into a line stays whole; a longer one may break between its words.
fn cell_words(text: &str, width: usize) -> Vec<&str> {
    if text.width() + INDENT.len() <= width {
        vec![text]
    } else {
        text.split_whitespace().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_gets_lines_that_fit_and_loses_no_word() {
        let mut table = Table::new(&["SEVERITY", "CHECK", "MESSAGE"]);
        let message =
            "the node has no pod of the agent runtime-agent: it does not tolerate a taint";
        table.row([
            ("High".into(), None),
            ("node-agent-missing (runtime-agent)".into(), None),
            (message.into(), None),
        ]);
        let narrow = table.within(Some(60), false);
        assert!(narrow.lines().all(|line| line.width() <= 60), "{narrow}");
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&narrow), words(&table.render(false)));
        assert!(
            narrow.lines().skip(2).all(|line| line.starts_with(INDENT)),
            "{narrow}"
        );
        assert_eq!(table.within(Some(200), false), table.render(false));
        assert_eq!(table.within(None, false), table.render(false));
    }

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
