//! The body of a watch, cut into lines.
//!
//! Never holds more than one line and one chunk: a line beyond the cap is an error, not
//! a reason to grow.

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;

/// Why there is no further line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// A line is longer than the cap.
    TooLong,
    /// The connection broke, perhaps inside a line.
    Broken,
}

/// Lines of a body.
pub(super) struct Frames {
    body: Body,
    lines: Lines,
}

impl Frames {
    pub(super) fn new(body: Body, max: usize) -> Self {
        Self {
            body,
            lines: Lines::new(max),
        }
    }

    /// The next line without its end; `None` at a proper end of the body. May be dropped
    /// and called again without losing anything.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, FrameError>> {
        loop {
            match self.lines.take() {
                Ok(Some(line)) => return Some(Ok(line)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.lines.push(&data);
                    }
                }
                Some(Err(_)) => return Some(Err(FrameError::Broken)),
                None if self.lines.is_empty() => return None,
                None => return Some(Err(FrameError::Broken)),
            }
        }
    }
}

struct Lines {
    buffer: BytesMut,
    /// Bytes at the front that hold no line end.
    searched: usize,
    max: usize,
}

impl Lines {
    fn new(max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            max,
        }
    }

    fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    fn take(&mut self) -> Result<Option<Bytes>, FrameError> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(found) = unsearched.iter().position(|b| *b == b'\n') else {
                self.searched = self.buffer.len();
                return if self.searched > self.max {
                    Err(FrameError::TooLong)
                } else {
                    Ok(None)
                };
            };
            let end = self.searched + found;
            let line = self.buffer.split_to(end).freeze();
            self.buffer.advance(1);
            self.searched = 0;
            if line.len() > self.max {
                return Err(FrameError::TooLong);
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_lines() {
        let text = b"{\"a\":1}\n\n{\"b\":\"\xe6\x94\xaf\"}\r\n{}\n";
        for size in 1..=text.len() {
            let mut lines = Lines::new(64);
            let mut seen = Vec::new();
            for chunk in text.chunks(size) {
                lines.push(chunk);
                while let Some(line) = lines.take().unwrap() {
                    seen.push(line.trim_ascii().to_vec());
                }
            }
            assert!(lines.is_empty());
            assert_eq!(
                seen,
                [
                    b"{\"a\":1}".to_vec(),
                    b"{\"b\":\"\xe6\x94\xaf\"}".to_vec(),
                    b"{}".to_vec()
                ],
                "{size}"
            );
        }
    }

    #[test]
    fn a_line_beyond_the_cap_is_refused_whether_it_has_ended_or_not() {
        for ended in [true, false] {
            let mut lines = Lines::new(8);
            lines.push(b"12345678\n");
            lines.push(b"123456789");
            if ended {
                lines.push(b"\n");
            }
            assert_eq!(lines.take().unwrap().unwrap(), "12345678");
            assert_eq!(lines.take(), Err(FrameError::TooLong));
        }
    }
}
