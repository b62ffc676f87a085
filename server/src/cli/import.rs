//! `import`: flags of other systems as routes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use switchover::Stage;

use crate::cli::apply::{CarryArgs, carry_out};
use crate::cli::declared::look::look;
use crate::cli::declared::{impossible, shown};
use crate::cli::error::CliError;
use crate::cli::export::{format_of, write};
use crate::cli::files::read_text;
use crate::cli::output::{count, one_line, say, say_json};
use crate::cli::session::Session;
use crate::config::FileArgs;
use crate::domain::cohort::Name;
use crate::domain::declared::{Allowed, Declared, DeclaredEnvironment, Plan, Whole};
use crate::domain::environment::EnvironmentKey;
use crate::domain::moving::{Lost, Moved, System, Wish, moved};
use crate::domain::route::Operation;

/// Whose flags they are.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SystemArg {
    /// What GET /api/v2/flags/PROJECT answers (with summary=0)
    #[value(name = "launchdarkly")]
    LaunchDarkly,
    /// What POST /api/admin/features-batch/export answers
    Unleash,
    /// Files of config/feature_flags, and what GET /api/v4/features answers
    #[value(name = "gitlab")]
    GitLab,
}

/// What a call does, where nothing says it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum OperationArg {
    Read,
    Write,
    Call,
}

// What goes back or takes away is for `apply` with the file that is written.
#[derive(Args, Debug)]
#[command(
    mut_arg("allow_demotion", |arg| arg.hide(true)),
    mut_arg("prune", |arg| arg.hide(true)),
)]
pub(crate) struct ImportArgs {
    /// Whose flags they are
    #[arg(long, value_name = "SYSTEM")]
    from: SystemArg,
    /// Exports, all pages of them, or directories with files that end in .yml, .yaml or .json; - is
    /// standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Our environment for one of theirs, THEIRS=ENV; ENV alone for flags that have none. One of the
    /// same name is taken without this
    #[arg(long = "environment", value_name = "THEIRS=ENV")]
    environments: Vec<String>,
    /// Package and service of the endpoints, such as gitaly.CommitService
    #[arg(long, value_name = "PACKAGE.SERVICE")]
    endpoint_prefix: Option<String>,
    /// Who answers for those that name nobody
    #[arg(long)]
    owner: Option<String>,
    /// The policy of the routes [default: gitaly]
    #[arg(long)]
    policy: Option<Name>,
    /// What a call does, where nothing says it
    #[arg(long, value_enum, default_value_t = OperationArg::Call)]
    operation: OperationArg,
    /// The stage of what is on for somebody; what is off begins at ready_for_testing
    #[arg(long, default_value = "ready_for_testing")]
    stage: Stage,
    /// Write the routes to this file, in the form of `switchover apply`
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Add the routes, by the plan that is shown; without this, nothing is changed
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    carry: CarryArgs,
}

pub(crate) fn run(file: &FileArgs, args: &ImportArgs) -> Result<(), CliError> {
    let allowed: Allowed = args.carry.allowed.into();
    if allowed != Allowed::default() {
        return Err(CliError::Unusable(
            "an import takes nothing away and no route back: write the routes with --output, and pass \
             --prune or --allow-demotion to `switchover apply`"
                .to_owned(),
        ));
    }
    let session = Session::open(file, &args.carry.client)?;
    let whole = look(&session).map_err(CliError::into_trouble)?;
    let wish = wish(args, &whole.environments)?;
    let files = read_all(&args.files)?;
    let system = match args.from {
        SystemArg::LaunchDarkly => System::LaunchDarkly,
        SystemArg::Unleash => System::Unleash,
        SystemArg::GitLab => System::GitLab,
    };
    let moved = moved(system, &files, &wish)
        .map_err(|(name, why)| CliError::Unusable(format!("{name}: {why}")))?;
    if moved.flags == 0 {
        let names = one_line(&args.files.join(", "));
        return Err(CliError::Unusable(format!(
            "there is no flag in {names}: nothing was changed or written"
        )));
    }
    if let Some(out) = &args.output {
        let format = format_of(None, Some(out), false);
        write(&moved.declared, format, Some(out)).map_err(CliError::into_trouble)?;
    }
    let json = session.is_json();
    if json && !args.apply {
        let plan = Plan::make(&whole, &moved.declared, allowed).ok();
        let declared = &moved.declared;
        return say_json(&json!({
            "flags": moved.flags, "declared": declared, "lost": moved.lost, "plan": plan,
        }));
    }
    let complaints = complaints(&moved.declared, &whole);
    if args.apply {
        if !json {
            say(told(&moved))?;
        }
        if !complaints.is_empty() {
            return Err(impossible("these cannot be added", &complaints));
        }
        return carry_out(file, "import", &moved.declared, &args.carry);
    }
    show(args, &moved, &whole, &complaints)
}

/// What an import would do, for people.
fn show(
    args: &ImportArgs,
    moved: &Moved,
    whole: &Whole,
    complaints: &[String],
) -> Result<(), CliError> {
    let plan = Plan::make(whole, &moved.declared, Allowed::default());
    let has_routes = moved.declared.routes.iter().any(|all| !all.is_empty());
    if let Ok(plan) = &plan
        && has_routes
    {
        say(shown::plan(plan, &[]))?;
    }
    say(told(moved))?;
    let Some(out) = &args.output else {
        if !complaints.is_empty() {
            return Err(impossible("these cannot be added", complaints));
        }
        let is_more = plan.is_ok_and(|plan| !plan.items.is_empty());
        return say(match is_more {
            true => {
                "nothing was changed: pass --apply to add them, or --output to write them to a file"
            }
            false => "nothing was changed: there is nothing to add",
        });
    };
    let out = one_line(&out.display().to_string());
    if complaints.is_empty() {
        say(format!("written to {out}; next: switchover apply {out}"))
    } else {
        // What a file says of them can be mended by hand.
        say(impossible("to be added", complaints).to_string())?;
        say(format!(
            "written to {out}; next: mend that in it, then switchover apply {out}"
        ))
    }
}

/// What makes it impossible to add the routes. What one option would say of all of them is one line.
fn complaints(declared: &Declared, whole: &Whole) -> Vec<String> {
    let mut filled = declared.clone();
    let (mut endpoints, mut owners) = (0, 0);
    for (key, route) in filled.routes.iter_mut().flatten() {
        if whole.routes.contains_key(key) {
            continue;
        }
        if route.endpoint.is_none() {
            endpoints += 1;
            route.endpoint = Some("package.Service/Method".to_owned());
        }
        if route.owner.is_none() {
            owners += 1;
            route.owner = Some("owner".to_owned());
        }
    }
    let lacking = |routes: usize, field: &str, option: &str| {
        let text = format!(
            "{} without `{field}`: pass {option}",
            count(routes, "route")
        );
        (routes > 0).then_some(text)
    };
    let endpoint = lacking(
        endpoints,
        "endpoint",
        "--endpoint-prefix PACKAGE.SERVICE, such as gitaly.CommitService",
    );
    let owner = lacking(owners, "owner", "--owner OWNER");
    let others = Plan::make(whole, &filled, Allowed::default()).err();
    endpoint
        .into_iter()
        .chain(owner)
        .chain(others.unwrap_or_default())
        .collect()
}

fn wish(
    args: &ImportArgs,
    known: &BTreeMap<EnvironmentKey, DeclaredEnvironment>,
) -> Result<Wish, CliError> {
    let mut environments = BTreeMap::new();
    let mut everywhere = None;
    for said in &args.environments {
        let (theirs, ours) = match said.rsplit_once('=') {
            Some((theirs, ours)) => (Some(theirs), ours),
            None => (None, said.as_str()),
        };
        let key: Option<EnvironmentKey> = ours.parse().ok();
        let key = key.filter(|key| known.contains_key(key)).ok_or_else(|| {
            let keys: Vec<&str> = known.keys().map(EnvironmentKey::as_str).collect();
            CliError::Unusable(format!(
                "there is no environment `{}`; there are: {}",
                one_line(ours),
                keys.join(", ")
            ))
        })?;
        match theirs {
            Some(theirs) => {
                environments.insert(theirs.to_owned(), key);
            }
            None => everywhere = Some(key),
        }
    }
    if args.stage == Stage::Mandatory {
        return Err(CliError::Unusable(
            "nothing is imported as mandatory: it could not be turned off".to_owned(),
        ));
    }
    Ok(Wish {
        endpoint_prefix: args.endpoint_prefix.clone(),
        owner: args.owner.clone(),
        policy: args.policy.clone(),
        operation: match args.operation {
            OperationArg::Read => Operation::Read,
            OperationArg::Write => Operation::Write,
            OperationArg::Call => Operation::Call,
        },
        stage: args.stage,
        environments,
        everywhere,
        known: known.clone(),
    })
}

/// The files, and those in the directories, by name.
fn read_all(names: &[String]) -> Result<Vec<(String, String)>, CliError> {
    let mut files = Vec::new();
    for name in names {
        if Path::new(name).is_dir() {
            for path in below(Path::new(name))? {
                let name = path.display().to_string();
                let text = read_text(&name).map_err(CliError::into_trouble)?;
                files.push((name, text));
            }
        } else {
            let text = read_text(name).map_err(CliError::into_trouble)?;
            files.push((name.clone(), text));
        }
    }
    Ok(files)
}

fn below(directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(place) = open.pop() {
        let unreadable = |error: std::io::Error| {
            CliError::Unusable(format!("cannot read {}: {error}", place.display()))
        };
        for entry in std::fs::read_dir(&place).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = entry.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            // What is linked to elsewhere is not followed: it may be above.
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                open.push(path);
            } else if matches!(ending, Some("yml" | "yaml" | "json")) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What is not carried, flag by flag.
fn told(moved: &Moved) -> String {
    let mut text = String::new();
    let mut last = None;
    for lost in &moved.lost {
        if last != Some(&lost.flag) {
            text.push_str(&format!("{}\n", one_line(&lost.flag)));
            last = Some(&lost.flag);
        }
        text.push_str(&format!("  {}\n", line(lost)));
    }
    let routes = moved
        .declared
        .routes
        .as_ref()
        .map_or(0, |routes| routes.len());
    text.push_str(&format!(
        "{} read, {}, {} not carried or not as it was",
        count(moved.flags, "flag"),
        count(routes, "route"),
        count(moved.lost.len(), "thing")
    ));
    text
}

fn line(lost: &Lost) -> String {
    let place = lost.environment.as_ref();
    let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
    one_line(&format!("{place}{}: {}", lost.field, lost.detail))
}
