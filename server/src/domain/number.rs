//! Counts as numbers to calculate with.

/// A count as a float. Above 2^53 it is rounded, which no rule here can tell.
#[expect(
    clippy::as_conversions,
    reason = "there is no lossless conversion, and the loss is without effect"
)]
#[must_use]
pub fn real(count: u64) -> f64 {
    count as f64
}
