//! What a record may cost the validator: steps, and memory for errors.
//!
//! The `jsonschema` crate can't be interrupted, and both its verdict and its errors can be exponential in the schema's
//! references and the record's depth. But it sees a record only through this crate's nodes. Each look at a node is
//! charged here, and a call that looks too often is unwound. `resume_unwind` is meant for that: it runs no panic hook,
//! and nothing is printed. The validator holds nothing across calls that could be left half done.
//!
//! Steps are kept with the document that is looked at; the rest of the account belongs to the thread, for the crate's
//! traits have no room for anything passed along.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

/// What one call may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Looks at a value, or equivalents: about two nanoseconds each.
    pub(crate) steps: u64,
    /// Memory for errors, in bytes.
    pub(crate) memory: u64,
    /// What one error takes, in bytes, beyond what it says of its value.
    pub(crate) error: u64,
}

impl Budget {
    /// For a value that no call was made for.
    const UNBOUNDED: Budget = Budget {
        steps: u64::MAX,
        memory: u64::MAX,
        error: 0,
    };
}

/// A call used up its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// Steps that are left for looks at one document. A record's own are in its document and not in the thread's account,
/// which takes a call to find.
#[derive(Debug)]
pub(crate) struct Steps(Cell<u64>);

impl Default for Steps {
    fn default() -> Self {
        Steps(Cell::new(Budget::UNBOUNDED.steps))
    }
}

impl Steps {
    /// Takes steps.
    #[inline]
    pub(crate) fn charge(&self, steps: u64) {
        let Some(left) = self.0.get().checked_sub(steps) else {
            // What is dropped on the way must not end here again.
            self.0.set(Budget::UNBOUNDED.steps);
            exhaust()
        };
        self.0.set(left);
    }
}

/// What a thread's call has left beside its document's steps.
struct Account {
    /// Steps for looks at names as values, all together, and for comparing values: they come without a document.
    names: Cell<u64>,
    memory: Cell<u64>,
    error: Cell<u64>,
    remembered: Cell<u32>,
}

thread_local! {
    static ACCOUNT: Account = const {
        Account {
            names: Cell::new(Budget::UNBOUNDED.steps),
            memory: Cell::new(Budget::UNBOUNDED.memory),
            error: Cell::new(Budget::UNBOUNDED.error),
            remembered: Cell::new(0),
        }
    };
}

/// So many verdicts on parts of a record are remembered: 32 bytes each, in a table that doubles.
const MAX_REMEMBERED: u32 = 900_000;

fn set(budget: Budget) {
    ACCOUNT.with(|account| {
        account.names.set(budget.steps);
        account.memory.set(budget.memory);
        account.error.set(budget.error);
        account.remembered.set(0);
    });
}

/// Whether one more verdict may be remembered. Beyond that they are found anew, which takes steps.
pub(crate) fn may_remember() -> bool {
    ACCOUNT.with(|account| {
        let remembered = account.remembered.get();
        account.remembered.set(remembered.saturating_add(1));
        remembered < MAX_REMEMBERED
    })
}

/// Makes a call of the validator, on a document with these steps, that ends when it has used up its budget.
pub(crate) fn within<T>(
    budget: Budget,
    steps: &Steps,
    call: impl FnOnce() -> T,
) -> Result<T, Exhausted> {
    steps.0.set(budget.steps);
    set(budget);
    let made = panic::catch_unwind(AssertUnwindSafe(call));
    set(Budget::UNBOUNDED);
    steps.0.set(Budget::UNBOUNDED.steps);
    made.or_else(|reason| match reason.downcast::<Exhausted>() {
        Ok(exhausted) => Err(*exhausted),
        // A bug of somebody's: as if nothing had been caught.
        Err(reason) => panic::resume_unwind(reason),
    })
}

/// Steps that are left for names; given back to [`keep_names`] when one has been looked at.
pub(crate) fn names() -> Steps {
    Steps(Cell::new(ACCOUNT.with(|account| account.names.get())))
}

/// What a name has left for the next ones.
pub(crate) fn keep_names(left: &Steps) {
    ACCOUNT.with(|account| account.names.set(left.0.get()));
}

/// Charges steps where no document is at hand.
pub(crate) fn charge(steps: u64) {
    let left = names();
    left.charge(steps);
    keep_names(&left);
}

/// Charges an error that says so much of its value, in bytes.
pub(crate) fn charge_error(bytes: u64) {
    ACCOUNT.with(|account| {
        let size = account.error.get().saturating_add(bytes);
        match account.memory.get().checked_sub(size) {
            Some(left) => account.memory.set(left),
            None => exhaust(),
        }
    });
}

#[cold]
#[inline(never)]
fn exhaust() -> ! {
    set(Budget::UNBOUNDED);
    panic::resume_unwind(Box::new(Exhausted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Budget = Budget {
        steps: 10,
        memory: 100,
        error: 20,
    };

    #[test]
    fn a_call_ends_when_its_steps_are_used_up() {
        let steps = Steps::default();
        assert_eq!(within(SMALL, &steps, || steps.charge(10)), Ok(()));
        let endless = || -> () {
            loop {
                steps.charge(1);
            }
        };
        assert_eq!(within(SMALL, &steps, endless), Err(Exhausted));
    }

    #[test]
    fn names_have_one_account_together() {
        let steps = Steps::default();
        let look = |count: u64| {
            within(SMALL, &steps, || {
                for _ in 0..count {
                    let name = names();
                    name.charge(5);
                    keep_names(&name);
                }
            })
        };
        assert_eq!(look(2), Ok(()));
        assert_eq!(look(3), Err(Exhausted));
    }

    #[test]
    fn a_call_ends_when_its_errors_are_too_large() {
        let steps = Steps::default();
        let errors = |count| {
            within(SMALL, &steps, || {
                for _ in 0..count {
                    charge_error(5);
                }
            })
        };
        assert_eq!(errors(4), Ok(()));
        assert_eq!(errors(5), Err(Exhausted));
    }

    #[test]
    fn nothing_is_charged_beyond_the_call() {
        let steps = Steps::default();
        let _ = within(SMALL, &steps, || steps.charge(1000));
        steps.charge(1 << 40);
        charge_error(1 << 40);
    }

    #[test]
    fn other_panics_go_on() {
        let steps = Steps::default();
        let call = || within(SMALL, &steps, || panic::resume_unwind(Box::new(7)));
        let panicked = panic::catch_unwind(AssertUnwindSafe(call));
        assert_eq!(*panicked.unwrap_err().downcast::<i32>().unwrap(), 7);
    }
}
