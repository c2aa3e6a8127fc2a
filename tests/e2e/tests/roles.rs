//! The shipped roles, verb by verb, as the API server itself judges them.

use patrol_e2e::Result;
use patrol_e2e::admission::may;
use patrol_e2e::control_plane::ADMIN;

use crate::people::{CHIEF, EDIT, NOBODY, OWNER, VIEW, raise};

/// Resource; who reads it; who changes it; who makes and deletes it.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

const ROWS: [Row; 8] = [
    ("tickets", &[VIEW, EDIT, OWNER, CHIEF], &[EDIT, OWNER], &[]),
    ("tickets/status", &[], &[], &[]),
    (
        "ticketwaivers",
        &[VIEW, EDIT, OWNER, CHIEF],
        &[OWNER],
        &[OWNER],
    ),
    ("ticketwaivers/status", &[], &[], &[]),
    ("patrolpolicies", &[CHIEF], &[CHIEF], &[CHIEF]),
    ("patrolpolicies/status", &[], &[], &[]),
    ("alertreceivers", &[CHIEF], &[CHIEF], &[CHIEF]),
    ("alertreceivers/status", &[], &[], &[]),
];

#[test]
fn each_role_gives_the_verbs_that_belong_to_it_and_no_other() -> Result<()> {
    let Some(stage) = raise("roles")? else {
        return Ok(());
    };
    let plane = &stage.plane;
    plane.create_namespace("elsewhere")?;
    let mut client = plane.client(ADMIN)?;
    let mut wrong = vec![];
    for (resource, read, change, own) in ROWS {
        let is_cluster_wide = ["patrolpolicies", "alertreceivers"]
            .iter()
            .any(|kind| resource.starts_with(kind));
        // Of a kind without namespaces, a role in a namespace gives nothing.
        let namespaces: &[&str] = if is_cluster_wide {
            &[""]
        } else {
            &["shop", "elsewhere", ""]
        };
        for namespace in namespaces {
            for user in [VIEW, EDIT, OWNER, CHIEF, NOBODY] {
                for (verbs, who) in [
                    (&["get", "list", "watch"][..], read),
                    (&["patch", "update"], change),
                    (&["create", "delete"], own),
                    (&["deletecollection"], &[]),
                ] {
                    let here = *namespace == "shop" || user == CHIEF;
                    let expected = here && who.contains(&user);
                    for verb in verbs {
                        if may(&mut client, user, verb, resource, namespace)? != expected {
                            wrong.push(format!(
                                "{user} {verb} {resource} in {namespace:?}: {}",
                                !expected
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
