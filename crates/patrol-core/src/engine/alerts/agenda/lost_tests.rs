//! F38: a mistake of ours drops a timer, and the auditor finds out.

use patrol_api::time::Span;
use serde_json::json;

use super::Lane;
use crate::engine::auditor::Auditor;
use crate::sym::Sym;
use crate::world::World;

/// A plan for somebody who is owed nothing is lost: the plans for the others stay.
#[test]
fn what_is_lost_and_owed_no_more_takes_no_other_plan_with_it() {
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::seconds(5));
    let key = w.ticket_key("shop/a");
    let agenda = &mut w.engine.agenda;
    let mut plans = agenda.planned[&key].to_vec();
    let at = plans[0].1;
    plans.push((Sym::new("nobody"), at));
    agenda.planned.insert(key, plans.into());
    let now = w.now();
    w.engine.auditor = Auditor::default();
    w.engine.audit(now);
    w.mono += 300_000;
    let now = w.now();
    w.engine.audit(now);
    w.run_for(Span::minutes(1));
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
}

#[test]
fn f38_what_was_planned_and_lost_is_planned_again_and_counted() {
    let lose: [fn(&mut Lane); 2] = [|lane| lane.due.clear(), |lane| *lane = Lane::default()];
    for lose in lose {
        let mut w = World::patrolled();
        w.pod("shop/a", json!({"bad": "yes"}));
        w.run_for(Span::seconds(5));
        assert_eq!(w.told("soc", "shop/a").len(), 0);
        w.engine.agenda.lanes.values_mut().for_each(lose);
        w.run_for(Span::seconds(310));
        assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
        assert_eq!(w.snapshot().counters.audits.1, 1);
        w.run_for(Span::hours(1));
        assert_eq!(w.snapshot().counters.audits.1, 1, "and that was all");
    }
}
