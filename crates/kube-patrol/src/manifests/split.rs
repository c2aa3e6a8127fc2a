//! Splits a YAML stream into its documents by lines, so that one that cannot be parsed does
//! not hide the others. Pure text; parses nothing.

/// One document's text.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Number of the document, from 0.
    pub index: usize,
    /// The text, its `---` line included.
    pub text: &'a str,
    /// Line of the file on which the text begins, from 1.
    pub first_line: usize,
    /// Line of the file on which something stands, from 1.
    pub content_line: usize,
}

/// The documents that hold anything. `---` and `...` at the start of a line end a document
/// wherever they stand: not even a block scalar or a quoted text may hold them there.
#[must_use]
pub fn split(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let mut open = Open::default();
    let mut index = 0;
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let marker = marker(line);
        if marker.is_some() && (open.marked || open.content_line.is_some()) {
            index += open.close(text, offset, index, &mut chunks);
        }
        match marker {
            Some(Marker::Start) => open = Open::at(offset, number + 1, true),
            Some(Marker::End) => open = Open::at(offset + line.len(), number + 2, false),
            None => {}
        }
        let content = match marker {
            Some(Marker::Start) => line.get(3..).unwrap_or_default(),
            Some(Marker::End) => "",
            None => line,
        };
        if open.content_line.is_none() && says_something(content, open.marked) {
            open.content_line = Some(number + 1);
        }
        offset += line.len();
    }
    open.close(text, offset, index, &mut chunks);
    chunks
}

/// The document that is being read.
struct Open {
    start: usize,
    first_line: usize,
    content_line: Option<usize>,
    marked: bool,
}

impl Default for Open {
    fn default() -> Self {
        Self::at(0, 1, false)
    }
}

impl Open {
    fn at(start: usize, first_line: usize, marked: bool) -> Self {
        Self {
            start,
            first_line,
            content_line: None,
            marked,
        }
    }

    /// Ends the document; returns how many it counts for. One that was begun by `---` and
    /// holds nothing counts (it is null) but is not handed on.
    fn close<'a>(
        &mut self,
        text: &'a str,
        end: usize,
        index: usize,
        chunks: &mut Vec<Chunk<'a>>,
    ) -> usize {
        let begun = std::mem::take(self);
        if let (Some(content_line), Some(chunk)) = (begun.content_line, text.get(begun.start..end))
        {
            chunks.push(Chunk {
                index,
                text: chunk,
                first_line: begun.first_line,
                content_line,
            });
        }
        usize::from(begun.marked || begun.content_line.is_some())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Marker {
    Start,
    End,
}

fn marker(line: &str) -> Option<Marker> {
    let (kind, rest) = match (line.strip_prefix("---"), line.strip_prefix("...")) {
        (Some(rest), _) => (Marker::Start, rest),
        (_, Some(rest)) => (Marker::End, rest),
        _ => return None,
    };
    rest.chars()
        .next()
        .is_none_or(char::is_whitespace)
        .then_some(kind)
}

/// Comments and blank lines say nothing; before the `---` neither do directives.
fn says_something(line: &str, marked: bool) -> bool {
    let line = line.trim();
    !(line.is_empty() || line.starts_with('#') || (!marked && line.starts_with('%')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<(usize, &str, usize, usize)> {
        split(text)
            .into_iter()
            .map(|c| (c.index, c.text, c.first_line, c.content_line))
            .collect()
    }

    #[test]
    fn documents_keep_their_number_and_line() {
        assert_eq!(
            places("a: 1\n---\nb: 2\n---\n# only this\n---\n\nc: 3\n"),
            [
                (0, "a: 1\n", 1, 1),
                (1, "---\nb: 2\n", 2, 3),
                (3, "---\n\nc: 3\n", 6, 8),
            ]
        );
    }

    #[test]
    fn a_leading_comment_or_directive_is_no_document() {
        assert_eq!(
            places("%YAML 1.2\n# licence\n---\na: 1\n"),
            [(0, "---\na: 1\n", 3, 4)]
        );
    }

    #[test]
    fn content_may_follow_the_marker_and_crlf_is_fine() {
        assert_eq!(
            places("--- {a: 1}\r\n---\r\nb: 2\r\n"),
            [(0, "--- {a: 1}\r\n", 1, 1), (1, "---\r\nb: 2\r\n", 2, 3)]
        );
    }

    #[test]
    fn an_end_marker_ends_a_document() {
        assert_eq!(
            places("a: 1\n...\n# c\n---\nb: 2\n...\nc: 3"),
            [
                (0, "a: 1\n", 1, 1),
                (1, "---\nb: 2\n", 4, 5),
                (2, "c: 3", 7, 7)
            ]
        );
    }

    #[test]
    fn what_only_looks_like_a_marker_is_text() {
        assert_eq!(places("----\na\n ---\n").len(), 1);
        assert_eq!(places("---a: 1\n").len(), 1);
        assert!(places("").is_empty());
        assert!(places("\n# c\n---\n---\n").is_empty());
    }
}
