//! The command line. Data goes to stdout, everything else to stderr; the exit codes are
//! the same everywhere: 0 clean, 1 findings, 2 could not run, 3 could not see everything.

mod catalogue;
mod doctor;
mod egress;
mod explain;
mod find;
mod lint;
mod local;
mod objects;
mod operator;
mod people;
mod plan;
mod report;
mod rules;
mod scan;
mod signals;
mod source;
mod test_receiver;
mod tickets;
pub mod ui;

use std::fmt;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

/// The command line.
#[derive(Parser)]
#[command(
    about = "Security-operations patrol for Kubernetes: find every gap, open a ticket for it,\nand alert until it is really gone",
    name = "kube-patrol",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Examples:
  kube-patrol local deploy/examples/local     patrol a folder: tickets and alerts, no cluster
  kube-patrol scan deploy/                    inspect manifests once, for CI
  kube-patrol checks describe sidecar-missing what a check looks for, why, and the fix

Exit codes: 0 clean, 1 findings, 2 could not run, 3 could not see everything."
)]
pub struct Cli {
    /// Language of texts for people: en or zh; what a check is called and how to fix it are there in both, all else is English
    #[arg(long, global = true, value_enum, hide_possible_values = true, default_value_t = Lang::En)]
    lang: Lang,
    #[command(subcommand)]
    command: Command,
}

/// Every metric of the operator, for the reference.
#[must_use]
pub fn described_metrics() -> Vec<crate::metrics::Described> {
    operator::described_metrics()
}

/// Languages. Texts that exist in English only stay English.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English
    En,
    /// Chinese
    Zh,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator in a cluster
    Operator(operator::Args),
    /// Run the same engine on folders of manifests
    Local(local::Args),
    /// Inspect manifests, or the cluster, once: no tickets, no state
    Scan(scan::Args),
    /// List tickets
    Tickets(tickets::Args),
    /// Say why a ticket is open, whose turn it is, who was told, and how to fix it
    Explain(explain::Args),
    /// Report tickets, waivers and coverage on one page
    Report(report::Args),
    /// Acknowledge tickets: you know, and reminders pause for a while
    Ack(people::AckArgs),
    /// Put tickets off for a while
    Snooze(people::SnoozeArgs),
    /// Say who works on a ticket
    Assign(people::AssignArgs),
    /// Ask for tickets' subjects to be inspected at once
    Recheck(people::RecheckArgs),
    /// Show what a policy would open and close, without writing
    Plan(plan::Args),
    /// Validate PatrolPolicy, AlertReceiver and Ticket files offline
    Lint(lint::Args),
    /// List or describe checks
    Checks(catalogue::ChecksArgs),
    /// List built-in baselines
    Baselines(catalogue::BaselinesArgs),
    /// Check whether kube-patrol works in this cluster
    Doctor(doctor::Args),
    /// Send one signed probe to a receiver and explain the answer
    TestReceiver(test_receiver::Args),
    /// Print the CustomResourceDefinitions
    #[command(after_help = "Examples:
  kube-patrol crds | kubectl apply --server-side -f -")]
    Crds,
    /// Print the version
    Version,
    /// Print shell completion
    #[command(after_help = "Examples:
  source <(kube-patrol completion bash)
  kube-patrol completion fish > ~/.config/fish/completions/kube-patrol.fish")]
    Completion {
        /// Shell
        shell: clap_complete::Shell,
    },
}

impl Lang {
    /// A check's title.
    fn title(self, check: &str, english: &str) -> String {
        let chinese = match self {
            Self::En => None,
            Self::Zh => patrol_checks::chinese::title(check),
        };
        chinese.unwrap_or(english).to_owned()
    }

    /// A remedy that a check names.
    fn remedy(self, check: &str, english: &str) -> String {
        let chinese = match self {
            Self::En => None,
            Self::Zh => patrol_checks::chinese::remedy(check, english),
        };
        chinese.map_or_else(|| english.to_owned(), |text| text.into_owned())
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing found.
    Clean,
    /// Findings, or an invalid object.
    Findings,
    /// Ran, but could not see everything.
    Incomplete,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Clean => Self::SUCCESS,
            Exit::Findings => Self::from(1),
            Exit::Incomplete => Self::from(3),
        }
    }
}

/// Why a command could not run: `<object>: <what is wrong>: <what to do>`. Exit code 2.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(format!("output: {error}"))
    }
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let done = match cli.command {
        Command::Operator(args) => operator::run(args),
        Command::Local(args) => local::run(args),
        Command::Scan(args) => scan::run(&args),
        Command::Tickets(args) => tickets::run(&args),
        Command::Explain(args) => explain::run(&args, cli.lang),
        Command::Report(args) => report::run(&args),
        Command::Ack(args) => people::ack(args),
        Command::Snooze(args) => people::snooze(args),
        Command::Assign(args) => people::assign(args),
        Command::Recheck(args) => people::recheck(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Lint(args) => lint::run(&args),
        Command::Checks(args) => catalogue::checks(&args, cli.lang),
        Command::Baselines(args) => catalogue::baselines(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::TestReceiver(args) => test_receiver::run(args),
        Command::Crds => catalogue::crds(),
        Command::Version => ui::print(&format!("kube-patrol {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Completion { shell } => completion(shell),
    };
    crate::logging::flush();
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("kube-patrol: {failure}");
            ExitCode::from(2)
        }
    }
}

/// Usage is said in the name the program was called by.
fn parse() -> Result<Cli, ExitCode> {
    let called = std::env::args_os()
        .next()
        .and_then(|path| {
            std::path::Path::new(&path)
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
        })
        .unwrap_or_default();
    let mut command = Cli::command();
    if called.starts_with("kubectl-") {
        command = command.bin_name("kubectl patrol");
    }
    let matches = command.try_get_matches().map_err(|error| {
        let code = if error.use_stderr() { 2 } else { 0 };
        // A closed pipe is no news.
        let _ = error.print();
        ExitCode::from(code)
    })?;
    <Cli as clap::FromArgMatches>::from_arg_matches(&matches).map_err(|error| {
        let _ = error.print();
        ExitCode::from(2)
    })
}

fn completion(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kube-patrol", &mut out);
    ui::print(&String::from_utf8_lossy(&out))
}
