//! How long a change takes to reach a caller.

use std::time::Instant;

use serde::Serialize;

use crate::cli::output::{Field, Screen};

/// A change that the server has accepted.
pub(super) struct Sent {
    pub(super) what: String,
    pub(super) sent: Instant,
    pub(super) answered: Instant,
    pub(super) version: String,
}

/// One change, and how long it took to reach a caller.
#[derive(Serialize)]
pub(super) struct Measured {
    what: String,
    caller: &'static str,
    effect: String,
    /// From sending the change to its effect, in milliseconds.
    #[serde(rename = "ms_after_sending")]
    from_sending: f64,
    /// From the server's answer to the effect; less than 0 when the effect came first.
    #[serde(rename = "ms_after_answer")]
    from_answer: f64,
}

impl Measured {
    /// A change whose effect came at a moment.
    pub(super) fn new(sent: &Sent, caller: &'static str, at: Instant, effect: &str) -> Measured {
        Measured {
            what: sent.what.clone(),
            caller,
            effect: effect.to_owned(),
            from_sending: milliseconds(sent.sent, at),
            from_answer: milliseconds(sent.answered, at),
        }
    }

    pub(super) fn sentence(&self) -> String {
        let side = if self.from_answer < 0.0 {
            "before"
        } else {
            "after"
        };
        format!(
            "  `{}` {}: {:.1} ms after this was sent, {:.1} ms {side} the server's answer.",
            self.caller,
            self.effect,
            self.from_sending,
            self.from_answer.abs()
        )
    }
}

/// What was measured, as a table.
pub(super) fn summary(screen: &Screen, measured: Vec<Measured>) -> String {
    let rows = measured.into_iter().map(|measured| {
        vec![
            measured.what.into(),
            measured.caller.into(),
            Field::good(measured.effect),
            format!("{:.1}", measured.from_sending).into(),
            format!("{:.1}", measured.from_answer).into(),
        ]
    });
    let header = [
        "change",
        "caller",
        "effect",
        "ms after sending",
        "ms after the answer",
    ];
    screen.table(&header, rows.collect())
}

/// From one moment to another, which may be earlier.
pub(super) fn milliseconds(from: Instant, to: Instant) -> f64 {
    let later = to.saturating_duration_since(from).as_secs_f64();
    let earlier = from.saturating_duration_since(to).as_secs_f64();
    (later - earlier) * 1_000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::output::tests::pipe;

    #[test]
    fn an_effect_may_come_before_the_answer() {
        let sent = Instant::now();
        let after = |millis| sent + Duration::from_millis(millis);
        let change = Sent {
            what: "halt".to_owned(),
            sent,
            answered: after(5),
            version: String::new(),
        };
        let early = Measured::new(&change, "app", after(4), "takes the old path");
        let late = Measured::new(&change, "app", after(7), "takes the old path");
        insta::assert_snapshot!(early.sentence(), @"  `app` takes the old path: 4.0 ms after this was sent, 1.0 ms before the server's answer.");
        insta::assert_snapshot!(late.sentence(), @"  `app` takes the old path: 7.0 ms after this was sent, 2.0 ms after the server's answer.");
        insta::assert_snapshot!(summary(&pipe(), vec![early, late]), @r"
        | change | caller | effect             | ms after sending | ms after the answer |
        |--------|--------|--------------------|------------------|---------------------|
        | halt   | app    | takes the old path | 4.0              | -1.0                |
        | halt   | app    | takes the old path | 7.0              | 2.0                 |
        ");
    }
}
