//! An installation that talks to no server: the code gives the stage, and environment variables
//! override it.
//!
//! ```sh
//! cargo run --example on_prem                             # opt-in: the old path
//! GITALY_COUNT_COMMITS=1 cargo run --example on_prem      # this route on
//! GITALY_FEATURE_DEFAULT_ON=1 cargo run --example on_prem # all opt-in routes on
//! ```

use switchover::{Client, RouteSpec, Stage, StartError};

fn main() -> Result<(), StartError> {
    let switchover = Client::builder().start()?;
    let count = switchover.route(
        RouteSpec::new("count_commits")
            .flag("GITALY_COUNT_COMMITS")
            .stage(Stage::OptIn),
    );

    let explanation = count.explain("group/project");
    let decision = explanation.decision;
    println!("{} path, because {}", decision.path, decision.reason);
    for layer in explanation.chain {
        let mark = if layer.verdict.is_some() { '*' } else { ' ' };
        println!("{mark} {:>2}  {}", layer.rule.number(), layer.says);
    }
    for warning in explanation.warnings {
        println!("! {warning}");
    }
    Ok(())
}
