//! The election on a real API server: one leader, handed over, taken over, given up.

use std::time::{Duration, Instant};

use patrol_core::event::Term;
use patrol_e2e::control_plane::ControlPlane;
use patrol_kube::Connection;
use patrol_kube::lease::{Fence, Lease, LeaseSettings};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::stage::{DEADLINE, get, operator, raise, send};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-patrol/leases/kube-patrol";
const DURATION: Duration = Duration::from_secs(4);
const TAKEOVER_WAIT: Duration = Duration::from_secs(2);

struct Candidate {
    fence: Fence,
    leading: watch::Receiver<Option<Term>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Candidate {
    fn start(connection: &Connection, identity: &str) -> Self {
        let settings = LeaseSettings {
            duration: DURATION,
            renew_deadline: Duration::from_secs(3),
            retry_period: Duration::from_millis(300),
            takeover_wait: TAKEOVER_WAIT,
            ..LeaseSettings::new("kube-patrol", identity)
        };
        settings.check().unwrap();
        let lease = Lease::new(connection.writes.clone(), settings);
        let (fence, leading) = (lease.fence(), lease.leading());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(lease.run(async {
            // A dropped sender stops it as well.
            drop(stopped.await);
        }));
        Self {
            fence,
            leading,
            stop,
            task,
        }
    }

    async fn until_leading(&mut self, leads: bool) {
        let wait = self.leading.wait_for(|term| term.is_some() == leads);
        tokio::time::timeout(DEADLINE, wait)
            .await
            .expect("not in time")
            .unwrap();
    }

    fn leads(&self) -> bool {
        self.fence.certainly_leads(Duration::ZERO)
    }

    async fn release(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(DEADLINE, self.task)
            .await
            .unwrap()
            .unwrap();
    }

    /// Ends it as a crash would: nothing is handed over. The fence goes on as the clock of
    /// a paused process would.
    async fn crash(self) -> Fence {
        self.task.abort();
        drop(self.task.await);
        self.fence
    }
}

fn lease(plane: &ControlPlane) -> Value {
    get(plane, LEASE)["spec"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_leads_and_leadership_passes_by_every_road() {
    let Some(plane) = raise("one_leads_and_leadership_passes") else {
        return;
    };
    let connection = operator(&plane).await;

    // The first leads at once; the second stands by.
    let began = Instant::now();
    let mut a = Candidate::start(&connection, "a");
    a.until_leading(true).await;
    assert!(
        began.elapsed() < TAKEOVER_WAIT,
        "there was nobody to wait for"
    );
    assert!(a.leads() && a.fence.certainly_leads(Duration::from_secs(2)));
    let mut b = Candidate::start(&connection, "b");
    let spec = lease(&plane);
    assert_eq!(
        (&spec["holderIdentity"], &spec["leaseTransitions"]),
        (&json!("a"), &json!(0))
    );
    assert_eq!(spec["leaseDurationSeconds"], 4);

    // Handed over: no wait.
    let began = Instant::now();
    a.release().await;
    b.until_leading(true).await;
    assert!(began.elapsed() < TAKEOVER_WAIT, "{:?}", began.elapsed());
    let spec = lease(&plane);
    assert_eq!(
        (&spec["holderIdentity"], &spec["leaseTransitions"]),
        (&json!("b"), &json!(1))
    );

    // A crash: the lease has to run out on the other's own clock, and the new leader holds
    // still for a while. The two never lead together.
    let mut c = Candidate::start(&connection, "c");
    // It has to have looked at b's lease; the next renewal of b comes after that.
    let renewed = lease(&plane)["renewTime"].clone();
    patrol_e2e::wait_until(DEADLINE, "a renewal", || {
        (lease(&plane)["renewTime"] != renewed).then_some(())
    })
    .unwrap();
    let dead = b.crash().await;
    let began = Instant::now();
    assert!(dead.certainly_leads(Duration::ZERO) && !c.leads());
    patrol_e2e::wait_until(DEADLINE, "the takeover", || {
        (lease(&plane)["holderIdentity"] == "c").then_some(())
    })
    .unwrap();
    assert!(!dead.certainly_leads(Duration::ZERO), "two could have led");
    assert!(!c.leads(), "it holds still at first");
    c.until_leading(true).await;
    assert!(
        began.elapsed() >= TAKEOVER_WAIT + Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );

    // The same pod starts again: its own lease, no wait.
    drop(c.crash().await);
    let began = Instant::now();
    let mut c = Candidate::start(&connection, "c");
    c.until_leading(true).await;
    assert!(began.elapsed() < TAKEOVER_WAIT, "{:?}", began.elapsed());

    // Overwritten by hand: it steps down at its next renewal.
    send(
        &plane,
        "PATCH",
        LEASE,
        &json!({"spec": {"holderIdentity": "thief"}}),
    );
    c.until_leading(false).await;
    assert!(!c.leads());
    // The thief never renews, so c takes it back, as from any dead leader.
    c.until_leading(true).await;

    // Deleted by hand: its holder makes it again and goes on leading.
    plane
        .request("admin", "DELETE", LEASE, None)
        .unwrap()
        .success()
        .unwrap();
    patrol_e2e::wait_until(DEADLINE, "the lease again", || {
        let reply = plane.request("admin", "GET", LEASE, None)?;
        reply.success()
    })
    .unwrap();
    assert_eq!(lease(&plane)["holderIdentity"], "c");
    assert!(c.leads());

    // An outage: leadership is given up before the lease can expire, and comes back.
    plane.kill_api_server().unwrap();
    let began = Instant::now();
    c.until_leading(false).await;
    assert!(!c.leads());
    assert!(began.elapsed() < DURATION, "{:?}", began.elapsed());
    plane.start_api_server().unwrap();
    c.until_leading(true).await;
    c.release().await;
    assert_eq!(lease(&plane)["holderIdentity"], Value::Null);
}
