//! Where the items of a JSON list stand: a scan over bytes that knows texts and brackets
//! and nothing else. It runs on text that has parsed as JSON.

/// Lines, counted from 1 at the start of `text`, on which the elements of the top-level
/// `items` array (or of a top-level array) begin.
#[must_use]
pub fn item_lines(text: &str) -> Vec<usize> {
    let mut scan = Scan {
        bytes: text.as_bytes(),
        at: 0,
        line: 1,
    };
    let mut lines = Vec::new();
    let mut depth = 0usize;
    // Depth of the array whose elements are wanted, once it is open.
    let mut wanted: Option<usize> = None;
    let mut expects_element = false;
    let mut last_key_is_items = false;
    while let Some(token) = scan.next_token() {
        let begins = matches!(token, Token::Open(_) | Token::Text { .. } | Token::Other);
        if begins && expects_element && wanted == Some(depth) {
            // JSON texts hold no line break, so the current line is the token's.
            lines.push(scan.line);
            expects_element = false;
        }
        match token {
            Token::Open(open) => {
                let is_list = open == b'[' && (depth == 0 || (depth == 1 && last_key_is_items));
                depth += 1;
                if is_list && wanted.is_none() {
                    wanted = Some(depth);
                    expects_element = true;
                }
            }
            Token::Close => {
                if wanted == Some(depth) {
                    return lines;
                }
                depth = depth.saturating_sub(1);
            }
            Token::Comma => expects_element = wanted == Some(depth),
            Token::Text { is_items } => {
                last_key_is_items = depth == 1 && is_items;
                continue;
            }
            Token::Colon => continue,
            Token::Other => {}
        }
        last_key_is_items = false;
    }
    lines
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

enum Token {
    Open(u8),
    Close,
    Comma,
    Colon,
    Text { is_items: bool },
    Other,
}

impl Scan<'_> {
    fn next_token(&mut self) -> Option<Token> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            return Some(match byte {
                b'\n' => {
                    self.line += 1;
                    continue;
                }
                b' ' | b'\t' | b'\r' => continue,
                b'{' | b'[' => Token::Open(byte),
                b'}' | b']' => Token::Close,
                b',' => Token::Comma,
                b':' => Token::Colon,
                b'"' => self.text(),
                _ => {
                    self.skip_word();
                    Token::Other
                }
            });
        }
    }

    fn text(&mut self) -> Token {
        let start = self.at;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += match byte {
                b'\\' => 2,
                b'"' => break,
                _ => 1,
            };
        }
        let is_items = self.bytes.get(start..self.at) == Some(b"items");
        self.at += 1;
        Token::Text { is_items }
    }

    fn skip_word(&mut self) {
        while self
            .bytes
            .get(self.at)
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-'))
        {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::item_lines;

    #[test]
    fn the_items_of_a_list_have_their_lines() {
        let text = "{\"kind\": \"List\",\n \"x\": {\"items\": [\n1]},\n\"items\": [\n  {\"a\": \"\\\"[,\", \"b\": [1, 2]},\n  {\n},\n\n {}]\n}";
        assert_eq!(item_lines(text), [5, 6, 9]);
    }

    #[test]
    fn a_top_level_array_too() {
        assert_eq!(item_lines("[\n{},\n3,\n\"x\", []]"), [2, 3, 4, 4]);
        assert!(item_lines("{\"kind\": \"items\", \"a\": [1]}").is_empty());
        assert!(item_lines("").is_empty());
    }
}
