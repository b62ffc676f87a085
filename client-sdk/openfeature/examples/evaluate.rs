//! Evaluates a flag by OpenFeature, on a client whose routes are set by hand:
//! `cargo run -p switchover-openfeature --example evaluate`

use std::error::Error;

use open_feature::{EvaluationContext, OpenFeature};
use switchover::{Percent, Setting};
use switchover_openfeature::SwitchoverProvider;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // An application has `switchover::Client::from_env()?` here.
    let switchover = switchover::testing::client();
    let percent = Percent::from_thousandths(50_000)?;
    switchover.set_setting("count_commits", Setting::Ramp { percent });

    let mut api = OpenFeature::singleton_mut().await;
    api.set_provider(SwitchoverProvider::new(switchover.clone()))
        .await;
    let flags = api.create_client();
    for project in ["project-1", "project-2", "project-3"] {
        let context = EvaluationContext::default().with_targeting_key(project);
        let details = flags
            .get_bool_details("count_commits", Some(&context), None)
            .await
            .map_err(|error| error.code.to_string())?;
        println!(
            "{project}: new path: {}, because {:?}, {:?}",
            details.value,
            details.reason,
            details.flag_metadata.values.get("reason")
        );
    }
    let unknown = flags.get_bool_value("find_tag", None, None).await;
    println!("no such route: {}", unknown.unwrap_or(false));
    Ok(())
}
