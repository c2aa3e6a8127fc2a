//! A report as one page of HTML: no script, nothing that is loaded, and nothing that somebody wrote into an object is markup.

use super::markdown::says_something;
use super::page::{Page, Section};
use crate::cli::ui;

/// Nothing is loaded and nothing runs, whatever is in the page.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ccc}\
table{border-collapse:collapse;width:100%;font-size:13px}th,td{text-align:left;vertical-align:top;padding:.25rem .5rem;border-bottom:1px solid #e3e3e3;overflow-wrap:anywhere}\
th{font-weight:600}tr{break-inside:avoid}svg text{font:12px system-ui,sans-serif}\
@media print{body{margin:0;max-width:none}h2{break-after:avoid}}";
/// Length of the longest bar, in pixels.
const LONGEST: u64 = 400;

pub(super) fn text(page: &Page) -> String {
    let title = plain(&page.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    for section in page.sections.iter().filter(|s| says_something(s)) {
        out.push_str(&part(section));
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn part(section: &Section) -> String {
    let mut out = format!("<h2>{}</h2>\n", plain(section.title));
    for sentence in &section.says {
        out.push_str(&format!("<p>{}</p>\n", plain(sentence)));
    }
    if !section.bars.is_empty() {
        out.push_str(&bars(&section.bars));
    }
    if !section.rows.is_empty() {
        let head = section
            .head
            .iter()
            .map(|cell| format!("<th>{}</th>", plain(cell)));
        let head: String = head.collect();
        out.push_str(&format!(
            "<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n"
        ));
        for row in &section.rows {
            let cells: String = row
                .iter()
                .map(|cell| format!("<td>{}</td>", plain(cell)))
                .collect();
            out.push_str(&format!("<tr>{cells}</tr>\n"));
        }
        out.push_str("</tbody>\n</table>\n");
    }
    out
}

fn bars(bars: &[(String, u64)]) -> String {
    let most = bars.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1);
    let height = bars.len() * 24;
    let mut out = format!(
        "<svg role=\"img\" aria-label=\"numbers as bars\" width=\"600\" height=\"{height}\" xmlns=\"http://www.w3.org/2000/svg\">\n"
    );
    for (place, (name, n)) in bars.iter().enumerate() {
        let (top, middle) = (place * 24 + 4, place * 24 + 16);
        let length = n.saturating_mul(LONGEST) / most;
        let end = 110 + length;
        out.push_str(&format!(
            "<text x=\"0\" y=\"{middle}\">{}</text><rect x=\"100\" y=\"{top}\" width=\"{length}\" height=\"16\" fill=\"#4a6fa5\"/><text x=\"{end}\" y=\"{middle}\">{n}</text>\n",
            plain(name)
        ));
    }
    out.push_str("</svg>\n");
    out
}

/// Text that stays text, in elements and in attributes.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in ui::clean(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::sample;
    use super::*;

    #[test]
    fn a_page_loads_nothing_runs_nothing_and_holds_no_markup_of_others() {
        let text = text(&sample());
        assert!(
            text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
            "{text}"
        );
        for bad in ["<script", "<img", "<a ", "<link", "onload", "src=", "href="] {
            assert!(!text.contains(bad), "{bad}: {text}");
        }
        assert!(text.contains("default-src 'none'"));
        // Every element that is opened is closed.
        for element in [
            "table", "thead", "tbody", "tr", "td", "th", "svg", "text", "p", "h2",
        ] {
            let opened = text.matches(&format!("<{element}>")).count()
                + text.matches(&format!("<{element} ")).count();
            let closed = text.matches(&format!("</{element}>")).count();
            assert_eq!(opened, closed, "{element}");
        }
    }

    #[test]
    fn the_longest_bar_is_the_largest_number() {
        let drawn = bars(&[("High".into(), 4), ("Low".into(), 1), ("Info".into(), 0)]);
        for width in ["width=\"400\"", "width=\"100\"", "width=\"0\""] {
            assert!(drawn.contains(width), "{width}: {drawn}");
        }
        assert!(bars(&[("High".into(), 0)]).contains("width=\"0\""));
    }
}
