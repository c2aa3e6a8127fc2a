//! How local mode ends: what was told is on record, and nobody's terminal holds it up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::process::{Local, World, eventually};
use super::{BARE, POLICY};

/// A clean end takes at most this long, and a busy machine somewhat longer.
const END: Duration = Duration::from_secs(20);

fn world_of(workloads: usize) -> World {
    let world = World::new();
    world.write("policy.yaml", POLICY);
    let manifests: Vec<String> = (0..workloads)
        .map(|n| BARE.replace("name: web, namespace", &format!("name: web{n}, namespace")))
        .collect();
    world.write("web.yaml", &manifests.join("---\n"));
    world
}

/// The tickets that were told of as opened.
fn opened(out: &str) -> Vec<String> {
    let text = out.split_whitespace().collect::<Vec<_>>().join(" ");
    let opened = text.split("Opened ").skip(1);
    opened
        .filter_map(|told| {
            let at = told.find("ticket shop/")?;
            told.get(at..)?.split_whitespace().nth(1).map(str::to_owned)
        })
        .collect()
}

#[test]
fn whatever_was_told_before_a_clean_end_is_not_told_again() {
    const WORKLOADS: usize = 60;
    let world = world_of(WORKLOADS);
    let first = world.start(&[]);
    eventually("most is told", || {
        (opened(&first.out()).len() > WORKLOADS / 2).then_some(())
    });
    let (code, told_first) = first.stop_and_read();
    assert_eq!(code, Some(0));
    let again = world.start(&[]);
    let before: BTreeSet<String> = opened(&told_first).into_iter().collect();
    eventually("the rest is told", || {
        let mut all = before.clone();
        all.extend(opened(&again.out()));
        (all.len() == WORKLOADS).then_some(())
    });
    let (_, told_again) = again.stop_and_read();
    let twice: Vec<String> = opened(&told_again)
        .into_iter()
        .filter(|ticket| before.contains(ticket))
        .collect();
    assert!(twice.is_empty(), "{} told twice: {twice:?}", twice.len());
}

/// A shell's job in the background, and the first process of a container, are born with signals ignored.
#[test]
fn a_signal_that_comes_as_soon_as_it_works_is_heard() {
    let world = world_of(60);
    let local = world.start_ignoring_signals();
    eventually("it holds its state folder", || {
        world.path(".kube-patrol").exists().then_some(())
    });
    assert_eq!(local.stop(), Some(0));
}

#[test]
fn output_that_nobody_reads_holds_up_neither_the_patrol_nor_the_end() {
    const WORKLOADS: usize = 400;
    let world = world_of(WORKLOADS);
    let local = Local::unread(&world);
    // Far more than a pipe takes is said by now, on both of them.
    eventually("every gap has its ticket", || {
        (world.tickets("shop").len() == WORKLOADS).then_some(())
    });
    world.write("other.yaml", &BARE.replace("web", "late"));
    eventually("it still looks", || {
        (world.tickets("shop").len() == WORKLOADS + 1).then_some(())
    });
    let began = Instant::now();
    assert_eq!(local.stop(), Some(0));
    assert!(began.elapsed() < END, "{:?}", began.elapsed());
}
