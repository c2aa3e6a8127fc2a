//! How the story looks on the terminal, and how it waits. It knows nothing of what is told.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::receiver::{Event, Recorded, Signature};
use patrol_e2e::{Error, Progress, Result, wait_until};

/// Deadline of everything that should take seconds.
const SOON: Duration = Duration::from_secs(90);
/// Columns of a paragraph.
const WIDTH: usize = 96;

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const RED: &str = "31";
const CYAN: &str = "36";

/// Tells chapter by chapter on standard output.
pub(super) struct Teller {
    colour: bool,
    stop: Arc<AtomicBool>,
    began: Instant,
    chapter: Cell<usize>,
    title: RefCell<String>,
}

impl Teller {
    /// A teller that ends at the next wait once `stop` is set.
    pub fn new(stop: Arc<AtomicBool>) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: std::io::stdout().is_terminal() && !plain,
            stop,
            began: Instant::now(),
            chapter: Cell::new(0),
            title: RefCell::default(),
        }
    }

    /// Begins a chapter: its heading and what it is about.
    pub fn chapter(&self, title: &str, text: &str) -> Result<()> {
        self.check()?;
        self.chapter.set(self.chapter.get() + 1);
        title.clone_into(&mut self.title.borrow_mut());
        let heading = format!("{}. {title}", self.chapter.get());
        let seconds = format!("({}s)", self.began.elapsed().as_secs());
        self.line(&format!(
            "\n{} {}",
            self.paint(BOLD, &heading),
            self.paint(DIM, &seconds)
        ))?;
        self.line(&wrap(text, "   "))
    }

    /// A remark within a chapter.
    pub fn remark(&self, text: &str) -> Result<()> {
        self.line(&wrap(text, "   "))
    }

    /// Runs the real kubectl as an administrator, and shows the command with its output.
    pub fn kubectl(&self, plane: &ControlPlane, args: &[&str]) -> Result<String> {
        self.check()?;
        let words: Vec<String> = args.iter().map(|word| quote(word)).collect();
        let command = format!("$ kubectl {}", words.join(" "));
        self.line(&format!("     {}", self.paint(CYAN, &command)))?;
        let output = plane.kubectl(ADMIN, args);
        // An interrupt ends kubectl too: then that is the reason.
        self.check()?;
        let text = self.told(output.and_then(patrol_e2e::Output::success))?;
        for line in text.lines() {
            self.line(&format!("     {line}"))?;
        }
        Ok(text)
    }

    /// Waits for something, at most a minute and a half.
    pub fn wait<T, P: Progress<T>>(&self, what: &str, mut probe: impl FnMut() -> P) -> Result<T> {
        let seen = wait_until(SOON, what, || {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            probe().seen().map(Some)
        });
        self.told(seen.and_then(|value| value.ok_or_else(interrupted)))
    }

    /// Shows what a receiver was sent, one line for each ticket in it.
    pub fn notice(&self, request: &Recorded, now: &[&Event]) -> Result<()> {
        let signature = match &request.signature {
            Signature::Valid(_) => "signature valid",
            other => {
                let text = format!("a notice is not signed as it must be: {other:?}");
                return self.told(Err(Error::failed(text)));
            }
        };
        let head = format!(
            "> {} {}  {} bytes, {signature}",
            request.method,
            request.path,
            request.body.len()
        );
        self.line(&format!("     {}", self.paint(CYAN, &head)))?;
        for event in now {
            let colour = if event.state == "Firing" { RED } else { GREEN };
            let namespace = event.subject.namespace.as_deref();
            let place = namespace.map(|n| format!("{n}/")).unwrap_or_default();
            let resolution = event.resolution.as_deref();
            self.line(&format!(
                "     {}  {:<8}  {:<19}  {place}{}/{}{}",
                self.paint(colour, &format!("{:<6}", event.state)),
                event.severity,
                event.check,
                event.subject.kind,
                event.subject.name,
                resolution.map(|r| format!(": {r}")).unwrap_or_default()
            ))?;
        }
        Ok(())
    }

    /// The last words.
    pub fn end(&self, text: &str) -> Result<()> {
        let seconds = self.began.elapsed().as_secs();
        let text = format!("{text} ({seconds}s)");
        self.line(&format!("\n{}", self.paint(GREEN, &text)))
    }

    /// Names the chapter in a failure.
    pub fn told<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match error {
            Error::Failed(text) => Error::failed(format!(
                "chapter {}, {}: {text}",
                self.chapter.get(),
                self.title.borrow()
            )),
            other => other,
        })
    }

    fn check(&self) -> Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(interrupted()),
            false => Ok(()),
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        match self.colour {
            true => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    fn line(&self, text: &str) -> Result<()> {
        let said = writeln!(std::io::stdout(), "{text}");
        said.map_err(|error| Error::failed(format!("standard output: {error}")))
    }
}

fn interrupted() -> Error {
    Error::failed("interrupted")
}

/// A word as a shell needs it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,".contains(c);
    match word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{word}'"),
    }
}

fn wrap(text: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines
            .last()
            .is_some_and(|line| !line.is_empty() && line.len() + 1 + word.len() > WIDTH);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            let gap = if line.is_empty() { indent } else { " " };
            line.push_str(gap);
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_wrapped_and_indented() {
        let text = wrap(&"word ".repeat(40), "   ");
        assert!(text.lines().count() > 1, "{text}");
        assert!(text.lines().all(|l| l.starts_with("   word")), "{text}");
        assert!(text.lines().all(|l| l.len() <= WIDTH), "{text}");
    }

    #[test]
    fn words_with_blanks_or_braces_are_quoted() {
        assert_eq!(
            quote("--for=condition=Resolved"),
            "--for=condition=Resolved"
        );
        assert_eq!(quote(r#"{"a": 1}"#), r#"'{"a": 1}'"#);
    }

    #[test]
    fn a_wait_ends_when_the_story_is_interrupted_and_names_its_chapter() {
        let teller = Teller::new(Arc::new(AtomicBool::new(true)));
        let error = teller.wait("the end", || None::<()>).unwrap_err();
        assert_eq!(error.to_string(), "chapter 0, : interrupted");
    }
}
