//! The program that libFuzzer drives. `KUBE_PATROL_FUZZ` names the target: one program for all of them is linked once.

#![no_main]

use std::sync::LazyLock;

use patrol_fuzz::Target;

/// Names the target.
const TARGET: &str = "KUBE_PATROL_FUZZ";

static RUN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var(TARGET).unwrap_or_default();
    if let Some(target) = patrol_fuzz::find(&name) {
        return target.run;
    }
    let names: Vec<&str> = patrol_fuzz::TARGETS
        .iter()
        .map(|t: &Target| t.name)
        .collect();
    eprintln!(
        "{TARGET}={name}: no such target: use one of {}",
        names.join(", ")
    );
    std::process::exit(2);
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (*RUN)(data));
