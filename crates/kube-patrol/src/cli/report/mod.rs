//! `report`: tickets, waivers and coverage of a cluster or a state folder on one page, for those who were not there. What could
//! not be seen is part of it.

mod html;
mod markdown;
mod page;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use patrol_api::policy::PatrolPolicy;
use patrol_api::ticket::Ticket;
use patrol_api::waiver::TicketWaiver;
use patrol_core::kind::Kind;
use patrol_kube::boot_clock;
use serde::de::DeserializeOwned;

use super::{Exit, Failure, source, ui};
use crate::local;
use page::Page;

/// Report tickets, waivers and coverage on one page
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol report > report.md
  kube-patrol report -o html > report.html
  kube-patrol report -n shop -o json
  kube-patrol report --state deploy/examples/local/.kube-patrol

The page in HTML is one file without scripts.
Exit code: 0 the report is whole, 2 could not run, 3 could not see everything.")]
pub struct Args {
    /// Only tickets and waivers of this namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// Output format: markdown, html or json
    #[arg(short, long, value_enum, hide_possible_values = true, default_value_t = Output::Markdown)]
    output: Output,
    /// State folder of local mode instead of the cluster
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Markdown,
    /// For people, in a browser or on paper
    Html,
    /// For programs
    Json,
}

/// What a report is made of.
#[derive(Debug, Default)]
pub(super) struct Matter {
    pub tickets: Vec<Ticket>,
    pub policies: Vec<PatrolPolicy>,
    pub waivers: Vec<TicketWaiver>,
    /// What cannot be seen by whoever asks, and what to do.
    pub unseen: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut matter = match &args.state {
        Some(state) => of_folder(state)?,
        None => of_cluster()?,
    };
    if let Some(namespace) = &args.namespace {
        let own = |found: Option<&String>| found == Some(namespace);
        matter
            .tickets
            .retain(|t| own(t.metadata.namespace.as_ref()));
        matter
            .waivers
            .retain(|w| own(w.metadata.namespace.as_ref()));
    }
    let page = Page::of(&matter, args.namespace.as_deref(), boot_clock::wall());
    ui::print(&match args.output {
        Output::Markdown => markdown::text(&page),
        Output::Html => html::text(&page),
        Output::Json => {
            let text = serde_json::to_string_pretty(&page.json()).unwrap_or_default();
            format!("{text}\n")
        }
    })?;
    Ok(match matter.unseen.is_empty() {
        true => Exit::Clean,
        false => Exit::Incomplete,
    })
}

fn of_folder(state: &Path) -> Result<Matter, Failure> {
    Ok(Matter {
        tickets: source::tickets_in(state)?,
        policies: kept(state, "policies"),
        waivers: kept(state, "waivers"),
        unseen: vec![],
    })
}

fn kept<T: DeserializeOwned>(state: &Path, folder: &str) -> Vec<T> {
    local::kept_objects(&state.join(folder))
}

fn of_cluster() -> Result<Matter, Failure> {
    let seen = source::look(&[Kind::Ticket, Kind::PatrolPolicy, Kind::TicketWaiver])?;
    if seen.inventory.sight(Kind::Ticket).is_absent() {
        return Err(source::not_installed());
    }
    let unseen = seen.blind.iter().map(|(kind, why)| {
        let advice = source::advice(*kind, why);
        format!("{} cannot be listed: {advice}", kind.info().resource)
    });
    Ok(Matter {
        unseen: unseen.collect(),
        tickets: seen.tickets,
        policies: seen.policies,
        waivers: seen.waivers,
    })
}
