//! Lines on their way to stderr, written by a thread of their own: whoever logs never waits
//! for a terminal or pipe that takes nothing. Lines that do not fit are counted, not kept.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Lines that wait to be written.
const LINES: usize = 4096;

/// The way to the writing thread. Clones share it.
#[derive(Clone)]
pub struct Pipe {
    lines: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

enum Message {
    Line(Vec<u8>),
    /// Says when everything before it is written.
    Flush(SyncSender<()>),
}

impl Pipe {
    /// Starts the thread, which writes to `out` until the process ends.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        let (lines, received) = sync_channel(LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        // It ends with the process: nobody waits for a thread that may be stuck in a write.
        drop(std::thread::spawn(move || work(out, &received, &counted)));
        Self { lines, dropped }
    }

    /// Waits until what was logged is written, for at most `patience`.
    pub fn flush(&self, patience: Duration) {
        let (done, wait) = sync_channel(1);
        if self.lines.try_send(Message::Flush(done)).is_ok() {
            // Out of patience: the rest is lost, as it would be for a reader that went away.
            let _ = wait.recv_timeout(patience);
        }
    }
}

impl Write for Pipe {
    /// Takes a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let sent = self.lines.try_send(Message::Line(line.to_vec()));
        if let Err(TrySendError::Full(_)) = sent {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn work(mut out: impl Write, lines: &Receiver<Message>, dropped: &AtomicU64) {
    while let Ok(message) = lines.recv() {
        match message {
            Message::Line(line) => {
                // Nobody can be told that nobody can be told.
                let _ = out.write_all(&line);
            }
            Message::Flush(done) => {
                let _ = out.flush();
                let _ = done.send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let line = format!("{lost} log lines were dropped: stderr was not read\n");
            let _ = out.write_all(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// Takes nothing until it is told to.
    struct Stuck(Receiver<()>, Sender<Vec<u8>>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // After the sender is gone everything is taken.
            let _ = self.0.recv();
            let _ = self.1.send(line.to_vec());
            Ok(line.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_takes_nothing_holds_up_nobody_and_lost_lines_are_counted() {
        let (release, held) = channel();
        let (taken, seen) = channel();
        let mut pipe = Pipe::new(Stuck(held, taken));
        for _ in 0..LINES + 10 {
            pipe.write_all(b"line\n").unwrap();
        }
        pipe.flush(Duration::from_millis(1));
        drop(release);
        let deadline = Duration::from_secs(20);
        let mut lines = 0;
        let counted = loop {
            let line = String::from_utf8(seen.recv_timeout(deadline).unwrap()).unwrap();
            if line != "line\n" {
                break line;
            }
            lines += 1;
        };
        assert!(lines >= 1, "{lines}");
        // One line may be on its way while the queue is full.
        let known = ["9 log lines", "10 log lines"];
        assert!(known.iter().any(|k| counted.starts_with(k)), "{counted}");
    }
}
