//! The API server itself: whether it answers the caller, its version, its clock.

use patrol_api::time::{Span, Time};
use patrol_kube::ask::NoAnswer;

use super::line::Line;
use crate::cli::ui::when;

/// What checks and CRDs rely on is there from this version on.
const LEAST: (u32, u32) = (1, 33);
/// Signatures and provider's proofs are refused beyond some minutes.
const SKEW: Span = Span::seconds(120);

pub(super) fn access(me: &Result<String, NoAnswer>) -> Line {
    match me {
        Ok(name) => Line::ok("api-access", format!("the API server knows you as {name}")),
        Err(NoAnswer::Unauthenticated) => Line::fail(
            "api-access",
            "the API server does not accept your credentials",
        )
        .fix("log in again, or mend the kubeconfig"),
        Err(why) => Line::unseen(
            "api-access",
            "your user name",
            *why,
            "create on selfsubjectreviews of group authentication.k8s.io",
        ),
    }
}

pub(super) fn version((major, minor): (u32, u32)) -> Line {
    if (major, minor) >= LEAST {
        return Line::ok("api-version", format!("Kubernetes {major}.{minor}"));
    }
    Line::fail(
        "api-version",
        format!(
            "Kubernetes {major}.{minor} is older than {}.{}",
            LEAST.0, LEAST.1
        ),
    )
    .fix("upgrade the cluster: rules of the CustomResourceDefinitions and facts of pods need it")
}

pub(super) fn clock(server: Option<Time>, here: Time) -> Line {
    let Some(server) = server else {
        return Line::warn("clock", "the API server's replies carry no time")
            .fix("see what stands between you and the API server and takes the header Date away");
    };
    let skew = here.since(server).max(server.since(here));
    let direction = if here > server { "ahead of" } else { "behind" };
    if skew > SKEW {
        return Line::warn(
            "clock",
            format!(
                "the clock here is {skew} {direction} the API server's ({})",
                when(server)
            ),
        )
        .fix("set the clocks by NTP: receivers refuse signatures of another time");
    }
    Line::ok(
        "clock",
        format!(
            "the clock here and the API server's agree (within {}s)",
            skew.as_secs()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::line::Level;
    use super::*;

    #[test]
    fn versions_from_1_33_on_are_supported() {
        for (version, level) in [
            ((1, 32), Level::Fail),
            ((1, 33), Level::Ok),
            ((1, 99), Level::Ok),
            ((2, 0), Level::Ok),
        ] {
            assert_eq!(super::version(version).level, level, "{version:?}");
        }
    }

    #[test]
    fn more_than_two_minutes_are_a_warning_in_either_direction() {
        let server = Time::from_unix(1_800_000_000);
        for (here, level) in [
            (server.plus(SKEW), Level::Ok),
            (server.minus(SKEW), Level::Ok),
            (server.plus(Span::seconds(121)), Level::Warn),
            (server.minus(Span::seconds(121)), Level::Warn),
        ] {
            assert_eq!(clock(Some(server), here).level, level, "{here}");
        }
        let late = clock(Some(server), server.minus(Span::hours(1))).says;
        assert!(late.contains("1h behind the API server's"), "{late}");
        assert_eq!(clock(None, server).level, Level::Warn);
    }

    #[test]
    fn who_is_not_known_fails_and_what_is_not_said_is_a_line() {
        assert_eq!(access(&Ok("ann".into())).level, Level::Ok);
        assert_eq!(access(&Err(NoAnswer::Unauthenticated)).level, Level::Fail);
        assert!(!access(&Err(NoAnswer::Denied)).seen);
    }
}
