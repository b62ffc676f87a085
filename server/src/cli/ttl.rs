//! Lengths of time as people write them: `90s`, `30m`, `8h`, `7d`.

use chrono::Duration;

/// Reads a length of time.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no length of time: write 90s, 30m, 8h or 7d");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let number: i64 = number.parse().map_err(|_| wrong())?;
    match unit {
        "s" => Duration::try_seconds(number),
        "m" => Duration::try_minutes(number),
        "h" => Duration::try_hours(number),
        "d" => Duration::try_days(number),
        _ => None,
    }
    .filter(|length| *length > Duration::zero())
    .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read() {
        assert_eq!(parse("90s"), Ok(Duration::seconds(90)));
        assert_eq!(parse("30m"), Ok(Duration::minutes(30)));
        assert_eq!(parse("8h"), Ok(Duration::hours(8)));
        assert_eq!(parse("7d"), Ok(Duration::days(7)));
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "",
            "8",
            "h",
            "0h",
            "-1h",
            "1.5h",
            "8 h",
            "8H",
            "1h30m",
            "9999999999999999999d",
            "9223372036854775807d",
            "８h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
