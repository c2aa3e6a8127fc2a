//! The steps of the test run, in their order: the cheap ones that fail most often first.

use std::process::Command;

use super::{Skipped, Step, tools};
use crate::{Failure, demo, fuzz, generate, repo, simulate};

/// Seeds of the simulator in one test run.
const SEEDS: &str = "1000";
/// Names the file in which end-to-end tests record that they were skipped.
const SKIP_REPORT: &str = "KUBE_PATROL_E2E_SKIPPED";

/// Every step.
pub(super) const ALL: &[Step] = &[
    Step {
        name: "format",
        proves: "the code is formatted",
        computes: false,
        run: format,
    },
    Step {
        name: "clippy",
        proves: "no warning in any crate, test or example",
        computes: false,
        run: clippy,
    },
    Step {
        name: "generated",
        proves: "generated files are what the code says",
        computes: false,
        run: generated,
    },
    Step {
        name: "deny",
        proves: "licences, sources and banned crates of every dependency",
        computes: false,
        run: deny,
    },
    Step {
        name: "unit",
        proves: "tables, properties and the seam between core and edges",
        computes: false,
        run: unit,
    },
    Step {
        name: "alerts",
        proves: "alert rules fire when they should and only then",
        computes: false,
        run: alerts,
    },
    Step {
        name: "simulator",
        proves: "the promises hold in 1,000 seeded runs with faults",
        computes: true,
        run: simulator,
    },
    Step {
        name: "mutation",
        proves: "the simulator finds every planted bug",
        computes: true,
        run: mutation,
    },
    Step {
        name: "simulated",
        proves: "the simulator itself: its world, its oracle, its invariants",
        computes: false,
        run: simulated,
    },
    Step {
        name: "fuzz",
        proves: "no input of a minute breaks a parser, a renderer, a filter or a calendar",
        computes: true,
        run: fuzz::test,
    },
    Step {
        name: "local",
        proves: "command line and local mode, as a process on folders",
        computes: false,
        run: local,
    },
    Step {
        name: "e2e",
        proves: "the whole product on a real control plane",
        computes: false,
        run: e2e,
    },
    Step {
        name: "demo",
        proves: "the story of cargo xtask demo comes true on a real control plane",
        computes: false,
        run: demo::test,
    },
];

/// Runs a program whose output people should see.
fn passes(command: &mut Command) -> Result<(), Failure> {
    let name = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    let status = command
        .status()
        .map_err(|error| format!("{name}: cannot be run: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{name}: {status}").into()),
    }
}

fn cargo<const N: usize>(args: [&str; N]) -> Result<Skipped, Failure> {
    passes(repo::cargo().args(args))?;
    Ok(vec![])
}

fn format() -> Result<Skipped, Failure> {
    cargo(["fmt", "--all", "--", "--check"])
}

fn clippy() -> Result<Skipped, Failure> {
    cargo([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])
}

fn generated() -> Result<Skipped, Failure> {
    generate::check()?;
    Ok(vec![])
}

fn unit() -> Result<Skipped, Failure> {
    // The three left out have steps of their own.
    cargo([
        "test",
        "--quiet",
        "--no-fail-fast",
        "--workspace",
        "--exclude",
        "patrol-e2e",
        "--exclude",
        "patrol-simulator",
        "--exclude",
        "kube-patrol",
    ])
}

fn simulator() -> Result<Skipped, Failure> {
    passes(&mut simulate::command(&["--seeds".into(), SEEDS.into()]))?;
    Ok(vec![])
}

fn mutation() -> Result<Skipped, Failure> {
    cargo([
        "run",
        "--quiet",
        "--package",
        "patrol-simulator",
        "--bin",
        "patrol-mutate",
    ])
}

fn simulated() -> Result<Skipped, Failure> {
    cargo([
        "test",
        "--quiet",
        "--no-fail-fast",
        "--package",
        "patrol-simulator",
    ])
}

fn local() -> Result<Skipped, Failure> {
    cargo([
        "test",
        "--quiet",
        "--no-fail-fast",
        "--package",
        "kube-patrol",
    ])
}

fn deny() -> Result<Skipped, Failure> {
    let program = tools::cargo_deny()?;
    let check = |what: &[&str]| {
        let mut command = repo::command(&program);
        command.args(["--log-level", "error", "check", "--hide-inclusion-graph"]);
        passes(command.args(what))
    };
    check(&["bans", "licenses", "sources"])?;
    // The database of advisories is a repository that not every machine can reach.
    let fetched = repo::command(&program).args(["fetch", "db"]).output()?;
    if !fetched.status.success() {
        return Ok(vec![
            "advisories: the advisory database cannot be reached from here".into(),
        ]);
    }
    check(&["advisories"])?;
    Ok(vec![])
}

fn alerts() -> Result<Skipped, Failure> {
    let Some(promtool) = repo::find_program("promtool") else {
        return Ok(vec![
            "rule tests: promtool is not installed (Debian: package prometheus)".into(),
        ]);
    };
    let folder = repo::root().join("deploy/alerts");
    passes(
        repo::command(&promtool)
            .args(["check", "rules"])
            .arg(folder.join("rules.yaml")),
    )?;
    let mut tests: Vec<_> = std::fs::read_dir(folder.join("tests"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    tests.sort();
    passes(
        repo::command(&promtool)
            .args(["test", "rules"])
            .args(&tests),
    )?;
    Ok(vec![])
}

fn e2e() -> Result<Skipped, Failure> {
    let report = tempfile::NamedTempFile::new()?;
    let run = passes(
        repo::cargo()
            .args([
                "test",
                "--quiet",
                "--no-fail-fast",
                "--package",
                "patrol-e2e",
            ])
            .env(SKIP_REPORT, report.path()),
    );
    let skipped: Vec<String> = std::fs::read_to_string(report.path())?
        .lines()
        .map(str::to_owned)
        .collect();
    if run.is_err() {
        skipped.iter().for_each(|line| println!("SKIPPED {line}"));
    }
    run.map(|()| skipped)
}
