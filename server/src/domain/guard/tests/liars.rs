//! One instance of several lies, or stands on a bad host: it can neither cause nor mask a halt.

use switchover::Path;

use super::fleet::{Fleet, Report, error_rate, guard};
use crate::domain::guard::GuardState;
use crate::domain::policy::Measure;

/// Nine honest instances report every five seconds in turn, the tenth whenever it likes.
fn in_turn(report: &mut Report, errors: u64, lie: impl Fn(&mut Report)) {
    if report.id == 9 {
        lie(report);
    } else if report.second % 5 == i64::try_from(report.id).unwrap() % 5 {
        report.calls(100, errors);
    }
}

#[test]
fn errors_of_one_halt_nothing_and_name_it() {
    for (trials, errors) in [(100, 50), (100, 100), (1_000_000_000, 1_000_000_000)] {
        let mut fleet = Fleet::of(10, &[error_rate(0.01)]);
        fleet.seconds(10, |report| {
            in_turn(report, 0, |liar| liar.calls(trials, errors))
        });
        let due = fleet.due();
        assert_eq!(due.len(), 1, "it is named within ten seconds");
        assert_eq!(due[0].instance.as_deref(), Some("web-9"));
        fleet.seconds(3_600, |report| {
            in_turn(report, 0, |liar| liar.calls(trials, errors))
        });
        let answer = fleet.answer();
        assert_eq!(answer.state, GuardState::Pass, "{answer:?}");
        assert_eq!(answer.instance.as_deref(), Some("web-9"));
    }
}

#[test]
fn one_that_comes_first_halts_nothing() {
    let mut fleet = Fleet::of(10, &[error_rate(0.01)]);
    fleet.seconds(4, |report| {
        if report.id == 9 {
            report.calls(1_000, 1_000);
        }
    });
    assert_eq!(fleet.state(), GuardState::Insufficient);
    fleet.seconds(60, |report| {
        in_turn(report, 0, |liar| liar.calls(1_000, 1_000))
    });
    assert_eq!(fleet.answer().instance.as_deref(), Some("web-9"));
    assert_eq!(fleet.state(), GuardState::Pass);
}

#[test]
fn one_that_is_first_in_a_new_epoch_halts_nothing() {
    let mut fleet = Fleet::of(10, &[error_rate(0.01)]);
    fleet.seconds(30, |report| in_turn(report, 0, |liar| liar.calls(100, 0)));
    fleet.published += 1;
    fleet.seconds(2, |report| {
        if report.id == 9 {
            report.calls(1_000, 1_000);
        }
    });
    let answer = fleet.answer();
    assert_eq!(answer.state, GuardState::Pass);
    assert_eq!(answer.instance.as_deref(), Some("web-9"));
}

#[test]
fn a_flood_of_successes_masks_nothing() {
    // Every second, when others report and when none does.
    let mut fleet = Fleet::of(10, &[error_rate(0.01)]);
    fleet.seconds(600, |report| {
        in_turn(report, 0, |liar| liar.calls(1_000_000, 0))
    });
    assert_eq!(fleet.state(), GuardState::Pass);
    fleet.seconds(30, |report| {
        in_turn(report, 5, |liar| liar.calls(1_000_000, 0))
    });
    assert_eq!(fleet.state(), GuardState::Breach, "{:?}", fleet.answer());

    let mut fleet = Fleet::of(10, &[error_rate(0.01)]);
    fleet.seconds(600, |report| in_turn(report, 0, |_| {}));
    fleet.seconds(60, |report| {
        in_turn(report, 5, |liar| {
            if liar.second % 5 == 4 {
                liar.calls(1_000_000, 0);
            }
        });
    });
    assert_eq!(fleet.state(), GuardState::Breach, "{:?}", fleet.answer());
}

#[test]
fn mismatches_of_one_halt_nothing() {
    let mut fleet = Fleet::of(10, &[guard(Measure::MismatchesPerHour, 5.0)]);
    fleet.seconds(20, |report| {
        report.compared(100, if report.id == 9 { 50 } else { 0 });
    });
    let due = fleet.due();
    assert_eq!(due[0].instance.as_deref(), Some("web-9"));
    assert_eq!(fleet.state(), GuardState::Pass);
    fleet.seconds(2, |report| report.compared(100, 1));
    assert_eq!(fleet.state(), GuardState::Breach);
}

#[test]
fn relative_limits_stand_liars_too() {
    let says = |new: u64| {
        move |report: &mut Report| {
            let errors = u64::from((report.second + i64::try_from(report.id).unwrap()) % 3 == 0);
            report.ramp(Path::Old, 100, errors);
            report.ramp(Path::New, 100, errors * new);
        }
    };
    // It says that everything fails on the new path.
    let mut fleet = Fleet::of(10, &[guard(Measure::ErrorRatio, 2.0)]);
    fleet.seconds(300, |report| {
        if report.id == 9 {
            report.ramp(Path::Old, 100, 0);
            report.ramp(Path::New, 100, 100);
        } else {
            says(1)(report);
        }
    });
    let answer = fleet.answer();
    assert_eq!(answer.state, GuardState::Pass, "{answer:?}");
    assert_eq!(answer.instance.as_deref(), Some("web-9"));
    // It says that everything fails on the old path, while the new one is ten times as bad.
    let mut fleet = Fleet::of(10, &[guard(Measure::ErrorRatio, 2.0)]);
    fleet.seconds(300, |report| {
        if report.id == 9 {
            report.ramp(Path::Old, 1_000, 1_000);
            report.ramp(Path::New, 1_000, 0);
        } else {
            says(10)(report);
        }
    });
    assert_eq!(fleet.state(), GuardState::Breach, "{:?}", fleet.answer());
}

#[test]
fn one_that_says_another_version_every_second_resets_nothing() {
    let mut fleet = Fleet::of(10, &[error_rate(0.01)]);
    fleet.seconds(60, |report| {
        in_turn(report, 5, |liar| {
            liar.version = format!("{}", liar.second);
            liar.calls(100, 0);
        });
    });
    assert_eq!(fleet.state(), GuardState::Breach);
    assert_eq!(fleet.due()[0].epoch, 1);
}
