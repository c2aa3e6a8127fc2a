//! When windows open: weekdays, nights, mutes, zones, and every change of every bundled clock for ten years.

use super::*;

fn at(text: &str) -> Time {
    serde_json::from_value(serde_json::Value::from(text)).unwrap()
}

fn spec(value: serde_json::Value) -> Vec<Spec> {
    serde_json::from_value(value).unwrap()
}

fn windows(value: serde_json::Value) -> Windows {
    Windows::compile(&spec(value), at("2026-01-01T00:00:00Z")).unwrap()
}

fn opens(windows: &Windows, from: &str) -> String {
    let found = windows.opens_at(at(from), Errand::default());
    found.map_or("never".into(), |at| at.to_string())
}

#[test]
fn without_windows_it_is_always_open() {
    let none = Windows::compile(&[], at("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(opens(&none, "2026-05-05T03:00:00Z"), "2026-05-05T03:00:00Z");
}

#[test]
fn office_hours_put_off_to_the_next_working_morning() {
    let office = windows(serde_json::json!([
        {"mode": "Active", "days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "from": "09:00", "to": "19:00", "timeZone": "Asia/Shanghai"}
    ]));
    for (from, expected) in [
        // Wednesday noon there.
        ("2026-11-25T04:00:00Z", "2026-11-25T04:00:00Z"),
        // Its first and its last instant.
        ("2026-11-25T01:00:00Z", "2026-11-25T01:00:00Z"),
        ("2026-11-25T11:00:00Z", "2026-11-26T01:00:00Z"),
        // Friday evening, Saturday, Sunday: Monday nine o'clock.
        ("2026-11-27T12:00:00Z", "2026-11-30T01:00:00Z"),
        ("2026-11-28T12:00:00Z", "2026-11-30T01:00:00Z"),
        ("2026-11-30T00:59:59Z", "2026-11-30T01:00:00Z"),
    ] {
        assert_eq!(opens(&office, from), expected, "{from}");
    }
}

#[test]
fn a_mute_over_midnight_wins_over_an_active_window() {
    let night = windows(serde_json::json!([
        {"mode": "Mute", "from": "22:00", "to": "06:00"},
        {"mode": "Active", "from": "00:00", "to": "24:00"}
    ]));
    assert_eq!(
        opens(&night, "2026-03-01T23:00:00Z"),
        "2026-03-02T06:00:00Z"
    );
    assert_eq!(
        opens(&night, "2026-03-02T05:59:59Z"),
        "2026-03-02T06:00:00Z"
    );
    assert_eq!(
        opens(&night, "2026-03-02T21:59:59Z"),
        "2026-03-02T21:59:59Z"
    );
}

#[test]
fn days_of_a_month_wait_for_the_month_that_has_them() {
    let last = windows(serde_json::json!([{"daysOfMonth": [31], "from": "08:00", "to": "09:00"}]));
    assert_eq!(opens(&last, "2026-02-01T00:00:00Z"), "2026-03-31T08:00:00Z");
    let leap =
        windows(serde_json::json!([{"daysOfMonth": [29, 30], "from": "08:00", "to": "09:00"}]));
    assert_eq!(opens(&leap, "2028-02-01T00:00:00Z"), "2028-02-29T08:00:00Z");
}

#[test]
fn what_passes_a_window_goes_at_once() {
    let office = windows(serde_json::json!([
        {"from": "09:00", "to": "10:00", "bypass": ["Critical", "Overdue"]}
    ]));
    let night = at("2026-03-01T23:00:00Z");
    let now = |errand: Errand| office.opens_at(night, errand) == Some(night);
    assert!(now(Errand {
        critical: true,
        ..Errand::default()
    }));
    assert!(now(Errand {
        overdue: true,
        ..Errand::default()
    }));
    assert!(!now(Errand {
        resolved: true,
        ..Errand::default()
    }));
    assert!(!now(Errand {
        breached: true,
        ..Errand::default()
    }));
}

#[test]
fn f21_a_gap_of_the_clock_opens_right_after_it_and_a_fold_at_its_first_pass() {
    let berlin = windows(serde_json::json!([
        {"from": "02:30", "to": "03:30", "timeZone": "Europe/Berlin"}
    ]));
    // 2026-03-29: 02:00 becomes 03:00, that is 01:00 UTC. The window is the half hour to 03:30 (01:30 UTC).
    assert_eq!(
        opens(&berlin, "2026-03-29T00:00:00Z"),
        "2026-03-29T01:00:00Z"
    );
    assert_eq!(
        opens(&berlin, "2026-03-29T01:30:00Z"),
        "2026-03-30T00:30:00Z"
    );
    // 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC. 02:30 first happens at 00:30 UTC.
    assert_eq!(
        opens(&berlin, "2026-10-25T00:00:00Z"),
        "2026-10-25T00:30:00Z"
    );
}

/// A day that has begun has begun: a clock that is put back into the day before ends nothing. 2010-11-07 in St. John's:
/// 00:01 becomes 23:01, that is 02:31 UTC.
#[test]
fn a_clock_that_is_put_back_over_midnight_leaves_the_new_days_windows() {
    let mute = windows(serde_json::json!([
        {"mode": "Mute", "from": "00:00", "to": "02:00", "timeZone": "America/St_Johns"}
    ]));
    for asked in [
        "2010-11-07T02:30:00Z",
        "2010-11-07T02:40:00Z",
        "2010-11-07T03:30:00Z",
    ] {
        assert_eq!(opens(&mute, asked), "2010-11-07T05:30:00Z", "{asked}");
    }
}

#[test]
fn windows_that_never_open_are_refused() {
    for never in [
        serde_json::json!([{"mode": "Mute", "from": "00:00", "to": "24:00"}]),
        serde_json::json!([
            {"mode": "Active", "days": ["Mon"], "from": "09:00", "to": "10:00"},
            {"mode": "Mute", "days": ["Mon"], "from": "08:00", "to": "11:00"}
        ]),
        serde_json::json!([
            {"mode": "Active", "days": ["Sun"], "from": "23:00", "to": "01:00"},
            {"mode": "Mute", "days": ["Sun", "Mon"]}
        ]),
    ] {
        let found = Windows::compile(&spec(never), at("2026-01-01T00:00:00Z"));
        let (field, why) = found.unwrap_err();
        assert_eq!(field, "");
        assert!(why.contains("do not open within 370 days"), "{why}");
    }
    let zone = Windows::compile(
        &spec(serde_json::json!([{"timeZone": "Mars/Olympus"}])),
        at("2026-01-01T00:00:00Z"),
    );
    assert_eq!(zone.unwrap_err().0, "[0].timeZone");
}

/// Every bundled zone, ten years: a window of an hour a day opens once a day, is never entered late, and an opening is
/// found from every instant before it.
#[test]
fn f21_every_zone_opens_every_day_for_ten_years() {
    for zone in chrono_tz::TZ_VARIANTS {
        let window = Window::compile(
            &spec(serde_json::json!([
                {"from": "01:30", "to": "04:00", "timeZone": zone.name()}
            ]))[0],
        )
        .unwrap();
        let windows = Windows(vec![window.clone()]);
        let mut date = NaiveDate::from_ymd_opt(2025, 1, 1).unwrap();
        let end = NaiveDate::from_ymd_opt(2035, 1, 1).unwrap();
        while date < end {
            let (from, to) = (
                window.instant(date, window.from),
                window.instant(date, window.to),
            );
            assert!(from < to, "{zone} {date}: opens {from}, closes {to}");
            let local = from.chrono().with_timezone(&zone);
            // At 01:30, or at the first instant after a gap that covers it.
            let exact = local.time() == NaiveTime::from_hms_opt(1, 30, 0).unwrap();
            let gap = zone.from_local_datetime(&date.and_hms_opt(1, 30, 0).unwrap());
            assert!(exact || gap == LocalResult::None, "{zone} {date}: {local}");
            // Looked for daily only where the clock changes, to keep the test short.
            let before = zone.from_utc_datetime(&from.minus(Span::hours(12)).chrono().naive_utc());
            let after = zone.from_utc_datetime(&from.plus(Span::hours(12)).chrono().naive_utc());
            let changes =
                chrono::Offset::fix(before.offset()) != chrono::Offset::fix(after.offset());
            if changes {
                let asked = from.minus(Span::seconds(1));
                assert_eq!(
                    windows.opens_at(asked, Errand::default()),
                    Some(from),
                    "{zone} {date}"
                );
            }
            date = date.succ_opt().unwrap();
        }
    }
}
