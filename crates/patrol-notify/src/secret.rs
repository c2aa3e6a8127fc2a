//! A value that must not be seen: URL, signing secret, header value, token.
//!
//! It has no `Serialize`, and `Debug` and `Display` print a constant that does not even tell the
//! length. Whoever needs the value calls [`Secret::expose`], which is easy to search for in a review.

use std::fmt;

/// Bytes of one key of a Kubernetes Secret (or a literal that is treated as one).
///
/// Equality is for noticing a rotation; it is not constant-time and must not be used to
/// authenticate anybody.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Vec<u8>);

/// What is printed instead of the value.
const HIDDEN: &str = "[secret]";

impl Secret {
    /// Takes the value as it was stored.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Secret(value.into())
    }

    /// The raw bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether it holds nothing but white space, and so is no value at all.
    pub fn is_blank(&self) -> bool {
        self.0.trim_ascii().is_empty()
    }

    /// The value as text without surrounding white space (a Secret made from a file usually ends in
    /// a newline), or `None` when it is not UTF-8.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok().map(str::trim)
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Secret(value.as_bytes().to_vec())
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Secret(value.into_bytes())
    }
}

impl From<Vec<u8>> for Secret {
    fn from(value: Vec<u8>) -> Self {
        Secret(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_shows_neither_value_nor_length() {
        for value in [
            "",
            "a",
            "hunter2",
            "https://hooks.example.com/T000/B000/xyz",
        ] {
            let secret = Secret::from(value);
            for shown in [
                format!("{secret}"),
                format!("{secret:?}"),
                format!("{secret:#?}"),
                format!("{secret:>200}"),
                format!("{:?}", Some(&secret)),
            ] {
                assert_eq!(
                    shown.replace("Some(", "").replace(')', ""),
                    "[secret]",
                    "{value}"
                );
            }
        }
    }

    #[test]
    fn text_drops_the_newline_a_file_ends_with() {
        assert_eq!(
            Secret::from("https://a.example/\n").expose_text(),
            Some("https://a.example/")
        );
        assert_eq!(Secret::new(vec![0xff, 0xfe]).expose_text(), None);
        assert_eq!(Secret::from(" x \r\n").expose(), b" x \r\n");
    }

    #[test]
    fn equality_notices_a_rotation() {
        assert_eq!(Secret::from("a"), Secret::from(String::from("a")));
        assert_ne!(Secret::from("a"), Secret::from("b"));
    }
}
