use super::*;

fn now() -> Time {
    "2026-11-29T12:00:00Z".parse().unwrap()
}

fn ticket(name: &str, namespace: &str, status: Value) -> Ticket {
    let ticket = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "Ticket",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"finding": {"policy": "prod", "check": "c", "layer": "L3", "subjectRef": "Pod/web",
                             "subject": {"kind": "Pod", "namespace": namespace, "name": "web"}}},
        "status": status,
    });
    serde_json::from_value(ticket).unwrap()
}

fn matter() -> Matter {
    let policy = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy", "metadata": {"name": "prod"},
        "spec": {"schedule": {"every": "15m"}},
        "status": {
            "conditions": [{"type": "Covered", "status": "False", "reason": "AccessDenied", "message": "blind",
                            "lastTransitionTime": "2026-11-29T11:00:00Z"}],
            "coverage": [{"kind": "Pod", "inspected": 3, "notApplicable": 1, "unknown": 2, "reasons": ["AccessDenied"]}],
        },
    });
    let waiver = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "TicketWaiver",
        "metadata": {"name": "w", "namespace": "shop", "creationTimestamp": "2026-11-01T00:00:00Z"},
        "spec": {"checks": ["*"], "reason": "a|b", "owner": "team", "expiresAt": "2026-11-29T12:00:00Z"},
    });
    Matter {
        tickets: vec![
            ticket(
                "b",
                "shop",
                json!({
                    "severity": "High", "party": "Customer", "message": "<script>alert(1)</script>",
                    "episode": {"n": 1, "openedAt": "2026-11-29T10:00:00Z", "dueAt": "2026-11-29T12:00:00Z"},
                }),
            ),
            ticket(
                "a",
                "bank",
                json!({
                    "severity": "Critical", "phase": "Acknowledged", "party": "Platform",
                    "episode": {"n": 1, "openedAt": "2026-11-27T12:00:00Z", "dueAt": "2026-11-30T12:00:00Z"},
                }),
            ),
            ticket("c", "bank", json!({"severity": "Low", "phase": "Waived"})),
            ticket(
                "d",
                "bank",
                json!({
                    "severity": "Low", "phase": "Resolved",
                    "episode": {"n": 1, "openedAt": "2026-11-28T10:00:00Z", "resolvedAt": "2026-11-28T11:00:00Z"},
                }),
            ),
        ],
        policies: vec![serde_json::from_value(policy).unwrap()],
        waivers: vec![serde_json::from_value(waiver).unwrap()],
        unseen: vec!["x cannot be listed".into()],
    }
}

pub fn sample() -> Page {
    Page::of(&matter(), None, now())
}

fn section<'a>(page: &'a Page, title: &str) -> &'a Section {
    let mut all = page.sections.iter();
    all.find(|s| s.title.starts_with(title)).unwrap()
}

#[test]
fn the_summary_counts_each_ticket_once() {
    let page = sample();
    let summary = section(&page, "Summary");
    assert_eq!(
        summary.says,
        [
            "2 tickets are open, the oldest for 2d.",
            "1 past the due time, 1 waived, 1 resolved and still kept.",
        ]
    );
    let bars: Vec<(&str, u64)> = summary.bars.iter().map(|(s, n)| (s.as_str(), *n)).collect();
    assert_eq!(
        bars,
        [
            ("Critical", 1),
            ("High", 1),
            ("Medium", 0),
            ("Low", 0),
            ("Info", 0)
        ]
    );
    let open = section(&page, "Open tickets");
    let names: Vec<&str> = open.rows.iter().map(|r| r[1].as_str()).collect();
    assert_eq!(names, ["bank", "shop"], "the worst first");
    assert_eq!(open.rows[1][7], "2026-11-29 12:00 UTC (passed)");
    assert_eq!(section(&page, "Waived tickets").rows.len(), 1);
    let namespaces = &section(&page, "By namespace").rows;
    assert_eq!(namespaces, &[["bank", "1"], ["shop", "1"]]);
}

#[test]
fn a_trend_ends_today() {
    let page = sample();
    let rows = &section(&page, "Last two weeks").rows;
    assert_eq!(rows.len(), 14);
    assert_eq!(rows[13], ["2026-11-29", "1", "0"]);
    assert_eq!(rows[12], ["2026-11-28", "1", "1"]);
    assert_eq!(rows[11], ["2026-11-27", "1", "0"]);
    assert_eq!(rows[0], ["2026-11-16", "0", "0"]);
}

#[test]
fn what_could_not_be_seen_is_said() {
    let page = sample();
    let coverage = section(&page, "Coverage");
    assert_eq!(
        coverage.says,
        [
            "Not in this report: x cannot be listed.",
            "prod: AccessDenied: blind"
        ]
    );
    assert_eq!(
        coverage.rows,
        [["prod", "Pod", "3", "1", "2", "AccessDenied"]]
    );
    let nothing = Page::of(&Matter::default(), Some("shop"), now());
    assert_eq!(
        section(&nothing, "Coverage").says,
        ["No policy is known: nothing is patrolled."]
    );
    assert_eq!(
        nothing.title,
        "kube-patrol report of namespace shop, 2026-11-29 12:00 UTC"
    );
    let waivers = &section(&page, "Waivers").rows[0];
    assert_eq!(waivers[3], "2026-11-29 12:00 UTC (ended)");
}

/// The form of the data is a promise.
#[test]
fn the_data_is_as_it_was_promised() {
    let page = sample();
    assert_eq!(
        page.json(),
        &json!({
            "apiVersion": "kubepatrol.io/report/v1",
            "kind": "PatrolReport",
            "at": "2026-11-29T12:00:00Z",
            "namespace": null,
            "summary": {
                "open": 2, "overdue": 1, "waived": 1, "resolved": 1,
                "bySeverity": {"Critical": 1, "High": 1},
                "byParty": {"Customer": 1, "Platform": 1},
            },
            "tickets": [
                {"namespace": "bank", "name": "a", "policy": "prod", "check": "c", "severity": "Critical", "party": "Platform",
                 "layer": "L3", "subject": {"group": "", "kind": "Pod", "namespace": "bank", "name": "web"},
                 "phase": "Acknowledged", "openedAt": "2026-11-27T12:00:00Z", "dueAt": "2026-11-30T12:00:00Z", "message": ""},
                {"namespace": "shop", "name": "b", "policy": "prod", "check": "c", "severity": "High", "party": "Customer",
                 "layer": "L3", "subject": {"group": "", "kind": "Pod", "namespace": "shop", "name": "web"},
                 "phase": "Open", "openedAt": "2026-11-29T10:00:00Z", "dueAt": "2026-11-29T12:00:00Z",
                 "message": "<script>alert(1)</script>"},
                {"namespace": "bank", "name": "c", "policy": "prod", "check": "c", "severity": "Low", "party": null,
                 "layer": "L3", "subject": {"group": "", "kind": "Pod", "namespace": "bank", "name": "web"},
                 "phase": "Waived", "openedAt": null, "dueAt": null, "message": ""},
            ],
            "waivers": [{"namespace": "shop", "name": "w", "treatment": "Waive", "owner": "team", "reason": "a|b",
                         "expiresAt": "2026-11-29T12:00:00Z", "matched": null}],
            "coverage": [{"policy": "prod", "covered": "False", "reason": "AccessDenied", "lastCompletePatrolAt": null,
                          "kinds": [{"kind": "Pod", "inspected": 3, "notApplicable": 1, "unknown": 2, "reasons": ["AccessDenied"]}]}],
            "unseen": ["x cannot be listed"],
        })
    );
}
