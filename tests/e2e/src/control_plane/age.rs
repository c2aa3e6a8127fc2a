//! Making a stored object older than it is. The API server stamps every object with the
//! time of its creation and lets nobody change it: this goes past it, straight into etcd.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::{Builder, ControlPlane};
use crate::http::read_response;
use crate::{Context, Error, Result};

const TIMEOUT: Duration = Duration::from_secs(30);

impl Builder {
    /// Stores objects as JSON, so that [`ControlPlane::set_creation_time`] can read them.
    #[must_use]
    pub fn json_storage(self) -> Self {
        self.api_server_flag("--storage-media-type=application/json")
    }
}

impl ControlPlane {
    /// Gives a stored object another time of creation. `key` is its place in the registry,
    /// such as `daemonsets/security/falco`; nobody else may write it meanwhile. Needs
    /// [`Builder::json_storage`].
    ///
    /// # Errors
    /// It is not there, or is not stored as JSON.
    pub fn set_creation_time(&self, key: &str, time: &str) -> Result<()> {
        let name = format!("/registry/{key}");
        let key = BASE64.encode(name.as_bytes());
        let found = self.etcd("/v3/kv/range", &json!({"key": key}))?;
        let stored = found.pointer("/kvs/0/value").and_then(Value::as_str);
        let stored = stored.ok_or_else(|| Error::failed(format!("{name}: not in etcd")))?;
        let stored = BASE64.decode(stored.as_bytes()).context(&name)?;
        let mut object: Value = serde_json::from_slice(&stored).context(&name)?;
        match object.pointer_mut("/metadata/creationTimestamp") {
            Some(field) => *field = json!(time),
            None => return Err(Error::failed(format!("{name}: no creationTimestamp"))),
        }
        let value = BASE64.encode(object.to_string().as_bytes());
        self.etcd("/v3/kv/put", &json!({"key": key, "value": value}))
            .map(drop)
    }

    /// One call of etcd's JSON gateway.
    fn etcd(&self, path: &str, body: &Value) -> Result<Value> {
        let address = self.layout.etcd;
        let what = format!("POST http://{address}{path}");
        let body = body.to_string();
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).context(&what)?;
        stream.set_read_timeout(Some(TIMEOUT)).context(&what)?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).context(&what)?;
        let reply = read_response(&mut BufReader::new(stream)).context(&what)?;
        reply.success().context(&what)
    }
}
