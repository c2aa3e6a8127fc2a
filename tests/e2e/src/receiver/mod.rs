//! A webhook receiver on a loopback socket that does what a test tells it to, and
//! remembers every request.
//!
//! Plain threads and sockets: what it does on the wire is exactly what is written here,
//! no HTTP library mends it. It never answers anything but its script.

mod record;
mod script;
mod serve;
mod signature;
mod state;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use record::{Event, Notice, NoticeData, Part, Recorded, Subject, TicketName};
pub use script::Reply;
pub use signature::Signature;

use crate::ports::{HeldPort, stop_listening};
use crate::{Context, Error, Result};
use signature::Secret;
use state::{Shared, State};

/// A running receiver; closed when dropped. All methods take `&self`.
pub struct Receiver {
    shared: Arc<Shared>,
    /// The accepting thread while it is up.
    acceptor: Mutex<Option<JoinHandle<()>>>,
    port: HeldPort,
}

impl Receiver {
    /// Listens, and answers every request with 200.
    ///
    /// # Errors
    /// There is no port.
    pub fn start() -> Result<Self> {
        let receiver = Self {
            shared: Arc::new(Shared::new()),
            acceptor: Mutex::new(None),
            port: HeldPort::take()?,
        };
        receiver.up()?;
        Ok(receiver)
    }

    /// `http://127.0.0.1:PORT` with a path, that begins with a slash, or nothing.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The address, the same for its whole life.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Verifies requests with these secrets (`whsec_...`) from now on.
    ///
    /// # Errors
    /// One of them is not in that form.
    pub fn verify_with(&self, secrets: &[&str]) -> Result<()> {
        let secrets: Result<Vec<_>> = secrets.iter().map(|text| Secret::parse(text)).collect();
        self.shared.lock().secrets = secrets?;
        Ok(())
    }

    /// Answers all requests like this, save those the rest of the script decides.
    pub fn script(&self, reply: Reply) {
        self.shared.lock().otherwise = reply;
    }

    /// Answers the next requests like these, each once, after those queued earlier.
    pub fn script_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.lock().next.extend(replies);
    }

    /// Lets a function choose; where it returns `None` the rest of the script decides.
    /// It runs while the receiver stands still and must not call it.
    pub fn script_with(&self, choose: impl FnMut(&Recorded) -> Option<Reply> + Send + 'static) {
        self.shared.lock().chooser = Some(Box::new(choose));
    }

    /// Accepts new connections but never reads from them, or reads again.
    pub fn read_requests(&self, reads: bool) {
        self.shared.lock().reads = reads;
    }

    /// Goes down as a killed process does: open connections break, new ones are
    /// refused. Nothing happens if it is down.
    pub fn down(&self) {
        let acceptor = self.acceptor().take();
        self.shared.end_era();
        if let Some(acceptor) = acceptor {
            // Wakes the thread that waits for a connection.
            let _ = TcpStream::connect(self.address());
            // It cannot panic, and there would be nothing to do about it.
            let _ = acceptor.join();
        }
    }

    /// Comes up again at the same address. Nothing happens if it is up.
    ///
    /// # Errors
    /// It cannot listen.
    pub fn up(&self) -> Result<()> {
        let mut acceptor = self.acceptor();
        if acceptor.is_none() {
            let listener = self.port.listen()?;
            let shared = Arc::clone(&self.shared);
            let era = shared.lock().era;
            *acceptor = Some(std::thread::spawn(move || accept(&shared, listener, era)));
        }
        Ok(())
    }

    /// Every request so far, in the order they came.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.lock().requests.clone()
    }

    /// Forgets the requests so far. Not while one is being answered.
    pub fn forget(&self) {
        self.shared.lock().requests.clear();
    }

    /// The notice in every request so far, repeated attempts too.
    ///
    /// # Errors
    /// A request is no notice.
    pub fn notices(&self) -> Result<Vec<Notice>> {
        self.requests().iter().map(Recorded::notice).collect()
    }

    /// What all notices so far tell of tickets, repeated attempts too.
    ///
    /// # Errors
    /// A request is no notice.
    pub fn events(&self) -> Result<Vec<Event>> {
        let notices = self.notices()?;
        Ok(notices.into_iter().flat_map(|n| n.data.tickets).collect())
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> usize {
        self.shared.open()
    }

    /// How many connections were open at most, at one time.
    pub fn peak_connections(&self) -> usize {
        self.shared.lock().peak
    }

    /// How many connections there were in all.
    pub fn connections(&self) -> u64 {
        self.shared.lock().connections
    }

    /// Waits until the requests so far have what `value` looks for.
    ///
    /// # Errors
    /// `<what>: not within <deadline>`, with what came instead.
    pub fn wait_for<T>(
        &self,
        within: Duration,
        what: &str,
        mut value: impl FnMut(&[Recorded]) -> Option<T>,
    ) -> Result<T> {
        self.shared
            .wait(within, |state| value(&state.requests))
            .ok_or_else(|| self.missed(within, what))
    }

    /// Waits for an event that was accepted (2xx) and is looked for.
    ///
    /// # Errors
    /// As [`Receiver::wait_for`], or a request is no notice.
    pub fn wait_for_event(
        &self,
        within: Duration,
        what: &str,
        mut wanted: impl FnMut(&Event) -> bool,
    ) -> Result<Event> {
        let found = self.wait_for(within, what, |requests| {
            requests
                .iter()
                .filter(|r| r.accepted())
                .find_map(|request| match request.notice() {
                    Ok(notice) => notice.data.tickets.into_iter().find(&mut wanted).map(Ok),
                    Err(error) => Some(Err(error)),
                })
        })?;
        found.context(what)
    }

    /// Waits until no connection is open.
    ///
    /// # Errors
    /// One still is at the deadline.
    pub fn wait_for_no_connection(&self, within: Duration) -> Result<()> {
        self.shared
            .wait(within, |state: &State| state.is_idle().then_some(()))
            .ok_or_else(|| self.missed(within, "all connections closed"))
    }

    fn missed(&self, within: Duration, what: &str) -> Error {
        let requests = self.requests();
        let last: Vec<String> = requests
            .iter()
            .rev()
            .take(5)
            .map(|r| {
                let body: String = String::from_utf8_lossy(&r.body).chars().take(300).collect();
                format!(
                    "{} {} {} -> {:?}: {body}",
                    r.method,
                    r.path,
                    r.webhook_id(),
                    r.replied
                )
            })
            .collect();
        Error::failed(format!(
            "{what}: not within {within:?}: {} requests on {} connections, {} open; the last:\n{}",
            requests.len(),
            self.connections(),
            self.open_connections(),
            last.join("\n")
        ))
    }

    fn acceptor(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.down();
    }
}

/// Accepts until the era ends; each connection has a thread.
fn accept(shared: &Arc<Shared>, listener: TcpListener, era: u64) {
    while let Ok((stream, _)) = listener.accept() {
        let Some(number) = shared.admit(&stream, era) else {
            break;
        };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || serve::serve(&shared, stream, number, era));
    }
    stop_listening(listener);
}
