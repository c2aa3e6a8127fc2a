//! Who is written next: the most severe first, and tickets that are not stored yet before
//! what is only told anew of those that are. It writes nothing.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use patrol_api::words::Severity;

use crate::facts::ObjectKey;

/// Of so many writes one goes to tickets that are stored, while others wait to be opened:
/// a flood of findings must not keep every end and every record from being written.
const SHARE: u8 = 8;

type Row = BTreeSet<(Reverse<Severity>, ObjectKey)>;

/// Tickets that need a write.
#[derive(Debug, Default)]
pub(super) struct Queue {
    absent: Row,
    stored: Row,
    turn: u8,
}

impl Queue {
    /// Asks for a write. `stored`: whether the server has the ticket.
    pub fn ask(&mut self, severity: Severity, key: &ObjectKey, stored: bool) {
        let (row, other) = match stored {
            true => (&mut self.stored, &mut self.absent),
            false => (&mut self.absent, &mut self.stored),
        };
        let place = (Reverse(severity), key.clone());
        other.remove(&place);
        row.insert(place);
    }

    /// Takes out whose turn it is.
    pub fn next(&mut self) -> Option<ObjectKey> {
        self.turn = (self.turn + 1) % SHARE;
        let (first, second) = match self.turn {
            0 => (&mut self.stored, &mut self.absent),
            _ => (&mut self.absent, &mut self.stored),
        };
        let (_, key) = first.pop_first().or_else(|| second.pop_first())?;
        Some(key)
    }

    pub fn len(&self) -> usize {
        self.absent.len() + self.stored.len()
    }

    pub fn is_empty(&self) -> bool {
        self.absent.is_empty() && self.stored.is_empty()
    }

    pub fn clear(&mut self) {
        self.absent.clear();
        self.stored.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("shop", name)
    }

    #[test]
    fn tickets_are_opened_first_and_the_most_severe_of_them_before_the_others() {
        let mut queue = Queue::default();
        queue.ask(Severity::Critical, &key("told"), true);
        queue.ask(Severity::Low, &key("low"), false);
        queue.ask(Severity::High, &key("high"), false);
        let order: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(order, [key("high"), key("low"), key("told")]);
    }

    #[test]
    fn a_flood_of_new_tickets_leaves_one_write_in_eight_to_the_others() {
        let mut queue = Queue::default();
        for n in 0..100 {
            queue.ask(Severity::High, &key(&format!("new-{n}")), false);
            queue.ask(Severity::High, &key(&format!("old-{n}")), true);
        }
        let order: Vec<_> = (0..80).filter_map(|_| queue.next()).collect();
        let old = order.iter().filter(|k| k.name.starts_with("old")).count();
        assert_eq!(old, 10);
    }

    #[test]
    fn a_ticket_waits_in_one_place_only() {
        let mut queue = Queue::default();
        queue.ask(Severity::High, &key("web"), false);
        queue.ask(Severity::High, &key("web"), true);
        assert_eq!((queue.len(), queue.next()), (1, Some(key("web"))));
        assert!(queue.is_empty());
    }
}
