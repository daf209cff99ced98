//! When a client is at a standstill: it waits for acknowledgements, and others get on. The time is passed in.
//!
//! Only time counts in which others get on: while nobody does it is the broker's fault, or the network's, and waiting
//! is right. To be connected is not to get on: a link that is half open looks the same. Whoever got an acknowledgement
//! got on; and when all is quiet, so did those that are done, if one of them got its last when the last of those that
//! wait had already begun to. Without that a stuck client would hold up the end of a run for ever.

use std::time::{Duration, Instant};

/// What counts at most of the time between two looks: in a longer one nobody looked, and nobody knows.
const LONGEST: Duration = Duration::from_secs(2);

/// What a look at a client shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// Messages that it was given so far.
    pub(crate) given: u64,
    /// Those of them that are settled.
    pub(crate) settled: u64,
    /// The keep alive of its connection; `None` if it has none.
    pub(crate) connection: Option<Duration>,
}

/// What earlier looks at a client have shown.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    settled: u64,
    /// When something was last settled.
    moved: Option<Instant>,
    /// Since when it waits, and what the clock of [`Standstills`] said then.
    since: Option<(Instant, Duration)>,
}

/// Finds the clients of a fleet that are at a standstill.
#[derive(Debug)]
pub(crate) struct Standstills {
    /// How long a client may wait while others get on.
    limit: Duration,
    looked: Instant,
    /// The time so far in which some got on.
    clock: Duration,
    /// What it said when nobody was connected last: all begin to wait anew then.
    anew: Duration,
}

impl Standstills {
    pub(crate) fn new(limit: Duration, now: Instant) -> Self {
        Self {
            limit,
            looked: now,
            clock: Duration::ZERO,
            anew: Duration::ZERO,
        }
    }

    /// How long a client may wait: as was asked for, or twice the keep alive that the broker wants, so that a lost link
    /// is noticed first.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Looks at all clients; the places of those that are at a standstill.
    pub(crate) fn look<'a>(
        &mut self,
        now: Instant,
        clients: impl Iterator<Item = (usize, Sight, &'a mut Wait)>,
    ) -> Vec<usize> {
        let then = self.clock + (now - self.looked).min(LONGEST);
        self.looked = now;
        let (mut connected, mut got_on, mut done) = (false, false, None);
        let mut waiting = Vec::new();
        for (place, sight, wait) in clients {
            let moves = sight.settled != wait.settled;
            if moves {
                (wait.settled, wait.moved, wait.since) = (sight.settled, Some(now), None);
            }
            let idle = sight.settled == sight.given;
            if idle {
                wait.since = None;
            } else {
                waiting.push((place, *wait.since.get_or_insert((now, then))));
            }
            if let Some(keep_alive) = sight.connection {
                connected = true;
                got_on |= moves;
                done = done.max(wait.moved.filter(|_| idle));
                self.limit = self.limit.max(keep_alive * 2);
            }
        }
        if !connected {
            self.anew = then;
        }
        let begun = waiting.iter().map(|&(_, (begun, _))| begun).max();
        if got_on || done >= begun {
            self.clock = then;
        }
        let (clock, anew, limit) = (self.clock, self.anew, self.limit);
        let is_over = |since: Duration| clock.saturating_sub(since.max(anew)) >= limit;
        waiting.retain(|&(_, (_, since))| is_over(since));
        waiting.into_iter().map(|(place, _)| place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_mins(2);
    const SECOND: Duration = Duration::from_secs(1);

    /// A fleet that is looked at once a second.
    struct Fleet {
        standstills: Standstills,
        now: Instant,
        clients: Vec<(Sight, Wait)>,
    }

    impl Fleet {
        /// All are connected, and have nothing to do.
        fn of(count: usize) -> Self {
            let now = Instant::now();
            let sight = Sight {
                given: 0,
                settled: 0,
                connection: Some(Duration::ZERO),
            };
            Self {
                standstills: Standstills::new(LIMIT, now),
                now,
                clients: (0..count).map(|_| (sight, Wait::default())).collect(),
            }
        }

        fn give(&mut self, place: usize) {
            self.clients[place].0.given += 1;
        }

        fn settle(&mut self, place: usize) {
            self.clients[place].0.settled += 1;
        }

        /// A message that is given and settled at once.
        fn pass(&mut self, place: usize) {
            self.give(place);
            self.settle(place);
        }

        fn connect(&mut self, connection: Option<Duration>) {
            for (sight, _) in &mut self.clients {
                sight.connection = connection;
            }
        }

        fn look_after(&mut self, time: Duration) -> Vec<usize> {
            self.now += time;
            let clients = self.clients.iter_mut().enumerate();
            let clients = clients.map(|(place, (sight, wait))| (place, *sight, wait));
            self.standstills.look(self.now, clients)
        }

        /// Looks for `seconds`, doing `each` before every look: after how many somebody was at a standstill, and who.
        fn watch(
            &mut self,
            seconds: usize,
            mut each: impl FnMut(&mut Self),
        ) -> Option<(usize, Vec<usize>)> {
            (1..=seconds).find_map(|second| {
                each(self);
                let found = self.look_after(SECOND);
                (!found.is_empty()).then_some((second, found))
            })
        }
    }

    #[test]
    fn one_that_gets_nothing_while_others_get_on_has_the_whole_time_and_no_more() {
        let mut fleet = Fleet::of(3);
        fleet.give(1);
        let found = fleet.watch(1000, |fleet| fleet.pass(0));
        // The first look sees it begin.
        assert_eq!(found, Some((121, vec![1])));
    }

    #[test]
    fn one_that_gets_something_now_and_then_is_at_no_standstill() {
        let mut fleet = Fleet::of(2);
        let mut second = 0;
        let found = fleet.watch(1000, |fleet| {
            fleet.pass(0);
            fleet.give(1);
            second += 1;
            if second % 100 == 0 {
                fleet.settle(1);
            }
        });
        assert_eq!(found, None);
    }

    #[test]
    fn while_nobody_gets_on_nobody_is_at_a_standstill_however_many_idle_connections_there_are() {
        let mut fleet = Fleet::of(10);
        for place in 0..10 {
            fleet.pass(place);
        }
        assert_eq!(fleet.look_after(SECOND), [0; 0]);
        fleet.give(3);
        fleet.give(4);
        assert_eq!(fleet.watch(1000, |_| {}), None);
    }

    #[test]
    fn those_that_still_get_records_on_a_dead_link_are_no_reason_to_give_up_the_others() {
        let mut fleet = Fleet::of(200);
        fleet.give(0);
        fleet.pass(199);
        assert_eq!(fleet.look_after(SECOND), [0; 0]);
        let mut next = 1;
        let found = fleet.watch(150, |fleet| {
            fleet.give(next);
            next += 1;
        });
        assert_eq!(found, None);
    }

    #[test]
    fn after_an_outage_each_has_the_whole_time_from_when_the_first_is_back() {
        let mut fleet = Fleet::of(1000);
        for place in 1..1000 {
            fleet.give(place);
        }
        let before = fleet.watch(100, |fleet| fleet.pass(0));
        fleet.connect(None);
        assert_eq!((before, fleet.watch(600, |_| {})), (None, None));
        fleet.connect(Some(Duration::ZERO));
        assert_eq!(fleet.watch(119, |fleet| fleet.pass(0)), None);
        // All but one come back in time.
        for place in 2..1000 {
            fleet.settle(place);
        }
        assert_eq!(
            fleet.watch(10, |fleet| fleet.pass(0)),
            Some((2, vec![1])),
            "the one that never came back"
        );
    }

    #[test]
    fn when_all_others_are_done_the_last_one_holds_up_the_end_no_longer() {
        let mut fleet = Fleet::of(3);
        fleet.give(1);
        for place in [0, 2] {
            fleet.pass(place);
        }
        assert_eq!(fleet.watch(1000, |_| {}), Some((121, vec![1])));
    }

    #[test]
    fn a_time_in_which_nobody_looked_counts_little() {
        let mut fleet = Fleet::of(2);
        fleet.give(1);
        fleet.pass(0);
        assert_eq!(fleet.look_after(SECOND), [0; 0]);
        fleet.pass(0);
        assert_eq!(fleet.look_after(LIMIT * 10), [0; 0]);
    }

    #[test]
    fn the_broker_may_want_a_longer_keep_alive_and_a_lost_link_is_noticed_first() {
        let mut fleet = Fleet::of(2);
        fleet.connect(Some(SECOND * 300));
        fleet.give(1);
        let found = fleet.watch(1000, |fleet| fleet.pass(0));
        assert_eq!(found, Some((601, vec![1])));
        assert_eq!(fleet.standstills.limit(), SECOND * 600);
    }
}
