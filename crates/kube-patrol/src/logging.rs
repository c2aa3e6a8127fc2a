//! Logs: one line per change of state, on stderr; text on a terminal, JSON elsewhere.
//! Dependencies are quiet, because some log whole bodies when they cannot parse them.

mod pipe;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use clap::ValueEnum;
use pipe::Pipe;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub enum LogLevel {
    /// What someone must look at.
    Error,
    /// What went wrong and is tried again.
    Warn,
    /// Changes of state.
    #[default]
    Info,
    /// Every attempt.
    Debug,
}

impl LogLevel {
    const fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }
}

/// Starts logging. Without a format, the terminal decides. `audit` adds a line for every
/// transition of a ticket.
pub fn init(format: Option<LogFormat>, level: LogLevel, audit: bool) {
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    // Only our own targets: kube and hyper would print bodies and headers.
    let ours = Targets::new()
        .with_default(LevelFilter::OFF)
        .with_target("kube_patrol", level.filter())
        .with_target("patrol_core", level.filter())
        .with_target("patrol_kube", level.filter())
        .with_target("patrol_notify", level.filter())
        .with_target(
            "audit",
            if audit {
                LevelFilter::INFO
            } else {
                LevelFilter::OFF
            },
        );
    let pipe = || PIPE.get_or_init(|| Pipe::new(std::io::stderr())).clone();
    let registry = tracing_subscriber::registry().with(ours);
    let started = match format {
        LogFormat::Json => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(pipe),
            )
            .try_init(),
        LogFormat::Text => {
            let colour = terminal && std::env::var_os("NO_COLOR").is_none();
            registry
                .with(
                    tracing_subscriber::fmt::layer()
                        .with_ansi(colour)
                        .with_target(false)
                        .with_writer(pipe),
                )
                .try_init()
        }
    };
    // Already started: the first one stays.
    drop(started);
}

/// Lets the lines that were logged be written. Whoever does not read them waits no longer
/// than a second.
pub fn flush() {
    if let Some(pipe) = PIPE.get() {
        pipe.flush(Duration::from_secs(1));
    }
}

static PIPE: OnceLock<Pipe> = OnceLock::new();

/// Logs an announcement: the line that says what an event object says.
pub fn announcement(announcement: &patrol_core::effect::Announcement) {
    let about = format!("{} {}", announcement.about.kind, announcement.about.key);
    if announcement.warning {
        tracing::warn!(target: "audit", object = about, reason = announcement.reason, "{}", announcement.note);
    } else {
        tracing::info!(target: "audit", object = about, reason = announcement.reason, "{}", announcement.note);
    }
}
