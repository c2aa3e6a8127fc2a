//! What a proxy that asks for it is told of us: a user name and a password, from a file that is read each time, so that a
//! rotation needs no restart. Never printed.

use std::path::PathBuf;

use data_encoding::BASE64;
use url::Url;

use crate::secret::Secret;

/// More is no password.
const MOST: usize = 4096;

/// Where `USER:PASSWORD` comes from.
#[derive(Debug, Clone, Default)]
pub enum ProxyCredentials {
    /// There is none.
    #[default]
    None,
    /// It was given.
    Value(Secret),
    /// It is in a file.
    File(PathBuf),
}

impl ProxyCredentials {
    /// The user and password of a URL, which are percent-encoded there.
    pub(super) fn of_url(url: &Url) -> Self {
        let mut value = decoded(url.username());
        value.push(b':');
        value.extend(decoded(url.password().unwrap_or("")));
        Self::Value(Secret::new(value))
    }

    /// Whether there is any.
    pub(super) const fn is_set(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// The value of `Proxy-Authorization`.
    ///
    /// # Errors
    /// One sentence about the file.
    pub(super) async fn header(&self) -> Result<Option<Secret>, &'static str> {
        let pair = match self {
            Self::None => return Ok(None),
            Self::Value(pair) => pair.clone(),
            Self::File(path) => tokio::fs::read(path).await.map(Secret::new).map_err(|_| {
                "the proxy's credentials cannot be read: see whether the file of --receiver-proxy-credentials is there and readable"
            })?,
        };
        let text = pair.expose_text().filter(|text| {
            text.len() <= MOST && text.contains(':') && !text.contains(char::is_control)
        });
        let text = text.ok_or(
            "the proxy's credentials are not of the form USER:PASSWORD: write that, on one line, into the file of --receiver-proxy-credentials",
        )?;
        let encoded = BASE64.encode(text.as_bytes());
        Ok(Some(Secret::from(format!("Basic {encoded}"))))
    }
}

fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%');
        let byte = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn header(text: &str) -> Result<Option<String>, &'static str> {
        let header = ProxyCredentials::Value(text.into()).header().await?;
        Ok(header.map(|secret| secret.expose_text().unwrap().to_owned()))
    }

    #[tokio::test]
    async fn a_user_and_a_password_become_a_header() {
        // RFC 7617, section 2.
        let expected = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned();
        assert_eq!(header("Aladdin:open sesame\n").await, Ok(Some(expected)));
        for bad in ["", "user", "a:b\nc:d", "user:p\0"] {
            let why = header(bad).await.unwrap_err();
            assert!(why.contains("USER:PASSWORD"), "{why}");
        }
        let none = ProxyCredentials::None.header().await;
        assert_eq!(none, Ok(None));
        let missing = ProxyCredentials::File("/nowhere/at/all".into())
            .header()
            .await;
        assert!(missing.unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn percent_signs_are_taken_apart() {
        for (text, expected) in [
            ("", ""),
            ("user", "user"),
            ("p%40ss%3A", "p@ss:"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%25%32", "%2"),
        ] {
            assert_eq!(decoded(text), expected.as_bytes(), "{text}");
        }
    }
}
