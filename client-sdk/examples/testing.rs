//! How an application's tests handle its routes: both paths, one path, a ramp.

use switchover::testing::{both_paths, client, force};
use switchover::{Path, Percent, Route, Setting};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let switchover = client();
    let count = switchover.route("count_commits");

    // The application's promise holds on both paths.
    both_paths(&count, |path| {
        assert_eq!(count_commits(&count, 7), 21);
        println!("{path}: as promised");
    });

    // One path, on this thread, until the guard goes.
    let forced = force(&count, Path::New);
    assert_eq!(count.path(7), Path::New);
    drop(forced);

    // What a server could say.
    let percent: Percent = "25%".parse()?;
    switchover.set_setting("count_commits", Setting::Ramp { percent });
    let new = (0..1_000).filter(|project| count.path(*project) == Path::New);
    println!("a ramp of {percent}: {} of 1000 projects", new.count());
    Ok(())
}

fn count_commits(route: &Route, project: u64) -> u64 {
    match route.path(project) {
        Path::Old => project * 3,
        Path::New => project + project + project,
    }
}
