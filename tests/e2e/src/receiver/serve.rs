//! One connection of a scripted receiver: read, record, answer as scripted.
//!
//! Every wait in here ends when the receiver goes down, so that no thread is left.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;

use super::record::Recorded;
use super::script::{Manner, Reply};
use super::signature;
use super::state::Shared;
use crate::http::{read_body, read_head};

/// How often a hanging connection looks whether the sender has closed.
const LOOK: Duration = Duration::from_millis(50);

/// A chunk of an endless body: 16 KiB of spaces, legal before any JSON.
const ENDLESS_CHUNK: usize = 16 * 1024;

/// Serves a connection until either side closes it.
pub(super) fn serve(shared: &Arc<Shared>, stream: TcpStream, number: u64, era: u64) {
    // An error of the connection is its end; what came before is recorded.
    let _ = converse(shared, &stream, number, era);
    // Before the clone that the state holds is gone a reset would not be sent.
    shared.forget(number);
    drop(stream);
}

fn converse(shared: &Arc<Shared>, stream: &TcpStream, number: u64, era: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if !shared.reads() {
        return wait_for_close(shared, stream, era, false);
    }
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(head) = read_head(&mut reader)? {
        let body = read_body(&mut reader, &head.headers, false)?;
        let mut words = head.start.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let now = SystemTime::now();
        let recorded = Recorded {
            at: now,
            instant: Instant::now(),
            connection: number,
            peer: stream.peer_addr().ok(),
            method: word(),
            path: word(),
            signature: signature::verify(&shared.secrets(), &head.headers, &body, now),
            headers: head.headers,
            body,
            replied: None,
            sent: 0,
        };
        let closes = recorded.headers.closes();
        let (index, reply) = shared.record(recorded);
        if !answer(shared, stream, era, index, &reply)? || closes {
            break;
        }
    }
    Ok(())
}

/// Gives one answer; says whether the connection goes on.
fn answer(
    shared: &Arc<Shared>,
    mut stream: &TcpStream,
    era: u64,
    index: usize,
    reply: &Reply,
) -> io::Result<bool> {
    if !reply.delay.is_zero() && !shared.rest(reply.delay, era) {
        return Ok(false);
    }
    match reply.manner {
        Manner::Whole => {
            stream.write_all(&[reply.head(), reply.body.clone()].concat())?;
            shared.replied(index, reply.status);
            return Ok(true);
        }
        Manner::Drip(pause) => {
            for byte in [reply.head(), reply.body.clone()].concat() {
                stream.write_all(&[byte])?;
                if !shared.rest(pause, era) {
                    return Ok(false);
                }
            }
            shared.replied(index, reply.status);
            return Ok(true);
        }
        Manner::Hang => wait_for_close(shared, stream, era, true)?,
        Manner::Endless => {
            stream.write_all(&reply.head())?;
            let chunk = format!("{ENDLESS_CHUNK:x}\r\n{}\r\n", " ".repeat(ENDLESS_CHUNK));
            while shared.is_era(era) {
                let written = stream.write(chunk.as_bytes())?;
                shared.sent(index, written);
                // The rest of a chunk that went out in part.
                if let Some(rest) = chunk.as_bytes().get(written..) {
                    stream.write_all(rest)?;
                    shared.sent(index, rest.len());
                }
            }
        }
        Manner::Close => {}
        Manner::Reset => reset_on_close(stream)?,
        Manner::CutOff => {
            stream.write_all(&reply.head())?;
            let half = reply.body.get(..reply.body.len() / 2).unwrap_or_default();
            stream.write_all(half)?;
            reset_on_close(stream)?;
        }
    }
    Ok(false)
}

/// Makes the coming close a reset: the peer sees an error, not an end.
fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    Ok(set_socket_linger(stream, Some(Duration::ZERO))?)
}

/// Holds a connection until the sender closes it or the receiver goes down. Unless it
/// `reads`, what the sender sends is left where it is, as a stuck server does.
fn wait_for_close(
    shared: &Shared,
    mut stream: &TcpStream,
    era: u64,
    reads: bool,
) -> io::Result<()> {
    stream.set_read_timeout(Some(LOOK))?;
    let mut buffer = [0; 1024];
    while shared.is_era(era) {
        if !reads {
            if hung_up(stream)? {
                break;
            }
            continue;
        }
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the sender has closed, seen without reading: bytes that nobody reads hide
/// the end behind them. Looks for [`LOOK`].
fn hung_up(stream: &TcpStream) -> io::Result<bool> {
    let wanted = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    let mut polled = [PollFd::new(stream, wanted)];
    let look = Timespec::try_from(LOOK).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(poll(&mut polled, Some(&look))? > 0)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
