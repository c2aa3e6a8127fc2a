use patrol_api::ticket::{Finding, Subject, TicketSpec};
use patrol_api::words::{Layer, Phase};

use std::path::Path;

use super::*;

fn ticket(name: &str) -> Box<Ticket> {
    let mut ticket = Ticket::new(
        name,
        TicketSpec {
            finding: Finding {
                policy: "p".into(),
                check: "sidecar-missing".into(),
                requirement: None,
                subject: Subject {
                    group: "apps".into(),
                    kind: "Deployment".into(),
                    namespace: Some("shop".into()),
                    name: "web".into(),
                    uid: None,
                },
                subject_ref: "Deployment/web".into(),
                layer: Layer::L3,
                cluster: None,
            },
            assignee: None,
            acknowledge: None,
            snooze: None,
            recheck: None,
        },
    );
    ticket.metadata.namespace = Some("shop".into());
    ticket.status = Some(TicketStatus::default());
    Box::new(ticket)
}

fn now() -> Time {
    Time::from_unix(1_700_000_000)
}

fn create(tickets: &mut Tickets, name: &str) -> (Vec<Event>, WriteResult) {
    let effect = Effect::CreateTicket {
        id: WriteId(1),
        ticket: ticket(name),
    };
    answer(tickets.carry_out(effect, now()))
}

/// The answer to a write, and what was told before it.
fn answer(mut events: Vec<Event>) -> (Vec<Event>, WriteResult) {
    match events.pop() {
        Some(Event::Written(_, result)) => (events, result),
        other => panic!("{other:?}"),
    }
}

fn done(result: WriteResult) -> Box<Ticket> {
    match result {
        WriteResult::Done(Written::Ticket(ticket)) => ticket,
        other => panic!("{other:?}"),
    }
}

fn at(ticket: &Ticket) -> Precondition {
    Precondition {
        key: ObjectKey::new("shop", ticket.metadata.name.as_deref().unwrap()),
        uid: ticket.metadata.uid.clone().unwrap(),
        version: ticket.metadata.resource_version.clone().unwrap(),
    }
}

fn write_status(
    tickets: &mut Tickets,
    at: Precondition,
    message: &str,
) -> (Vec<Event>, WriteResult) {
    let status = Box::new(TicketStatus {
        message: message.into(),
        ..TicketStatus::default()
    });
    let id = WriteId(2);
    answer(tickets.carry_out(Effect::WriteTicketStatus { id, at, status }, now()))
}

fn path(dir: &Path, name: &str) -> PathBuf {
    dir.join("tickets/shop").join(format!("{name}.yaml"))
}

fn told(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| match event {
            Event::Seen(seen) => format!("seen {} {}", seen.key, seen.version),
            Event::Gone(_, key) => format!("gone {key}"),
            Event::ListStarted(_) => "list".into(),
            Event::ListFinished(_) => "end".into(),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_ticket_is_created_once_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut tickets = Tickets::new(dir.path().into());
    let (events, result) = create(&mut tickets, "t");
    assert_eq!(told(&events), ["seen shop/t 1"]);
    let created = done(result);
    assert_eq!(created.metadata.uid.as_ref().unwrap().len(), 36);
    let WriteResult::Exists(Some(there)) = create(&mut tickets, "t").1 else {
        panic!("created twice")
    };
    assert_eq!(there, created);
    let mut again = Tickets::new(dir.path().into());
    assert_eq!(told(&again.list()), ["list", "seen shop/t 1", "end"]);
    let read = again.carry_out(
        Effect::ReadTicket {
            id: WriteId(3),
            key: at(&created).key,
        },
        now(),
    );
    assert_eq!(done(answer(read).1), created);
}

#[test]
fn a_write_needs_the_state_it_assumes() {
    let dir = tempfile::tempdir().unwrap();
    let mut tickets = Tickets::new(dir.path().into());
    let first = done(create(&mut tickets, "t").1);
    let second = done(write_status(&mut tickets, at(&first), "one").1);
    assert_eq!(second.metadata.resource_version.as_deref(), Some("2"));
    let stale = write_status(&mut tickets, at(&first), "two").1;
    assert!(matches!(stale, WriteResult::Conflict), "{stale:?}");
    let mut other = at(&second);
    other.uid = "another".into();
    let foreign = write_status(&mut tickets, other, "two").1;
    assert!(matches!(foreign, WriteResult::Conflict), "{foreign:?}");
    let mut absent = at(&second);
    absent.key = ObjectKey::new("shop", "nothing");
    let missing = write_status(&mut tickets, absent, "two").1;
    assert!(matches!(missing, WriteResult::NotFound), "{missing:?}");
    // A write that changes nothing is none.
    let same = done(write_status(&mut tickets, at(&second), "one").1);
    assert_eq!(same.metadata.resource_version.as_deref(), Some("2"));
}

#[test]
fn labels_are_added_and_a_ticket_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let mut tickets = Tickets::new(dir.path().into());
    let first = done(create(&mut tickets, "t").1);
    let effect = Effect::WriteTicketLabels {
        id: WriteId(2),
        at: at(&first),
        labels: [("a".to_owned(), "b".to_owned())].into(),
    };
    let labelled = done(answer(tickets.carry_out(effect, now())).1);
    assert_eq!(labelled.metadata.labels.as_ref().unwrap()["a"], "b");
    let delete = |at| Effect::DeleteTicket { id: WriteId(3), at };
    let stale = answer(tickets.carry_out(delete(at(&first)), now())).1;
    assert!(matches!(stale, WriteResult::Conflict));
    let (events, result) = answer(tickets.carry_out(delete(at(&labelled)), now()));
    assert_eq!(told(&events), ["gone shop/t"]);
    assert!(matches!(result, WriteResult::Done(Written::Nothing)));
    assert!(!path(dir.path(), "t").exists());
}

#[test]
fn a_file_removed_by_hand_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut tickets = Tickets::new(dir.path().into());
    let first = done(create(&mut tickets, "t").1);
    fs::remove_dir_all(dir.path().join("tickets/shop")).unwrap();
    let (events, result) = write_status(&mut tickets, at(&first), "x");
    assert_eq!(told(&events), ["gone shop/t"]);
    assert!(matches!(result, WriteResult::NotFound));
    assert!(tickets.refresh().is_empty());
    assert_ne!(
        done(create(&mut tickets, "t").1).metadata.uid,
        first.metadata.uid
    );
}

#[test]
fn an_edit_by_hand_is_the_newer_version_and_wins_over_a_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut tickets = Tickets::new(dir.path().into());
    let first = done(create(&mut tickets, "t").1);
    let text = fs::read_to_string(path(dir.path(), "t")).unwrap();
    let edited = text.replace("  finding:", "  assignee: ann\n  finding:");
    assert_ne!(edited, text);
    fs::write(path(dir.path(), "t"), edited).unwrap();
    let (events, result) = write_status(&mut tickets, at(&first), "x");
    assert_eq!(told(&events), ["seen shop/t 2"]);
    assert!(matches!(result, WriteResult::Conflict));
    let mut newer = at(&first);
    newer.version = "2".into();
    let written = done(write_status(&mut tickets, newer, "x").1);
    assert_eq!(written.spec.assignee.as_deref(), Some("ann"));
    assert!(tickets.refresh().is_empty());
}

#[test]
fn what_is_immutable_is_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut tickets = Tickets::new(dir.path().into());
    let first = done(create(&mut tickets, "t").1);
    let text = fs::read_to_string(path(dir.path(), "t")).unwrap();
    let uid = first.metadata.uid.clone().unwrap();
    let forged = text
        .replace("sidecar-missing", "other")
        .replace(&uid, "forged")
        .replace("phase: Open", "phase: Resolved");
    fs::write(path(dir.path(), "t"), forged).unwrap();
    assert_eq!(told(&tickets.refresh()).first().unwrap(), "seen shop/t 2");
    let mut again = Tickets::new(dir.path().into());
    let events = again.list();
    let Some(Event::Seen(seen)) = events.get(1) else {
        panic!("{events:?}")
    };
    let Fact::Ticket(ticket) = &seen.fact else {
        panic!()
    };
    assert_eq!(ticket.spec, first.spec);
    assert_eq!(ticket.metadata.uid, first.metadata.uid);
    // The phase is the engine's to mend.
    assert_eq!(ticket.status.as_ref().unwrap().phase, Phase::Resolved);
}

#[test]
fn a_file_that_is_no_ticket_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut tickets = Tickets::new(dir.path().into());
    create(&mut tickets, "t");
    fs::write(path(dir.path(), "t"), "{half a tick").unwrap();
    assert_eq!(told(&tickets.refresh()), ["gone shop/t"]);
    assert!(dir.path().join("tickets/shop/t.yaml.broken").exists());
    assert!(tickets.refresh().is_empty());
}

#[test]
fn leftovers_of_a_crash_are_no_tickets() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("tickets/shop")).unwrap();
    fs::write(dir.path().join("tickets/shop/.tmp-1"), "half").unwrap();
    let mut tickets = Tickets::new(dir.path().into());
    assert_eq!(told(&tickets.list()), ["list", "end"]);
    assert!(!dir.path().join("tickets/shop/.tmp-1").exists());
}

#[test]
fn a_namespace_out_of_a_manifest_leads_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let root = state.join("tickets");
    let mut tickets = Tickets::new(state);
    let mut hostile = ticket("t");
    hostile.metadata.namespace = Some("../../out".into());
    let effect = Effect::CreateTicket {
        id: WriteId(1),
        ticket: hostile,
    };
    done(answer(tickets.carry_out(effect, now())).1);
    assert!(!dir.path().join("out").exists());
    assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
}

proptest::proptest! {
    /// Whatever texts a ticket holds, its file says the same.
    #[test]
    fn every_ticket_survives_its_file(
        message in "(\\PC|[\n\t]){0,80}",
        word in "(yes|no|on|null|~|0x1F|017|1_000|1e3|\\.inf|- a|a: b|#c|'|\"|\\{\\{|<<|2020-01-01| x |)",
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut tickets = Tickets::new(dir.path().into());
        let mut ticket = ticket("t");
        ticket.spec.assignee = Some(word.clone());
        let status = ticket.status.get_or_insert_default();
        status.message = message;
        status.evidence.reasons = vec![word];
        let effect = Effect::CreateTicket { id: WriteId(1), ticket };
        let created = done(answer(tickets.carry_out(effect, now())).1);
        let mut again = Tickets::new(dir.path().into());
        again.list();
        let read = again.carry_out(
            Effect::ReadTicket { id: WriteId(2), key: at(&created).key },
            now(),
        );
        proptest::prop_assert_eq!(done(answer(read).1), created);
    }
}

/// A file that cannot be read (here a link to itself; elsewhere a mode, a sick disk) may
/// hold anything: acknowledgements, who was told.
#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_a_blind_spot_and_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("tickets/shop");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("t.yaml");
    std::os::unix::fs::symlink("t.yaml", &path).unwrap();
    let mut tickets = Tickets::new(dir.path().to_path_buf());
    let is_blind = |event: &Event| matches!(event, Event::Undecodable(e) if e.key.is_some());
    assert!(tickets.list().iter().any(is_blind));
    assert!(tickets.refresh().is_empty(), "said once");

    let (_, result) = create(&mut tickets, "t");
    assert!(matches!(result, WriteResult::Exists(None)), "{result:?}");
    let key = ObjectKey::new("shop", "t");
    let read = Effect::ReadTicket {
        id: WriteId(1),
        key,
    };
    let (told, _) = answer(tickets.carry_out(read, now()));
    assert!(told.iter().all(is_blind) && !told.is_empty(), "{told:?}");
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());

    fs::remove_file(&path).unwrap();
    assert!(matches!(tickets.refresh()[..], [Event::Gone(..)]));
    let (_, result) = create(&mut tickets, "t");
    done(result);

    // One that was read before is not replaced either, and comes back as it is.
    let before = fs::read(&path).unwrap();
    let aside = folder.join("aside");
    fs::rename(&path, &aside).unwrap();
    std::os::unix::fs::symlink("t.yaml", &path).unwrap();
    assert!(tickets.refresh().iter().any(is_blind));
    let (_, result) = create(&mut tickets, "t");
    assert!(matches!(result, WriteResult::Exists(None)), "{result:?}");
    fs::rename(&aside, &path).unwrap();
    assert!(matches!(tickets.refresh()[..], [Event::Seen(_)]));
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// What people ask for is theirs: it survives every rewrite of the file and a restart.
#[test]
fn what_people_ask_for_survives_our_own_rewrites() {
    let dir = tempfile::tempdir().unwrap();
    let mut tickets = Tickets::new(dir.path().into());
    let first = done(create(&mut tickets, "t").1);
    let pause = patrol_api::ticket::Pause {
        until: now(),
        reason: "known".into(),
        by: Some("ann".into()),
    };
    let asked = TicketSpec {
        assignee: Some("ann".into()),
        acknowledge: Some(pause.clone()),
        snooze: Some(pause),
        recheck: Some("1".into()),
        finding: first.spec.finding.clone(),
    };
    super::super::edits::change(dir.path(), &first, |spec| *spec = asked.clone()).unwrap();
    // A write that was decided before the edit conflicts, the next one keeps it.
    let (events, result) = write_status(&mut tickets, at(&first), "x");
    assert_eq!(told(&events), ["seen shop/t 2"]);
    assert!(matches!(result, WriteResult::Conflict), "{result:?}");
    let mut newer = at(&first);
    newer.version = "2".into();
    let second = done(write_status(&mut tickets, newer, "x").1);
    let effect = Effect::WriteTicketLabels {
        id: WriteId(2),
        at: at(&second),
        labels: [("a".to_owned(), "b".to_owned())].into(),
    };
    let third = done(answer(tickets.carry_out(effect, now())).1);
    assert_eq!(third.spec, asked);
    assert_eq!(
        third.metadata.generation,
        Some(2),
        "one edit, one generation"
    );
    let mut again = Tickets::new(dir.path().into());
    let events = again.list();
    let Some(Event::Seen(seen)) = events.get(1) else {
        panic!("{events:?}")
    };
    let Fact::Ticket(ticket) = &seen.fact else {
        panic!()
    };
    assert_eq!(ticket.spec, asked);
}

#[test]
fn an_edit_of_what_somebody_else_changed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut tickets = Tickets::new(dir.path().into());
    let first = done(create(&mut tickets, "t").1);
    done(write_status(&mut tickets, at(&first), "x").1);
    let assign = |spec: &mut TicketSpec| spec.assignee = Some("ann".into());
    let stale = super::super::edits::change(dir.path(), &first, assign);
    assert!(matches!(
        stale,
        Err(super::super::edits::EditError::Changed)
    ));
    fs::remove_file(path(dir.path(), "t")).unwrap();
    let gone = super::super::edits::change(dir.path(), &first, assign);
    assert!(matches!(gone, Err(super::super::edits::EditError::Gone)));
}

/// Between reading a file and writing it nobody else writes: what we are asked to write at
/// such a moment is asked again, and nothing is taken for gone.
#[test]
fn while_somebody_edits_nothing_is_written_and_nothing_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut tickets = Tickets::new(dir.path().into());
    let first = done(create(&mut tickets, "t").1);
    let folder = fs::File::open(dir.path().join("tickets")).unwrap();
    folder.lock().unwrap();
    let (events, result) = write_status(&mut tickets, at(&first), "x");
    assert!(events.is_empty() && matches!(result, WriteResult::Failed));
    assert!(tickets.refresh().is_empty());
    let mut again = Tickets::new(dir.path().into());
    assert_eq!(told(&again.list()), ["list", "seen shop/t 1", "end"]);
    drop(folder);
    done(write_status(&mut tickets, at(&first), "x").1);
}
