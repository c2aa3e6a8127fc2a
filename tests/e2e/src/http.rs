//! The little HTTP/1.1 that both ends of the harness need, on blocking streams: heads
//! and bodies, with limits. It never retries and never interprets what it reads.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::{Context, Error, Result};

/// Longest head, bytes.
const HEAD_LIMIT: u64 = 64 * 1024;

/// Longest body, bytes.
const BODY_LIMIT: u64 = 256 * 1024 * 1024;

/// A start line with its header fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) headers: Headers,
}

/// Header fields in the order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub(crate) Vec<(String, String)>);

impl Headers {
    /// The first value of a field; names are compared without case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All fields, names as they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether the peer closes the connection after this message.
    pub(crate) fn closes(&self) -> bool {
        self.get("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The header fields.
    pub headers: Headers,
    /// The body, bytes as sent.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .context(format_args!("reply {} is not JSON", self.status))
    }

    /// The JSON of a reply that must be a success (2xx).
    ///
    /// # Errors
    /// The server refused, with its words.
    pub fn success(&self) -> Result<Value> {
        if (200..300).contains(&self.status) {
            return self.json();
        }
        Err(Error::failed(format!(
            "the server answered {}: {}",
            self.status,
            self.text()
        )))
    }
}

/// Fetches a path without TLS, such as the operator's metrics and probes.
///
/// # Errors
/// Nobody answers. Every status is a reply and no error.
pub fn get(address: SocketAddr, path: &str) -> Result<Response> {
    exchange(address, "GET", path, "")
}

/// Posts JSON to a path without TLS.
///
/// # Errors
/// As [`get`].
pub fn post(address: SocketAddr, path: &str, body: &Value) -> Result<Response> {
    exchange(address, "POST", path, &body.to_string())
}

fn exchange(address: SocketAddr, method: &str, path: &str, body: &str) -> Result<Response> {
    let what = format!("{method} http://{address}{path}");
    let timeout = Duration::from_secs(10);
    let mut stream = TcpStream::connect_timeout(&address, timeout).context(&what)?;
    stream.set_read_timeout(Some(timeout)).context(&what)?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).context(&what)?;
    read_response(&mut BufReader::new(stream)).context(&what)
}

/// Reads a whole reply.
pub(crate) fn read_response(stream: &mut impl BufRead) -> io::Result<Response> {
    let head = read_head(stream)?.ok_or_else(|| {
        let what = "the server closed the connection without a reply";
        io::Error::new(io::ErrorKind::UnexpectedEof, what)
    })?;
    let status = head.start.split(' ').nth(1).unwrap_or_default();
    let status: u16 = status
        .parse()
        .map_err(|_| invalid(format!("not HTTP: {}", head.start)))?;
    let body = match status {
        204 | 304 => Vec::new(),
        _ => read_body(stream, &head.headers, true)?,
    };
    Ok(Response {
        status,
        headers: head.headers,
        body,
    })
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Reads a head; `None` when the peer closed before the first byte.
pub(crate) fn read_head(stream: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut limited = stream.by_ref().take(HEAD_LIMIT);
    let mut head = Head::default();
    loop {
        let mut line = Vec::new();
        limited.read_until(b'\n', &mut line)?;
        if line.is_empty() && head.start.is_empty() {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line);
        let Some(line) = line.strip_suffix('\n') else {
            return Err(invalid("head: cut off or too long"));
        };
        let line = line.trim_end_matches('\r');
        if head.start.is_empty() {
            head.start = line.to_owned();
        } else if line.is_empty() {
            return Ok(Some(head));
        } else if let Some((name, value)) = line.split_once(':') {
            let field = (name.to_owned(), value.trim().to_owned());
            head.headers.0.push(field);
        } else {
            return Err(invalid(format!("head: not a header field: {line}")));
        }
    }
}

/// Reads the body that belongs to a head. A body without a stated length ends with the
/// connection in a response (`until_close`) and is empty in a request.
pub(crate) fn read_body(
    stream: &mut impl BufRead,
    headers: &Headers,
    until_close: bool,
) -> io::Result<Vec<u8>> {
    let chunked = headers
        .get("transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let mut body = Vec::new();
    if chunked {
        read_chunks(stream, &mut body)?;
    } else if let Some(length) = headers.get("content-length") {
        let length: u64 = length
            .parse()
            .map_err(|_| invalid(format!("content-length: {length}")))?;
        read_exactly(stream, length, &mut body)?;
    } else if until_close {
        stream.by_ref().take(BODY_LIMIT).read_to_end(&mut body)?;
    }
    Ok(body)
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(stream)?;
        let size = line.split(';').next().unwrap_or_default();
        let size =
            u64::from_str_radix(size.trim(), 16).map_err(|_| invalid(format!("chunk: {line}")))?;
        if size == 0 {
            // Trailers up to the empty line.
            while !read_line(stream)?.is_empty() {}
            return Ok(());
        }
        read_exactly(stream, size, body)?;
        read_line(stream)?;
    }
}

fn read_exactly(stream: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let before = u64::try_from(body.len()).unwrap_or(u64::MAX);
    if before.saturating_add(length) > BODY_LIMIT {
        return Err(invalid("body: too long"));
    }
    let read = stream.by_ref().take(length).read_to_end(body)?;
    if u64::try_from(read).is_ok_and(|read| read == length) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("body: cut off after {read} of {length} bytes"),
    ))
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream
        .by_ref()
        .take(HEAD_LIMIT)
        .read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    line.strip_suffix('\n')
        .map(|line| line.trim_end_matches('\r').to_owned())
        .ok_or_else(|| invalid("line: cut off or too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(mut text: &[u8], until_close: bool) -> io::Result<(Head, Vec<u8>)> {
        let head = read_head(&mut text)?.unwrap();
        let body = read_body(&mut text, &head.headers, until_close)?;
        Ok((head, body))
    }

    #[test]
    fn reads_every_kind_of_body() {
        let length = parse(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nabc", false).unwrap();
        assert_eq!(length.1, b"ab");
        let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        assert_eq!(parse(chunks, true).unwrap().1, b"abc");
        let close = parse(b"HTTP/1.1 200 OK\r\n\r\nrest", true).unwrap();
        assert_eq!(close.1, b"rest");
        assert_eq!(parse(b"GET / HTTP/1.1\r\n\r\n", false).unwrap().1, b"");
    }

    #[test]
    fn a_cut_off_message_is_an_error_not_a_short_message() {
        parse(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc", false).unwrap_err();
        parse(b"POST / HTTP/1.1\r\nContent-Le", false).unwrap_err();
        assert_eq!(read_head(&mut &b""[..]).unwrap(), None);
    }
}
