//! A small blocking client of the API server for the harness itself: readiness, raw
//! requests, load. It checks the server's certificate against the run's own authority
//! and keeps its connection alive.
//!
//! It never retries and never interprets a reply: what the server said is the test's
//! business.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::http::{Response, read_response};
use crate::{Context, Result};

/// The longest silence of the server that is waited for.
const TIMEOUT: Duration = Duration::from_secs(60);

type Connection = BufReader<StreamOwned<ClientConnection, TcpStream>>;

/// One identity's connection to the API server. Not shared between threads: each
/// thread has its own.
pub struct ApiClient {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    token: String,
    connection: Option<Connection>,
}

impl ApiClient {
    /// A client that trusts only the certificates in `authority` (PEM).
    ///
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub(crate) fn new(address: SocketAddr, authority: &Path, token: &str) -> Result<Self> {
        let what = format!("{}: cannot use it as authority", authority.display());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority).context(&what)? {
            roots.add(certificate.context(&what)?).context(&what)?;
        }
        // The provider is named here: a process-wide default is the caller's to install.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context(&what)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            address,
            tls: Arc::new(tls),
            token: token.to_owned(),
            connection: None,
        })
    }

    /// One request. `path` begins with a slash and may have a query; a body is sent as
    /// JSON, with `PATCH` as a merge patch.
    ///
    /// # Errors
    /// The connection fails. Every status, also 403 or 500, is a reply and no error.
    pub fn request(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Response> {
        let content_type = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let bytes = body.map(Value::to_string).unwrap_or_default();
        self.request_as(method, path, content_type, bytes.as_bytes())
    }

    /// One request with any body.
    ///
    /// # Errors
    /// The connection fails.
    pub fn request_as(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Response> {
        let what = format!("{method} https://{}{path}", self.address);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().context(&what)?,
        };
        let mut message = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Accept: application/json\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            self.token,
            body.len()
        )
        .into_bytes();
        message.extend_from_slice(body);
        let stream = connection.get_mut();
        stream.write_all(&message).context(&what)?;
        stream.flush().context(&what)?;

        let reply = read_response(&mut connection).context(&what)?;
        if !reply.headers.closes() {
            self.connection = Some(connection);
        }
        Ok(reply)
    }

    fn connect(&self) -> Result<Connection> {
        let what = "cannot connect";
        let tcp = TcpStream::connect_timeout(&self.address, TIMEOUT).context(what)?;
        tcp.set_read_timeout(Some(TIMEOUT)).context(what)?;
        tcp.set_write_timeout(Some(TIMEOUT)).context(what)?;
        tcp.set_nodelay(true).context(what)?;
        let name = ServerName::from(self.address.ip());
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).context(what)?;
        Ok(BufReader::new(StreamOwned::new(tls, tcp)))
    }
}
