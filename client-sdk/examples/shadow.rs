//! Shadow reads: the new implementation runs beside the old one, and what it says is compared. The
//! callers get the old one's results and notice nothing, though the new one is wrong, fails and hangs.

use std::thread;
use std::time::Duration;

use switchover::{Mirror, Percent, Rollout, Stage, testing};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In an application a server says this: `switchover mirror set find_commit production --read 100`.
    let switchover = testing::client();
    let mut rollout = Rollout::at("FIND_COMMIT".parse()?, Stage::ReadyForTesting);
    rollout.mirror = Mirror {
        read: Percent::HUNDRED,
        write: Percent::ZERO,
    };
    switchover.set_rollout("find_commit", rollout);
    let find = switchover.route("find_commit");

    // First of all: what differs by itself?
    let noise = find
        .calibrate(0..100_u64, |id| read_file(*id))
        .compare(|one, other| one == other)
        .run();
    println!(
        "the old path differs from itself for {} of {} keys",
        noise.mismatches, noise.compared
    );

    for id in 0..100_u64 {
        let found = find
            .read(id)
            .old(move || read_file(id))
            .new(move || ask_service(id))
            .compare(|old, new| old == new)
            .ignore(|old, new| old.trim_end() == new.trim_end())
            .run()?;
        assert_eq!(found, format!("commit {id}\n"));
    }

    // A second is what a shadow has; the last ones are past it soon after.
    thread::sleep(Duration::from_millis(1_500));
    let shadows = find.stats().new_mirror;
    println!(
        "beside 100 reads: {} ran, {} failed or took too long, {} compared, {} differed",
        shadows.runs.calls, shadows.runs.errors, shadows.comparisons, shadows.mismatches
    );
    println!(
        "they differ for {}",
        find.stats().mismatching_keys.join(", ")
    );
    Ok(())
}

fn read_file(id: u64) -> Result<String, std::io::Error> {
    Ok(format!("commit {id}\n"))
}

/// Drops the new line at the end, which is known, and has three faults.
fn ask_service(id: u64) -> Result<String, std::io::Error> {
    match id % 25 {
        7 => Err(std::io::Error::other("the service is down")),
        8 => Ok("another commit".to_owned()),
        9 => {
            thread::sleep(Duration::from_secs(60));
            Ok(String::new())
        }
        _ => Ok(format!("commit {id}")),
    }
}
