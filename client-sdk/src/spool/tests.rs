//! Files of processes that are killed, or live on.

use super::*;
use crate::decide::Path;
use crate::writers::Cause;

fn place(directory: &FilePath) -> Place {
    Place {
        directory: directory.to_owned(),
        prefix: "gear".to_owned(),
        instance: "web-1".to_owned(),
    }
}

fn intent(key: &str) -> Intent {
    Intent {
        id: 0,
        key: key.to_owned(),
        written: Path::Old,
        generation: 1,
        at_ms: 7,
        is_at_risk: false,
    }
}

fn keys(left: &LeftOver) -> Vec<&str> {
    left.repairs.keys().map(String::as_str).collect()
}

/// As if the process were killed: the file stays as it is, and nobody holds it.
fn kill(spool: Spool) {
    let Spool { file, .. } = &spool;
    file.unlock().unwrap();
    std::mem::forget(spool);
}

#[test]
fn what_is_left_over_is_adopted_once_and_what_is_held_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path());
    let mut gone = Spool::create(&place).unwrap();
    let mut lives = Spool::create(&place).unwrap();
    let copied = gone.intend(intent("copied")).unwrap();
    gone.intend(intent("open")).unwrap();
    gone.clear(copied).unwrap();
    let kept = Kept::new("failed", Path::New, 3, Cause::Failed);
    gone.keep(&kept).unwrap();
    gone.keep(&Kept::new("settled", Path::New, 3, Cause::Failed))
        .unwrap();
    gone.settle("settled").unwrap();
    lives.intend(intent("lives")).unwrap();
    kill(gone);
    let mut next = Spool::create(&place).unwrap();
    let adopted = next.adopt().unwrap();
    assert_eq!(keys(&adopted), ["failed", "open"]);
    assert_eq!(adopted.repairs["failed"], kept);
    assert_eq!(adopted.repairs["open"].cause, Cause::Interrupted);
    assert_eq!(adopted.instances, ["web-1"]);
    assert_eq!(adopted.unverified, None);
    kill(next);
    let mut last = Spool::create(&place).unwrap();
    assert_eq!(keys(&last.adopt().unwrap()), ["failed", "open"]);
    let files = || fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(files(), 2);
    drop((last, lives));
    assert_eq!(files(), 2, "both have something to hand on");
}

#[test]
fn a_conflict_stays_one_and_what_was_written_since_it_was_resolved_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path());
    let mut gone = Spool::create(&place).unwrap();
    for (key, state) in [
        ("c", RepairState::Conflict),
        ("f", RepairState::Failed),
        ("r", RepairState::Resolved),
    ] {
        let kept = Kept::new(key, Path::New, 3, Cause::AtRisk);
        gone.keep(&Kept { state, ..kept }).unwrap();
        gone.intend(intent(key)).unwrap();
    }
    kill(gone);
    let left = Spool::create(&place).unwrap().adopt().unwrap();
    let states: Vec<_> = left.repairs.values().map(|kept| kept.state).collect();
    let open = RepairState::Open;
    assert_eq!(states, [RepairState::Conflict, open, open]);
}

#[test]
fn others_files_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let other = Place {
        prefix: "staging.gear".to_owned(),
        ..place(directory.path())
    };
    for other in [
        other,
        Place {
            prefix: "gear_2".to_owned(),
            ..place(directory.path())
        },
    ] {
        let mut other = Spool::create(&other).unwrap();
        other.intend(intent("a")).unwrap();
        kill(other);
    }
    let mut spool = Spool::create(&place(directory.path())).unwrap();
    assert_eq!(keys(&spool.adopt().unwrap()), [""; 0]);
}

#[test]
fn it_is_bounded_and_says_so_and_writes_on_once_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::create(&place(directory.path())).unwrap();
    for n in 0..MOST_ENTRIES {
        spool.intend(intent(&n.to_string())).unwrap();
    }
    let full = spool.intend(intent("more"));
    assert!(matches!(full, Err(SpoolError::Full)));
    spool.set_unverified(Some(Unverified::SpoolFull)).unwrap();
    spool.clear(0).unwrap();
    spool.intend(intent("more")).unwrap_err();
    spool.clear(1).unwrap();
    spool.intend(intent("more")).unwrap();
    kill(spool);
    let mut next = Spool::create(&place(directory.path())).unwrap();
    let left = next.adopt().unwrap();
    assert_eq!(left.unverified, Some(Unverified::SpoolFull));
    assert_eq!(left.repairs.len(), MOST_ENTRIES - 1);
}

#[test]
fn a_file_that_is_mostly_cleared_is_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::create(&place(directory.path())).unwrap();
    spool.intend(intent("stays")).unwrap();
    for n in 0..20_000 {
        let id = spool.intend(intent(&n.to_string())).unwrap();
        spool.clear(id).unwrap();
    }
    let length = fs::metadata(&spool.path).unwrap().len();
    assert!(length <= WORTH_COMPACTING + 1_000, "{length}");
    assert_eq!(length, spool.length);
    kill(spool);
    let mut next = Spool::create(&place(directory.path())).unwrap();
    assert_eq!(keys(&next.adopt().unwrap()), ["stays"]);
}

#[test]
fn damage_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::create(&place(directory.path())).unwrap();
    for key in ["a", "b", "c"] {
        spool.intend(intent(key)).unwrap();
    }
    let path = spool.path.clone();
    kill(spool);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut next = Spool::create(&place(directory.path())).unwrap();
    let adopted = next.adopt().unwrap();
    assert_eq!(keys(&adopted), ["a", "c"]);
    assert_eq!(adopted.unverified, Some(Unverified::SpoolDamaged));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::create(&place(directory.path())).unwrap();
    let mode = fs::metadata(&spool.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
