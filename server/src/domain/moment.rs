//! Points in time that people name.

use chrono::{DateTime, Datelike as _, SubsecRound as _, Utc};

/// A point in time as it is kept: to the microsecond, and in the years 1970 to 9999. Databases do
/// not all reach further back, and one of them compares points in time as texts.
///
/// # Errors
/// When it is not in these years.
pub fn kept(at: DateTime<Utc>) -> Result<DateTime<Utc>, &'static str> {
    if (1970..=9999).contains(&at.year()) {
        Ok(at.trunc_subsecs(6))
    } else {
        Err("must be in the years 1970 to 9999, in UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_with_four_digits_are_kept() {
        let keeps = |text: &str| kept(text.parse().unwrap()).map(|at| at.to_rfc3339());
        for (said, what) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
            (
                "9999-12-31T23:59:59.9999999Z",
                "9999-12-31T23:59:59.999999+00:00",
            ),
            ("2026-01-01T01:00:00+02:00", "2025-12-31T23:00:00+00:00"),
        ] {
            assert_eq!(keeps(said).unwrap(), what);
        }
        for said in [
            "1969-12-31T23:59:59.999999Z",
            "1970-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "+10000-01-01T00:00:00Z",
        ] {
            assert!(keeps(said).is_err(), "{said}");
        }
    }
}
