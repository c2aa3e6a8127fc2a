//! `test-receiver NAME`: one `patrol.test` notice to a receiver, rendered, signed, filtered,
//! sent and judged by the code that sends alerts; and what its answer means. Never shows a
//! path, a credential or a byte of the reply.

mod place;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

use patrol_core::effect::Target;
use patrol_core::event::DeliveryClass;
use patrol_core::notice::{Notice, NoticeKind};
use patrol_kube::boot_clock;

use super::egress::EgressArgs;
use super::{Exit, Failure, find, ui};
use crate::local::SecretFile;
use crate::shell::delivery::{Alone, Post, probe};
use place::Place;

/// Send one signed probe to a receiver and explain the answer
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol test-receiver soc
  kube-patrol test-receiver policy/production
  kube-patrol test-receiver soc -f deploy/ --secret soc/url=url.txt
  kube-patrol test-receiver soc --state deploy/examples/local/.kube-patrol

In a cluster the Secrets are read with your own rights from the operator's namespace. The
message leaves from here: a receiver that only the cluster reaches is tested from within,
`kubectl -n kube-patrol exec deploy/kube-patrol -- kube-patrol test-receiver NAME`.
Exit code: 0 accepted, 1 not accepted, 2 could not run.")]
pub struct Args {
    /// Name of the AlertReceiver, or policy/NAME for the webhook of a policy
    receiver: String,
    /// Files or folders with the receiver and its Secrets instead of the cluster; repeatable
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// State folder of local mode instead of the cluster
    #[arg(long, value_name = "DIR", conflicts_with = "files")]
    state: Option<PathBuf>,
    /// A value for a key of a Secret, with -f or --state; repeatable
    #[arg(long = "secret", value_name = "NAME/KEY=FILE")]
    secrets: Vec<SecretFile>,
    /// The operator's namespace, where Secrets are
    #[arg(short, long, default_value = patrol_api::names::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Let a receiver on loopback be told, as the operator's flag does
    #[arg(long)]
    allow_loopback_receivers: bool,
    #[command(flatten)]
    egress: EgressArgs,
}

pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    let runtime = find::runtime()?;
    runtime.block_on(send(args))
}

async fn send(args: Args) -> Result<Exit, Failure> {
    let is_local = !args.files.is_empty() || args.state.is_some();
    let place = if is_local {
        Place::of_files(args.files, args.state, args.secrets, &args.namespace)?
    } else {
        Place::of_cluster(find::connect().await?, &args.namespace)
    };
    let target = place.target(&args.receiver).await?;
    let (denied, cluster) = place.surroundings().await;
    let egress = args.egress.egress(place.server_name())?;
    let place = Arc::new(place);
    let post = Post::new(
        Arc::clone(&place) as Arc<dyn crate::shell::secrets::SecretSource>,
        Arc::new(Alone),
        is_local || args.allow_loopback_receivers,
        denied,
        boot_clock::now,
        super::operator::requests()?,
    )
    .with_egress(egress);
    let policy = target.name.strip_prefix("policy/").unwrap_or_default();
    let notice = Notice {
        policy: policy.to_owned(),
        ..Notice::of_no_ticket(NoticeKind::Test, &target.name, cluster, boot_clock::wall())
    };
    let tried = probe(&post, &target, &notice).await;
    let Some(last) = tried.last() else {
        return Err(Failure::new(format!(
            "receiver {}: nothing was sent: report this fault",
            target.name
        )));
    };
    let trouble = place.trouble();
    if let (DeliveryClass::SecretMissing, Some(trouble)) = (last.class, &trouble)
        && trouble.is_ours
    {
        // It says nothing of the receiver that this caller may not look.
        return Err(Failure::new(format!(
            "receiver {}: {}",
            target.name, trouble.says
        )));
    }
    let text = words::explain(&target, last, trouble.as_ref(), is_local);
    ui::print(&text)?;
    Ok(match last.class {
        DeliveryClass::Accepted => Exit::Clean,
        _ => Exit::Findings,
    })
}

/// Whether what is sent can be verified by the receiver.
fn is_signed(target: &Target) -> bool {
    use patrol_api::receiver::Endpoint;
    match &target.endpoint {
        Endpoint::Webhook(spec) => spec.signing_secret_ref.is_some(),
        Endpoint::Dingtalk(spec) => spec.signing_secret_ref.is_some(),
        Endpoint::Feishu(spec) => spec.signing_secret_ref.is_some(),
        Endpoint::Alertmanager(_)
        | Endpoint::Slack(_)
        | Endpoint::Teams(_)
        | Endpoint::Wecom(_)
        | Endpoint::Pagerduty(_) => false,
    }
}
