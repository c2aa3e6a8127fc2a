//! `doctor`: whether kube-patrol works in this cluster, and what to do where it does not. One
//! line for each thing that is looked at. Asks with the caller's own rights, changes nothing,
//! and says what it may not see.

mod crds;
mod install;
mod line;
mod metrics;
mod network;
mod objects;
mod rights;
mod server;
mod waivers;

use clap::ValueEnum;
use patrol_api::time::Time;
use patrol_kube::ask::Resource;
use patrol_kube::{Connection, boot_clock};

use super::{Exit, Failure, find, ui};
use line::{Level, Line};

/// Check whether kube-patrol works in this cluster
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol doctor
  kube-patrol doctor -o json
  kube-patrol doctor --metrics-url http://127.0.0.1:8080/metrics

It looks at the API server and its clock, the CustomResourceDefinitions, the rights of the
operator, its Lease, policies, receivers, waivers, metrics and admission policies, with your rights:
what you may not see is a line of its own.
Exit code: 0 clean, 1 findings, 2 could not run, 3 could not see everything.")]
pub struct Args {
    /// Output format: table or json
    #[arg(short, long, value_enum, hide_possible_values = true, default_value_t = Output::Table)]
    output: Output,
    /// The operator's namespace
    #[arg(short, long, default_value = patrol_api::names::DEFAULT_NAMESPACE)]
    namespace: String,
    /// The operator's service account
    #[arg(long, value_name = "NAME", default_value = patrol_api::names::DEFAULT_NAMESPACE)]
    service_account: String,
    /// Address of the operator's metrics, such as of `kubectl port-forward`; else they are not asked for
    #[arg(long, value_name = "URL")]
    metrics_url: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let runtime = find::runtime()?;
    let lines = runtime.block_on(examine(args))?;
    match args.output {
        Output::Table => ui::print(&line::table(&lines, ui::colours()))?,
        Output::Json => {
            let text = serde_json::to_string_pretty(&line::json(&lines)).unwrap_or_default();
            ui::print(&format!("{text}\n"))?
        }
    };
    Ok(exit(&lines))
}

/// As everywhere: what could not be seen wins over what was found.
fn exit(lines: &[Line]) -> Exit {
    if lines.iter().any(|line| !line.seen) {
        return Exit::Incomplete;
    }
    match lines.iter().any(|line| line.level >= Level::Warn) {
        true => Exit::Findings,
        false => Exit::Clean,
    }
}

async fn examine(args: &Args) -> Result<Vec<Line>, Failure> {
    let connection = find::connect().await?;
    let http = &connection.reads;
    let greeting = http.greet().await.map_err(|why| {
        Failure::new(format!(
            "API server: {why}: see whether the kubeconfig is right and the server is up"
        ))
    })?;
    let now = boot_clock::wall();
    let me = http.who_am_i().await;
    let mut lines = vec![server::access(&me), server::version(greeting.version)];
    lines.push(server::clock(greeting.date.map(Into::into), now));
    // Leases and statuses are written by the clocks of the cluster: its time is what counts.
    let now = greeting.date.map_or(now, Into::into);
    lines.extend(crds::examine(http).await);
    let me = me.unwrap_or_default();
    lines.extend(rights::examine(http, &me, &args.namespace, &args.service_account).await);
    lines.push(install::lease(http, &args.namespace, now).await);
    lines.extend(policies_and_receivers(&connection, args, now).await);
    lines.push(metrics::examine(args.metrics_url.as_deref()).await);
    lines.extend(install::admission(http).await);
    Ok(lines)
}

async fn policies_and_receivers(connection: &Connection, args: &Args, now: Time) -> Vec<Line> {
    let http = &connection.reads;
    let policies = http.list(&Resource::ours("patrolpolicies", "")).await;
    let receivers = http.list(&Resource::ours("alertreceivers", "")).await;
    let is_far = policies
        .iter()
        .flatten()
        .any(objects::is_webhook_out_of_reach)
        || receivers.iter().flatten().any(objects::is_out_of_reach);
    let limits = match is_far {
        true => network::limiting(http, &args.namespace, &args.service_account).await,
        false => Ok(vec![]),
    };
    let names = limits.as_deref().unwrap_or_default();
    let mut lines = vec![];
    match policies {
        Ok(found) => lines.extend(objects::policies(&found, names, now)),
        Err(why) => lines.push(Line::unseen(
            "policies",
            "patrolpolicies",
            why,
            "list on patrolpolicies of group kubepatrol.io",
        )),
    }
    match receivers {
        Ok(found) => lines.extend(objects::receivers(&found, names, now)),
        Err(why) => lines.push(Line::unseen(
            "receivers",
            "alertreceivers",
            why,
            "list on alertreceivers of group kubepatrol.io",
        )),
    }
    if let Err(why) = limits {
        let right = network::right(&args.namespace);
        let what = "whether a NetworkPolicy is why a receiver does not answer";
        lines.push(Line::unseen("network", what, why, &right));
    }
    match http.list(&Resource::ours("ticketwaivers", "")).await {
        Ok(found) => lines.extend(waivers::examine(&found, &args.namespace, now)),
        Err(why) => lines.push(Line::unseen(
            "waivers",
            "ticketwaivers",
            why,
            "list on ticketwaivers of group kubepatrol.io in all namespaces",
        )),
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_the_one_of_the_contract() {
        let ok = Line::ok("clock", "fine");
        let skip = Line::new("metrics", Level::Skip, "not asked for");
        let warn = Line::warn("clock", "late");
        let unseen = Line {
            seen: false,
            ..warn.clone()
        };
        assert_eq!(exit(&[ok.clone(), skip]), Exit::Clean);
        assert_eq!(exit(&[ok.clone(), warn.clone()]), Exit::Findings);
        assert_eq!(exit(&[ok, warn, unseen]), Exit::Incomplete);
    }

    #[test]
    fn a_line_is_a_row_a_fix_and_an_object_of_json() {
        let lines = [
            Line::ok("lease", "one leads"),
            Line::fail("receivers", "refuses")
                .about("soc")
                .fix("mend it"),
        ];
        let text = line::table(&lines, false);
        let rows: Vec<&str> = text.lines().collect();
        assert!(
            rows[1].starts_with("OK       lease       -        one leads"),
            "{text}"
        );
        assert!(
            rows[2].starts_with("FAIL     receivers   soc      refuses"),
            "{text}"
        );
        assert!(text.ends_with("\nfix: receivers soc: mend it\n"), "{text}");
        let json = line::json(&lines);
        assert_eq!(json["summary"]["fail"], 1);
        assert_eq!(json["summary"]["ok"], 1);
        assert_eq!(json["checks"][1]["status"], "FAIL");
        assert_eq!(json["checks"][1]["fix"], "mend it");
    }
}
