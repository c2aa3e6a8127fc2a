//! The diagram of a ticket's life in `docs/concepts.md` is the table of the core, which a test walks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use patrol_core::ticket::transitions::TRANSITIONS;

#[test]
fn the_diagram_shows_every_change_and_no_other() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/concepts.md");
    let page = fs::read_to_string(page).unwrap();
    let diagram = page
        .split("stateDiagram-v2\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let shown: BTreeSet<String> = diagram
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    let table: BTreeSet<String> = TRANSITIONS
        .iter()
        .map(|(from, reason, to)| {
            let from = from.map_or("[*]", |phase| phase.as_str());
            format!("{from} --> {to}: {reason}")
        })
        .collect();
    assert_eq!(shown, table);
}
