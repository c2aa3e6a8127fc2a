//! What a scripted receiver does with a request: the good, the slow and the hostile.

use std::time::Duration;

/// One answer, or what stands in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) delay: Duration,
    pub(crate) manner: Manner,
}

/// How an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Whole,
    /// Nothing, until the sender closes.
    Hang,
    /// One byte of the answer at a time.
    Drip(Duration),
    /// The head, then a body without an end.
    Endless,
    /// Close without an answer.
    Close,
    /// Reset the connection without an answer.
    Reset,
    /// The head and half of the body, then reset.
    CutOff,
}

impl Reply {
    /// This status with an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            delay: Duration::ZERO,
            manner: Manner::Whole,
        }
    }

    /// 200.
    #[must_use]
    pub fn ok() -> Self {
        Self::status(200)
    }

    /// A redirect (3xx) to a URL.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// Reads the request and never answers.
    #[must_use]
    pub fn hang() -> Self {
        Self::ok().manner(Manner::Hang)
    }

    /// Closes the connection without an answer.
    #[must_use]
    pub fn close() -> Self {
        Self::ok().manner(Manner::Close)
    }

    /// Resets the connection without an answer.
    #[must_use]
    pub fn reset() -> Self {
        Self::ok().manner(Manner::Reset)
    }

    /// Answers with this status and a body that never ends.
    #[must_use]
    pub fn endless(status: u16) -> Self {
        Self::status(status).manner(Manner::Endless)
    }

    /// With a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With `Retry-After`: seconds, a date, or nonsense.
    #[must_use]
    pub fn retry_after(self, value: &str) -> Self {
        self.header("Retry-After", value)
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Only after this time.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// One byte of head and body at a time, with this pause between (slow-loris).
    #[must_use]
    pub fn dripping(self, pause: Duration) -> Self {
        self.manner(Manner::Drip(pause))
    }

    /// Resets the connection in the middle of the body. Needs a body of two bytes.
    #[must_use]
    pub fn cut_off(self) -> Self {
        self.manner(Manner::CutOff)
    }

    fn manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    /// The head as bytes; an endless body is sent in chunks.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.manner == Manner::Endless {
            head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        } else if matches!(self.status, 100..=199 | 204 | 304) {
            // These never have a body.
            head.push_str("\r\n");
        } else {
            head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        }
        head.into_bytes()
    }
}
