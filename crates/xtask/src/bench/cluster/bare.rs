//! The floor: bare writes of objects that are tickets in all but name. Their kind is that
//! of tickets under another group, so that the operator leaves them alone.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use patrol_e2e::control_plane::{ADMIN, ApiClient, ControlPlane};
use patrol_e2e::{Error, Result, installed, wait_until};
use serde_json::{Value, json};

use crate::Failure;

const GROUP: &str = "bench.example.com";

/// Installs the kind.
pub fn install(plane: &ControlPlane) -> Result<(), Failure> {
    let yaml = crate::repo::read("crds/kubepatrol.io_tickets.yaml")?;
    let mut crd: Value = serde_saphyr::from_str(&yaml)?;
    let name = format!("tickets.{GROUP}");
    crd["metadata"]["name"] = json!(name);
    crd["spec"]["group"] = json!(GROUP);
    crd["spec"]["names"]["categories"] = json!([]);
    crd["spec"]["names"]["shortNames"] = json!([]);
    plane.apply(&crd.to_string())?;
    wait_until(installed::SOON, &name, || plane.get(&[&name, "-A"]))?;
    Ok(())
}

/// The same object as a ticket that the operator opened, under the other group.
pub fn like(ticket: &Value) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1alpha1"),
        "kind": "Ticket",
        "metadata": {"labels": ticket["metadata"]["labels"]},
        "spec": ticket["spec"],
    })
}

/// Writes one.
pub fn post(client: &mut ApiClient, like: &Value, namespace: &str, name: &str) -> Result<()> {
    let mut body = like.clone();
    body["metadata"]["name"] = json!(name);
    body["metadata"]["namespace"] = json!(namespace);
    let path = format!("/apis/{GROUP}/v1alpha1/namespaces/{namespace}/tickets");
    let target = format!("{path}?fieldManager=kube-patrol&fieldValidation=Strict");
    client.request("POST", &target, Some(&body))?.success()?;
    Ok(())
}

/// Does something `count` times on `threads` connections.
pub fn side_by_side(
    plane: &ControlPlane,
    threads: usize,
    count: usize,
    each: impl Fn(&mut ApiClient, usize) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        let mut client = plane.client(ADMIN)?;
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                return Ok(());
            }
            each(&mut client, n)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(Error::failed("a thread of the bare loop panicked")))
        })
    })
}
