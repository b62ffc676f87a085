//! Asks a route which path to take, with a server that is not there: the code's stage decides.

use std::time::Duration;

use switchover::{Client, Path, RouteSpec, Stage};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let switchover = Client::builder()
        .server("http://127.0.0.1:1", "an-sdk-key")
        .start()?;
    let count = switchover.route(RouteSpec::new("count_commits").stage(Stage::OptOut));

    for project in [7_u64, 278_964] {
        let implementation = match count.path(project) {
            Path::Old => "the old implementation",
            Path::New => "the new implementation",
        };
        println!("project {project}: {implementation}");
    }

    if !switchover.wait_ready(Duration::from_millis(200)) {
        let status = switchover.status();
        println!("decided by: {} ({:?})", status.source, status.last_error);
    }
    Ok(())
}
