//! Points that are written together.

use std::ops::Range;

use super::{Limits, Settled, Ticket};

/// Lines one behind the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    lines: Vec<u8>,
    /// Of each point, and where its line ends.
    points: Vec<(Ticket, usize)>,
}

impl Batch {
    /// Whether nothing more should be added.
    pub(super) fn is_full(&self, limits: Limits) -> bool {
        self.points.len() >= limits.points || self.lines.len() >= limits.bytes
    }

    /// Whether this line should not be added.
    pub(super) fn is_full_for(&self, line: &[u8], limits: Limits) -> bool {
        let fits = self.lines.len() + line.len() <= limits.bytes || self.points.is_empty();
        self.points.len() >= limits.points || !fits
    }

    pub(super) fn push(&mut self, ticket: Ticket, line: &[u8]) {
        self.lines.extend_from_slice(line);
        self.points.push((ticket, self.lines.len()));
    }

    /// All its points.
    pub(super) fn all(&self) -> Range<usize> {
        0..self.points.len()
    }

    /// The lines of some of its points.
    pub(super) fn lines(&self, points: &Range<usize>) -> &[u8] {
        let start = points
            .start
            .checked_sub(1)
            .map_or(0, |last| self.points[last].1);
        let end = points
            .end
            .checked_sub(1)
            .map_or(0, |last| self.points[last].1);
        &self.lines[start..end]
    }

    /// The same settlement for some of its points.
    pub(super) fn settle(
        &self,
        points: Range<usize>,
        outcome: &Result<(), String>,
    ) -> Vec<Settled> {
        let points = &self.points[points];
        points
            .iter()
            .map(|(ticket, _)| (*ticket, outcome.clone()))
            .collect()
    }
}
