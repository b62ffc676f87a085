//! `instances`: the processes that report, and what is not as it should be about them.

use clap::Args;

use crate::cli::api::encode;
use crate::cli::args::TargetArgs;
use crate::cli::error::CliError;
use crate::cli::output::{Field, Screen, count, moment};
use crate::cli::session::Session;
use crate::cli::wire::{Instance, Page};
use crate::config::{ClientArgs, FileArgs};

#[derive(Args, Debug)]
pub(crate) struct InstancesArgs {
    /// How instances stand to this route
    #[arg(
        value_name = "ROUTE",
        requires = "place",
        conflicts_with = "environment"
    )]
    route: Option<String>,
    /// Key of its environment
    #[arg(value_name = "ENV")]
    place: Option<String>,
    /// Every instance of this environment
    #[arg(long, value_name = "ENV", required_unless_present = "route")]
    environment: Option<String>,
    /// Those too that ended, or were not heard of for ten minutes
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, args: &InstancesArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let path = match (&args.route, &args.place, &args.environment) {
        (Some(route), Some(environment), _) => TargetArgs {
            route: route.clone(),
            environment: environment.clone(),
        }
        .below("instances"),
        (_, _, Some(environment)) => format!("/environments/{}/instances", encode(environment)),
        _ => return Err(CliError::new("name a route and an environment")),
    };
    let query: Vec<_> = args
        .all
        .then(|| ("all", "true".to_owned()))
        .into_iter()
        .collect();
    let reply = session.list(&path, &query, None)?;
    let of_route = args.route.is_some();
    session.show(&reply, |screen, page: Page<Instance>| {
        table(screen, page.items, of_route)
    })
}

/// Those first about which something is to be done.
fn table(screen: &Screen, mut instances: Vec<Instance>, of_route: bool) -> String {
    if instances.is_empty() {
        return "no instance reports there".to_owned();
    }
    instances.sort_by_cached_key(|instance| (notes(instance).is_empty(), instance.name.clone()));
    let drifting = instances
        .iter()
        .filter(|instance| !notes(instance).is_empty())
        .count();
    let mut header = vec!["instance", "application", "last seen", "memory", "CPU time"];
    header.push("not as it should be");
    if of_route {
        header.push("has the code");
    }
    let total = count(instances.len(), "instance");
    let rows = instances.iter().map(|instance| row(instance, of_route));
    let table = screen.table(&header, rows.collect());
    format!("{table}\n{total}, {drifting} not as they should be")
}

fn row(instance: &Instance, of_route: bool) -> Vec<Field> {
    const MIB: u64 = 1024 * 1024;
    let memory = instance.memory_bytes;
    let cpu = instance.cpu_ms;
    let notes = notes(instance).join(", ");
    let mut row = vec![
        instance.name.clone().into(),
        format!("{} {}", instance.application, instance.version).into(),
        moment(instance.last_seen).into(),
        memory
            .map_or(String::new(), |bytes| format!("{} MiB", bytes / MIB))
            .into(),
        cpu.map_or(String::new(), |ms| format!("{} s", ms / 1_000))
            .into(),
        if notes.is_empty() {
            "".into()
        } else {
            Field::bad(notes)
        },
    ];
    if of_route {
        row.push(match instance.has_code {
            Some(true) => Field::good("yes"),
            Some(false) => Field::bad("NO"),
            None => Field::faint("not said yet"),
        });
    }
    row
}

/// What is not as it should be, in words.
fn notes(instance: &Instance) -> Vec<String> {
    let mut notes = Vec::new();
    match instance.behind {
        Some(0) => {}
        Some(behind) => notes.push(format!("{} behind", count_revisions(behind))),
        None => notes.push("no comparable revision".to_owned()),
    }
    match instance.source.as_deref() {
        Some("live") => {}
        Some(source) => notes.push(format!("decides from {source}")),
        None => notes.push("decides from nothing yet".to_owned()),
    }
    for found in &instance.overrides {
        let value = u8::from(found.on);
        notes.push(format!("override {}={value}", found.route));
    }
    if instance.has_code == Some(false) {
        notes.push("lacks the code".to_owned());
    }
    for route in &instance.open_breakers {
        notes.push(format!("breaker of {route} is open"));
    }
    match (instance.ended_at, instance.running) {
        (Some(_), _) => notes.push("ended".to_owned()),
        (None, false) => notes.push("not heard of".to_owned()),
        (None, true) => {}
    }
    notes
}

fn count_revisions(behind: u64) -> String {
    let plural = if behind == 1 { "" } else { "s" };
    format!("{behind} revision{plural}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::output::tests::pipe;

    fn instance(name: &str, change: Value) -> Instance {
        let mut value = json!({
            "name": name, "application": "web", "version": "1.4.0", "source": "live", "behind": 0,
            "has_code": true, "overrides": [], "open_breakers": [], "running": true,
            "last_seen": "2026-01-05T10:00:00Z", "ended_at": null, "cpu_ms": 12_000,
            "memory_bytes": 73_400_320,
        });
        let fields = value.as_object_mut().unwrap();
        fields.extend(change.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_to_be_done_comes_first_and_in_words() {
        let instances = vec![
            instance("web-1", json!({})),
            instance("web-2", json!({ "behind": 2, "source": "cache" })),
            instance("web-3", json!({ "has_code": false, "memory_bytes": null })),
            instance(
                "web-4",
                json!({
                    "overrides": [{ "route": "count_commits", "on": false }],
                    "open_breakers": ["count_commits"],
                }),
            ),
        ];
        insta::assert_snapshot!(table(&pipe(), instances, true), @r"
        | instance | application | last seen            | memory | CPU time | not as it should be                                        | has the code |
        |----------|-------------|----------------------|--------|----------|------------------------------------------------------------|--------------|
        | web-2    | web 1.4.0   | 2026-01-05 10:00:00Z | 70 MiB | 12 s     | 2 revisions behind, decides from cache                     | yes          |
        | web-3    | web 1.4.0   | 2026-01-05 10:00:00Z |        | 12 s     | lacks the code                                             | NO           |
        | web-4    | web 1.4.0   | 2026-01-05 10:00:00Z | 70 MiB | 12 s     | override count_commits=0, breaker of count_commits is open | yes          |
        | web-1    | web 1.4.0   | 2026-01-05 10:00:00Z | 70 MiB | 12 s     |                                                            | yes          |
        4 instances, 3 not as they should be
        ");
        assert_eq!(
            table(&pipe(), Vec::new(), false),
            "no instance reports there"
        );
    }
}
