//! `guards`: what the limits on what callers report say of a rollout.

use clap::Args;

use crate::cli::args::TargetArgs;
use crate::cli::error::CliError;
use crate::cli::output::one_line;
use crate::cli::session::Session;
use crate::cli::wire::{GuardAnswer, Guards};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct GuardsArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &GuardsArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.get(&args.target.below("guards"), &[])?;
    session.show(&reply, |_, guards: Guards| told(&args.target, &guards))
}

/// Breaches first, then what is not known, then the others.
fn told(target: &TargetArgs, guards: &Guards) -> String {
    let (route, environment) = (&target.route, &target.environment);
    if guards.guards.is_empty() {
        return format!("{route} in {environment}: its policy has no guards");
    }
    let since = match guards.epoch {
        0 => "nothing is reported yet".to_owned(),
        epoch => format!("epoch {epoch}"),
    };
    let mut text = format!("{route} in {environment}: {since}");
    let mut guards: Vec<&GuardAnswer> = guards.guards.iter().collect();
    guards.sort_by_key(|guard| match guard.state.as_str() {
        "breach" => 0,
        "insufficient" => 1,
        _ => 2,
    });
    for guard in guards {
        text.push_str(&format!(
            "\n  {}: {} ({})\n    {}",
            guard.name,
            guard.state,
            guard.action,
            one_line(&guard.detail)
        ));
        if let Some(instance) = &guard.instance {
            text.push_str(&format!("\n    → look at {}", one_line(instance)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaches_come_first() {
        let target = TargetArgs {
            route: "count_commits".to_owned(),
            environment: "production".to_owned(),
        };
        let guard = |name: &str, action: &str, state: &str, detail: &str| GuardAnswer {
            name: name.to_owned(),
            action: action.to_owned(),
            state: state.to_owned(),
            detail: detail.to_owned(),
            instance: None,
        };
        let mut guards = Guards {
            epoch: 3,
            guards: vec![
                guard("p99", "halt", "pass", "3 of 900 calls took longer"),
                guard(
                    "mismatches",
                    "pause",
                    "insufficient",
                    "nothing\nis reported",
                ),
                guard("errors", "halt", "breach", "90 of 900 calls failed"),
            ],
        };
        guards.guards[0].instance = Some("web-3".to_owned());
        insta::assert_snapshot!(told(&target, &guards), @r"
        count_commits in production: epoch 3
          errors: breach (halt)
            90 of 900 calls failed
          mismatches: insufficient (pause)
            nothing is reported
          p99: pass (halt)
            3 of 900 calls took longer
            → look at web-3
        ");
        guards.guards.clear();
        assert!(told(&target, &guards).ends_with("its policy has no guards"));
    }
}
