//! Times as people read them: UTC to the minute, and how far away. Never local time: a team sits in many places.

use patrol_api::receiver::Locale;
use patrol_api::time::{Span, Time};

/// `2027-01-15 08:00 UTC`.
pub(super) fn stamp(time: Time) -> String {
    time.chrono().format("%Y-%m-%d %H:%M UTC").to_string()
}

/// `3d 4h`: the two largest units that are there.
pub(super) fn length(span: Span, locale: Locale) -> String {
    let minutes = span.as_secs() / 60;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let units = match locale {
        Locale::En => ["d", "h", "m"],
        Locale::ZhCn => [" 天", " 小时", " 分钟"],
    };
    let said: Vec<String> = [days, hours, minutes]
        .into_iter()
        .zip(units)
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    match (said.is_empty(), locale) {
        (false, _) => said.join(" "),
        (true, Locale::En) => "under 1m".to_owned(),
        (true, Locale::ZhCn) => "不到 1 分钟".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (seconds, en, zh) in [
            (0, "under 1m", "不到 1 分钟"),
            (59, "under 1m", "不到 1 分钟"),
            (60, "1m", "1 分钟"),
            (3_600, "1h", "1 小时"),
            (3_660, "1h 1m", "1 小时 1 分钟"),
            (86_400, "1d", "1 天"),
            (86_460, "1d", "1 天"),
            (97_200, "1d 3h", "1 天 3 小时"),
            (8_640_000, "100d", "100 天"),
        ] {
            assert_eq!(length(Span::seconds(seconds), Locale::En), en);
            assert_eq!(length(Span::seconds(seconds), Locale::ZhCn), zh);
        }
    }

    #[test]
    fn stamps() {
        assert_eq!(
            stamp(Time::from_unix(1_800_000_059)),
            "2027-01-15 08:00 UTC"
        );
    }
}
