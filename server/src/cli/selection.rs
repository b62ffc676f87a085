//! One rollout, or many of an environment: what `halt` and `resume` are given.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::args::TargetArgs;

/// The two forms exclude each other: a selection beside a named route would be ignored.
#[derive(Args, Debug)]
pub(crate) struct SelectionArgs {
    /// Key of the one route
    #[arg(
        value_name = "ROUTE",
        requires = "place",
        conflicts_with = "environment"
    )]
    one: Option<String>,
    /// Key of its environment
    #[arg(value_name = "ENV")]
    place: Option<String>,
    /// Many at once: everything in this environment, or what follows narrows it down to
    #[arg(long, value_name = "ENV", required_unless_present = "one")]
    environment: Option<String>,
    /// Only routes of this owner
    #[arg(long, requires = "environment", conflicts_with = "one")]
    owner: Option<String>,
    /// Only routes with this label: NAME or NAME=VALUE
    #[arg(long, requires = "environment", conflicts_with = "one")]
    label: Option<String>,
    /// Only this route; can be repeated
    #[arg(
        long = "route",
        value_name = "ROUTE",
        requires = "environment",
        conflicts_with = "one"
    )]
    routes: Vec<String>,
}

impl SelectionArgs {
    /// The one rollout, where one is named.
    pub(crate) fn one(&self) -> Option<TargetArgs> {
        let (route, environment) = (self.one.clone()?, self.place.clone()?);
        Some(TargetArgs { route, environment })
    }

    /// The request for many.
    pub(crate) fn many(&self, reason: &str) -> Value {
        let mut body = json!({
            "environment": self.environment,
            "owner": self.owner,
            "label": self.label,
            "reason": reason,
        });
        if let (false, Some(fields)) = (self.routes.is_empty(), body.as_object_mut()) {
            fields.insert("routes".to_owned(), json!(self.routes));
        }
        body
    }
}
