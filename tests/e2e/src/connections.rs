//! Which process a connection on this machine belongs to, as the kernel knows it.

use std::net::{IpAddr, SocketAddr};

use crate::{Context, Result};

/// Whether a process has a TCP connection (IPv4) whose own end is `address`, now.
///
/// # Errors
/// The kernel's tables cannot be read.
pub fn has_end(process: u32, address: SocketAddr) -> Result<bool> {
    let IpAddr::V4(ip) = address.ip() else {
        return Ok(false);
    };
    // As the kernel prints it: the address in its own byte order.
    let own = format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes(ip.octets()),
        address.port()
    );
    let table = "/proc/net/tcp";
    let table = std::fs::read_to_string(table).context(table)?;
    let inodes: Vec<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(1).is_some_and(|local| *local == own))
        .filter_map(|fields| Some(format!("socket:[{}]", fields.get(9)?)))
        .collect();
    let folder = format!("/proc/{process}/fd");
    for entry in std::fs::read_dir(&folder).context(&folder)? {
        // A descriptor may be closed while we look.
        let Ok(target) = std::fs::read_link(entry.context(&folder)?.path()) else {
            continue;
        };
        if inodes
            .iter()
            .any(|inode| target.as_os_str() == inode.as_str())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_is_its_own_process_s_and_no_other_s() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let end = stream.local_addr().unwrap();
        assert!(has_end(std::process::id(), end).unwrap());
        drop(stream);
        drop(listener);
        assert!(!has_end(std::process::id(), end).unwrap());
        has_end(u32::MAX, end).unwrap_err();
    }
}
