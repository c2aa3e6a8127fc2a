//! A report as Markdown. Nothing that somebody wrote into an object is markup in it.

use super::page::{Page, Section};
use crate::cli::ui;

pub(super) fn text(page: &Page) -> String {
    let mut out = format!("# {}\n", plain(&page.title));
    for section in page.sections.iter().filter(|s| says_something(s)) {
        out.push_str(&format!("\n## {}\n\n", section.title));
        for sentence in &section.says {
            out.push_str(&format!("- {}\n", plain(sentence)));
        }
        for (name, n) in &section.bars {
            out.push_str(&format!("- {}: {n}\n", plain(name)));
        }
        if section.rows.is_empty() {
            continue;
        }
        if !section.says.is_empty() || !section.bars.is_empty() {
            out.push('\n');
        }
        out.push_str(&row(section.head.iter().map(|cell| (*cell).to_owned())));
        out.push_str(&row(section.head.iter().map(|_| "---".to_owned())));
        for cells in &section.rows {
            out.push_str(&row(cells.iter().map(|cell| plain(cell))));
        }
    }
    out
}

/// Whether there is anything in it.
pub(super) fn says_something(section: &Section) -> bool {
    !(section.says.is_empty() && section.rows.is_empty() && section.bars.is_empty())
}

fn row(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.collect();
    format!("| {} |\n", cells.join(" | "))
}

/// Text that stays text: one line, every sign that could mean something escaped.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in ui::clean(text).chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '@' | '>' => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    // Bare addresses must not become links.
    out.replace("://", "&#58;//").replace("www.", "www\\.")
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::sample;
    use super::*;

    #[test]
    fn what_people_wrote_is_no_markup() {
        assert_eq!(
            plain("a|b <img src=x> [x](http://e) @all\n`c`"),
            r"a\|b &lt;img src=x\> \[x\](http&#58;//e) \@all \`c\`"
        );
    }

    #[test]
    fn each_table_has_as_many_cells_in_every_row() {
        let text = text(&sample());
        let mut columns = 0;
        for line in text.lines() {
            let cells = line.replace("\\|", "").matches('|').count();
            match (cells, columns) {
                (0, _) => columns = 0,
                (n, 0) => columns = n,
                (n, known) => assert_eq!(n, known, "{line}"),
            }
        }
        for words in [
            "## Summary",
            "2 tickets are open",
            "- Critical: 1",
            "## Waivers",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("<script"), "{text}");
    }
}
