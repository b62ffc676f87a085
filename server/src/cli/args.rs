//! Arguments that several commands have.

use clap::Args;

use crate::cli::api::encode;

/// A route in one environment.
#[derive(Args, Debug)]
pub(crate) struct TargetArgs {
    /// Key of the route, such as count_commits
    pub(crate) route: String,
    /// Key of the environment, such as production
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,
}

impl TargetArgs {
    /// The address of this rollout.
    pub(crate) fn path(&self) -> String {
        let (route, environment) = (encode(&self.route), encode(&self.environment));
        format!("/routes/{route}/environments/{environment}")
    }

    /// An address below this rollout's.
    pub(crate) fn below(&self, rest: &str) -> String {
        format!("{}/{rest}", self.path())
    }
}

/// The filters that were given, as a query.
pub(crate) fn given<const N: usize>(
    filters: [(&'static str, &Option<String>); N],
) -> Vec<(&'static str, String)> {
    filters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect()
}

/// How a command answers that needs no server.
#[derive(Args, Debug)]
pub(crate) struct JsonArgs {
    /// Print one JSON object instead of text for people
    #[arg(long)]
    pub(crate) json: bool,
}

/// Why something is changed.
#[derive(Args, Debug)]
pub(crate) struct ReasonArgs {
    /// Why; it is recorded
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// What is said about data that would be lost.
#[derive(Args, Debug)]
pub(crate) struct LossArgs {
    /// Said after a look at what going back to an old store costs: it is accepted
    #[arg(long)]
    pub(crate) accept_loss: bool,
}
