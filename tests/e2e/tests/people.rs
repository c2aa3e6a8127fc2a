//! A control plane with people on it, each with one of the roles that the product ships.

use patrol_e2e::admission::{in_force, may};
use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::installed::{SOON, Stage};
use patrol_e2e::{Error, Result, wait_until};
use serde_json::{Value, json};

/// Users named after the role they are given: the first three in `shop` alone.
pub const VIEW: &str = "view";
pub const EDIT: &str = "edit";
pub const OWNER: &str = "admin-of-shop";
/// Bound to `kube-patrol-admin` in the whole cluster.
pub const CHIEF: &str = "chief";
/// Has no role.
pub const NOBODY: &str = "nobody";
/// A second editor of `shop`.
pub const OTHER: &str = "other-editor";

/// A control plane on which aggregated roles are put together and pods have accounts.
pub fn raise(test: &str) -> Result<Option<Stage>> {
    let people = [VIEW, EDIT, OWNER, CHIEF, NOBODY, OTHER];
    let builder = people
        .iter()
        .fold(ControlPlane::builder().controllers(), |builder, name| {
            builder.identity(name, &[])
        });
    let Some(stage) = Stage::raise(test, builder)? else {
        return Ok(None);
    };
    let plane = &stage.plane;
    for (user, role) in [
        (VIEW, "view"),
        (EDIT, "edit"),
        (OTHER, "edit"),
        (OWNER, "admin"),
    ] {
        plane.apply(&binding("RoleBinding", user, role).to_string())?;
    }
    plane.apply(&binding("ClusterRoleBinding", CHIEF, "kube-patrol-admin").to_string())?;
    let mut client = plane.client(ADMIN)?;
    for (user, verb, resource) in [
        (VIEW, "get", "tickets"),
        (EDIT, "patch", "tickets"),
        (OTHER, "patch", "tickets"),
        (OWNER, "create", "ticketwaivers"),
    ] {
        wait_until(SOON, &format!("the role of {user}"), || {
            match may(&mut client, user, verb, resource, "shop")? {
                true => Ok(()),
                false => Err(Error::failed("not aggregated yet")),
            }
        })?;
    }
    in_force(plane)?;
    Ok(Some(stage))
}

fn binding(kind: &str, user: &str, role: &str) -> Value {
    let metadata = match kind {
        "RoleBinding" => json!({"name": user, "namespace": "shop"}),
        _ => json!({"name": user}),
    };
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    })
}
