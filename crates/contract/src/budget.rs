//! What a record may cost the validator: steps, and memory for errors.
//!
//! The `jsonschema` crate can't be interrupted, and both its verdict and its errors can be exponential in the schema's
//! references and the record's depth. But it sees a record only through this crate's nodes. Each look at a node is
//! charged here, and a call that looks too often is unwound. `resume_unwind` is meant for that: it runs no panic hook,
//! and nothing is printed. The validator holds nothing across calls that could be left half done.
//!
//! The account belongs to the thread, for the crate's traits have no room for anything passed along.

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

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(Budget::UNBOUNDED.steps) };
    static MEMORY: Cell<u64> = const { Cell::new(Budget::UNBOUNDED.memory) };
    static ERROR: Cell<u64> = const { Cell::new(Budget::UNBOUNDED.error) };
    static REMEMBERED: Cell<u32> = const { Cell::new(0) };
}

/// So many verdicts on parts of a record are remembered: 32 bytes each, in a table that doubles.
const MAX_REMEMBERED: u32 = 900_000;

fn set(budget: Budget) {
    STEPS.set(budget.steps);
    MEMORY.set(budget.memory);
    ERROR.set(budget.error);
    REMEMBERED.set(0);
}

/// Whether one more verdict may be remembered. Beyond that they are found anew, which takes steps.
pub(crate) fn may_remember() -> bool {
    let remembered = REMEMBERED.get();
    REMEMBERED.set(remembered.saturating_add(1));
    remembered < MAX_REMEMBERED
}

/// Makes a call of the validator that ends when it has used up its budget.
pub(crate) fn within<T>(budget: Budget, call: impl FnOnce() -> T) -> Result<T, Exhausted> {
    set(budget);
    let made = panic::catch_unwind(AssertUnwindSafe(call));
    set(Budget::UNBOUNDED);
    made.or_else(|reason| match reason.downcast::<Exhausted>() {
        Ok(exhausted) => Err(*exhausted),
        // A bug of somebody's: as if nothing had been caught.
        Err(reason) => panic::resume_unwind(reason),
    })
}

/// Charges steps.
#[inline]
pub(crate) fn charge(steps: u64) {
    match STEPS.get().checked_sub(steps) {
        Some(left) => STEPS.set(left),
        None => exhaust(),
    }
}

/// Charges an error that says so much of its value, in bytes.
pub(crate) fn charge_error(bytes: u64) {
    match MEMORY.get().checked_sub(ERROR.get().saturating_add(bytes)) {
        Some(left) => MEMORY.set(left),
        None => exhaust(),
    }
}

#[cold]
#[inline(never)]
fn exhaust() -> ! {
    // What is dropped on the way must not end here again.
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
        assert_eq!(within(SMALL, || charge(10)), Ok(()));
        let endless = || -> () {
            loop {
                charge(1);
            }
        };
        assert_eq!(within(SMALL, endless), Err(Exhausted));
    }

    #[test]
    fn a_call_ends_when_its_errors_are_too_large() {
        let errors = |count| {
            within(SMALL, || {
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
        let _ = within(SMALL, || charge(1000));
        charge(1 << 40);
        charge_error(1 << 40);
    }

    #[test]
    fn other_panics_go_on() {
        let panicked = panic::catch_unwind(|| within(SMALL, || panic::resume_unwind(Box::new(7))));
        assert_eq!(*panicked.unwrap_err().downcast::<i32>().unwrap(), 7);
    }
}
