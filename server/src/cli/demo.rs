//! `demo`: a whole migration in seconds, through the public interfaces alone: REST and the SDK.

mod caller;
mod house;
mod measured;
mod ramp;
mod story;

use clap::Args;
use serde_json::json;

use crate::cli::args::JsonArgs;
use crate::cli::error::CliError;
use crate::cli::output::{Screen, say, say_json};
use crate::config;

use house::House;
use story::Story;

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Keep the server when the story has ended, until Ctrl-C
    #[arg(long)]
    stay: bool,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(args: &DemoArgs) -> Result<(), CliError> {
    if args.json.json {
        return for_programs(args.stay);
    }
    let screen = Screen::new(config::no_color());
    let house = House::open(args.stay)?;
    let measured = Story::new(&house, &|line| say(line)).tell()?;
    say(format!("\n{}", measured::summary(&screen, measured)))?;
    if !args.stay {
        return Ok(());
    }
    let url = house.url();
    say(format!(
        "\nThe server stays until Ctrl-C.\n  page  {url}/\n  API   {url}/api/docs/\n  in another \
         terminal:\n    export SWITCHOVER_URL={url}\n    export SWITCHOVER_TOKEN={}\n    switchover \
         history {}",
        house.admin_token()?,
        story::ROUTE
    ))?;
    house.wait()
}

/// The measurements alone, one object for the whole story.
fn for_programs(stay: bool) -> Result<(), CliError> {
    let house = House::open(stay)?;
    let measured = Story::new(&house, &|_| Ok(())).tell()?;
    let mut told = json!({ "route": story::ROUTE, "changes": measured });
    if stay && let Some(fields) = told.as_object_mut() {
        fields.insert("url".to_owned(), json!(house.url()));
        fields.insert("token".to_owned(), json!(house.admin_token()?));
    }
    say_json(&told)?;
    if stay { house.wait() } else { Ok(()) }
}
