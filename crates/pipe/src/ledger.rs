//! The delivery ledger: what was handed over, in the order of the input, until it is settled.

use std::collections::VecDeque;

/// What a ledger calls an entry while it is open; given out in ascending order.
pub type Ticket = u64;

/// Entries in the order in which they were opened. They may be settled in any order, and are taken off in
/// the order of opening: so whoever takes them sees a prefix of the input of which all is known. Tee, acks,
/// report and checkpoint all rest on that.
#[derive(Debug)]
pub struct Ledger<E, S> {
    first: Ticket,
    entries: VecDeque<(E, Option<S>)>,
    open: usize,
}

impl<E, S> Default for Ledger<E, S> {
    fn default() -> Self {
        Self {
            first: 0,
            entries: VecDeque::new(),
            open: 0,
        }
    }
}

impl<E, S> Ledger<E, S> {
    /// The ticket that the next entry gets.
    #[must_use]
    pub fn next_ticket(&self) -> Ticket {
        self.first + self.entries.len() as u64
    }

    /// Opens an entry.
    pub fn open(&mut self, entry: E) -> Ticket {
        let ticket = self.next_ticket();
        self.entries.push_back((entry, None));
        self.open += 1;
        ticket
    }

    /// Settles an open entry. `false` if there is none by this ticket: it was settled before. The first
    /// word stands.
    pub fn settle(&mut self, ticket: Ticket, result: S) -> bool {
        let index = ticket
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| self.entries.get_mut(index)) {
            Some((_, settled @ None)) => {
                *settled = Some(result);
                self.open -= 1;
                true
            }
            _ => false,
        }
    }

    /// Takes off the oldest entry, if it is settled.
    pub fn take_settled(&mut self) -> Option<(E, S)> {
        self.entries.front()?.1.as_ref()?;
        self.first += 1;
        let (entry, settled) = self.entries.pop_front()?;
        settled.map(|settled| (entry, settled))
    }

    /// Settles all that is open.
    pub fn settle_all(&mut self, mut result: impl FnMut(&E) -> S) {
        for (entry, settled) in &mut self.entries {
            if settled.is_none() {
                *settled = Some(result(entry));
            }
        }
        self.open = 0;
    }

    /// Entries that are not settled.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.open
    }

    /// Entries that were not taken off: in flight, or waiting behind one that is.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether all was taken off.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_leave_in_order_and_the_first_word_stands() {
        let mut ledger = Ledger::default();
        let (a, b) = (ledger.open("a"), ledger.open("b"));
        assert!(ledger.settle(b, 2));
        assert_eq!(
            (ledger.take_settled(), ledger.in_flight(), ledger.len()),
            (None, 1, 2)
        );
        assert!(ledger.settle(a, 1));
        assert!(!ledger.settle(a, 9));
        assert_eq!(ledger.take_settled(), Some(("a", 1)));
        assert!(!ledger.settle(a, 9));
        assert_eq!(ledger.take_settled(), Some(("b", 2)));
        assert!(ledger.is_empty());
        assert!(!ledger.settle(b + 7, 1));
    }

    proptest! {
        #[test]
        fn every_entry_leaves_once_with_its_own_result(order in Just((0..60u64).collect::<Vec<_>>()).prop_shuffle(), give_up in 0..60usize) {
            let mut ledger = Ledger::default();
            for entry in 0..60u64 {
                prop_assert_eq!(ledger.open(entry), entry);
            }
            let mut taken = Vec::new();
            for (at, ticket) in order.into_iter().enumerate() {
                if at == give_up {
                    ledger.settle_all(|entry| entry * 10);
                }
                prop_assert_eq!(ledger.settle(ticket, ticket * 10), at < give_up);
                while let Some((entry, result)) = ledger.take_settled() {
                    prop_assert_eq!(result, entry * 10);
                    taken.push(entry);
                }
            }
            prop_assert_eq!(taken, (0..60).collect::<Vec<_>>());
            prop_assert_eq!(ledger.in_flight(), 0);
        }
    }
}
