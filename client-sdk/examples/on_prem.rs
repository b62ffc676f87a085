//! An installation that talks to no server: the manifest of its release gives the stages, and
//! environment variables override them.
//!
//! ```sh
//! cargo run --example on_prem                             # opt-in: the old path
//! GITALY_COUNT_COMMITS=1 cargo run --example on_prem      # this route on
//! GITALY_FEATURE_DEFAULT_ON=1 cargo run --example on_prem # all opt-in routes on
//! ```

use switchover::{Client, StartError};

/// `switchover release manifest 17.5.0 -o switchover.manifest.json`
const MANIFEST: &str = include_str!("switchover.manifest.json");
/// `switchover release key show`
const KEY: &str = "ed25519:bhPetcf6O4iMa0/+UNvRkvQVzbUws0oR4H0WdedZul0=";

fn main() -> Result<(), StartError> {
    let switchover = Client::builder()
        .manifest(MANIFEST)
        .manifest_key(KEY)
        .start()?;
    println!("{:?}\n", switchover.status().manifest);

    for route in ["count_commits", "find_commit", "get_blob", "ref_exists"] {
        let decision = switchover.route(route).decide("group/project");
        println!(
            "{route}: {} path, because {}",
            decision.path, decision.reason
        );
    }

    println!("\ncount_commits, rule by rule:");
    let explanation = switchover.route("count_commits").explain("group/project");
    for layer in explanation.chain {
        let mark = if layer.verdict.is_some() { '*' } else { ' ' };
        println!("{mark} {:>2}  {}", layer.rule.number(), layer.says);
    }
    for warning in explanation.warnings {
        println!("! {warning}");
    }
    Ok(())
}
