//! Runs calls that are timed and counted, and shows what was counted.

use std::thread;
use std::time::Duration;

use switchover::{Path, testing};

fn main() {
    // A client without a server, so that the example can set its route.
    let switchover = testing::client();
    let count = switchover.route("count_commits");

    for path in [Path::Old, Path::New] {
        switchover.set("count_commits", path);
        for project in 0..50_u64 {
            let commits = count
                .call(project)
                .old(|| count_on_disk(project))
                .new(|| count_by_service(project))
                .run();
            if let Err(error) = commits {
                println!("project {project}: {error}");
            }
        }
    }

    let stats = count.stats();
    for (path, stats) in [(Path::Old, stats.old), (Path::New, stats.new)] {
        let latency = stats.latency;
        println!(
            "{path}: {} calls, {} errors, median {:?}, 99 % within {:?}",
            stats.calls,
            stats.errors,
            latency.quantile(0.5).unwrap_or_default(),
            latency.quantile(0.99).unwrap_or_default(),
        );
    }
}

fn count_on_disk(project: u64) -> Result<u64, String> {
    thread::sleep(Duration::from_micros(300));
    Ok(project * 3)
}

fn count_by_service(project: u64) -> Result<u64, String> {
    thread::sleep(Duration::from_micros(100));
    match project % 25 {
        0 => Err("the service is busy".to_owned()),
        _ => Ok(project * 3),
    }
}
