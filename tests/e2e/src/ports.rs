//! Loopback ports that stay ours.
//!
//! Taking a port from the kernel and giving it back before the server binds it is a
//! race that parallel tests lose. Here a socket stays bound to the port for the whole
//! run, without listening: servers that allow sharing (`SO_REUSEPORT`) bind beside it,
//! nobody else can, and a connection is refused whenever no server listens.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::OwnedFd;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    AddressFamily, Shutdown, SocketType, bind, getsockname, listen, shutdown, socket, sockopt,
};

use crate::{Context, Error, Result};

/// A port on 127.0.0.1, held until this value is dropped.
#[derive(Debug)]
pub struct HeldPort {
    address: SocketAddrV4,
    _socket: OwnedFd,
}

impl HeldPort {
    /// Takes a free port from the kernel.
    pub fn take() -> Result<Self> {
        let socket = shared_socket(0)?;
        let name = getsockname(&socket).context("loopback port: cannot read its number")?;
        match SocketAddr::try_from(name).context("loopback port: unexpected address")? {
            SocketAddr::V4(address) => Ok(Self {
                address,
                _socket: socket,
            }),
            SocketAddr::V6(address) => Err(Error::failed(format!(
                "loopback port: asked for IPv4, got {address}"
            ))),
        }
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.address.port()
    }

    /// The address, `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::V4(self.address)
    }

    /// Listens on the port in this process. May be called again after the listener is
    /// closed.
    pub fn listen(&self) -> Result<TcpListener> {
        let socket = shared_socket(self.number())?;
        listen(&socket, 128).context(format_args!("{}: cannot listen", self.address))?;
        Ok(TcpListener::from(socket))
    }
}

/// Ends listening, also where a process that is just being started still has a copy of the socket: between its fork and its
/// exec nothing of ours is closed there yet, and until then a closed listener would go on taking connections.
pub fn stop_listening(listener: TcpListener) {
    // It fails where nothing listens any more, which is what is wanted.
    let _ = shutdown(&listener, Shutdown::Both);
    drop(listener);
}

fn shared_socket(port: u16) -> Result<OwnedFd> {
    let what = "loopback port: cannot take it";
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).context(what)?;
    // A child that inherited the socket would hold the port after us.
    fcntl_setfd(&socket, FdFlags::CLOEXEC).context(what)?;
    // Not SO_REUSEADDR: with it everybody who sets it too could take the port.
    sockopt::set_socket_reuseport(&socket, true).context(what)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).context(what)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_held_port_refuses_until_someone_listens_and_again_afterwards() {
        let port = HeldPort::take().unwrap();
        TcpStream::connect(port.address()).unwrap_err();
        let listener = port.listen().unwrap();
        TcpStream::connect(port.address()).unwrap();
        drop(listener);
        TcpStream::connect(port.address()).unwrap_err();
        port.listen().unwrap();
    }

    #[test]
    fn a_port_refuses_while_other_threads_start_programs() {
        let stop = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let status = Command::new("true").status().unwrap();
                    assert!(status.success());
                }
            });
            let port = HeldPort::take().unwrap();
            let taken = (0..2000).find(|_| {
                let listener = port.listen().unwrap();
                stop_listening(listener);
                TcpStream::connect(port.address()).is_ok()
            });
            stop.store(true, Ordering::Relaxed);
            assert_eq!(taken, None, "a connection was taken");
        });
    }

    #[test]
    fn nobody_else_gets_a_held_port() {
        let port = HeldPort::take().unwrap();
        TcpListener::bind(port.address()).unwrap_err();
    }
}
