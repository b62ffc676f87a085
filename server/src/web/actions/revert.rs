//! The way back from what is on record: the form that would undo it, filled in. Nothing is undone by
//! itself.

use std::sync::Arc;

use actix_web::http::header::LOCATION;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use switchover::{RouteKey, Setting};

use crate::domain::audit::AuditEntry;
use crate::domain::exposure::Cohort;
use crate::domain::lifecycle::Command;
use crate::domain::revert::undoing;
use crate::http::App;
use crate::http::extract::{Operator, in_path};
use crate::service::{Failure, Services, Target};
use crate::store::AuditFilter;
use crate::web::actions::offers::address;
use crate::web::fields::Fields;
use crate::web::{Signed, Trouble};

/// Leads to the form that would undo an entry of a route's record.
#[get("/routes/{route}/revert/{seq}")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    _signed: Signed<Operator>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let route: RouteKey = in_path(&request, "route", "route")?;
    let seq: u64 = in_path(&request, "seq", "entry")?;
    let to = app
        .blocking(move |services| {
            let entry = entry(services, &route, seq)?;
            let target = place(&route, &entry)?;
            let (slug, _) = undo(services, &target, &seq.to_string())?;
            Ok(format!("{}/{slug}?undo={seq}", address(&target)))
        })
        .await?;
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, to))
        .finish())
}

/// The form that would undo an entry of a rollout's record, and how it is filled in.
///
/// # Errors
/// When there is no such entry, or nothing undoes it.
pub(super) fn undo(
    services: &Services,
    target: &Target,
    seq: &str,
) -> Result<(&'static str, Fields), Failure> {
    let number = seq.parse().map_err(|_| Failure::missing("entry", seq))?;
    let entry = entry(services, &target.route, number)?;
    let rollout = services.rollout(target)?.rollout;
    let command = undoing(&entry, &rollout)
        .map_err(|why| Failure::Conflict(format!("entry {seq} cannot be undone: {why}")))?;
    let (slug, fields) = filled_in(&command);
    let by = &entry.actor.subject;
    let action = entry.action.replace('_', " ");
    let reason = format!("undoes entry {seq} ({action} by {by})");
    Ok((slug, fields.with("reason", reason)))
}

fn entry(services: &Services, route: &RouteKey, seq: u64) -> Result<AuditEntry, Failure> {
    let filter = AuditFilter {
        route: Some(route.to_string()),
        before: seq.checked_add(1),
        ..AuditFilter::default()
    };
    let newest = services.audit(&filter, 1)?.pop().map(|stored| stored.entry);
    newest
        .filter(|entry| entry.seq == seq)
        .ok_or_else(|| Failure::missing("entry of this route", seq))
}

fn place(route: &RouteKey, entry: &AuditEntry) -> Result<Target, Failure> {
    let environment = entry.environment.as_deref();
    let environment = environment.and_then(|environment| environment.parse().ok());
    match environment {
        Some(environment) => Ok(Target {
            route: route.clone(),
            environment,
        }),
        None => Err(Failure::Conflict(format!(
            "entry {} cannot be undone: it is about the route, and not about one environment",
            entry.seq
        ))),
    }
}

/// The form that orders a command, and what stands in it then.
pub(super) fn filled_in(command: &Command) -> (&'static str, Fields) {
    let none = Fields::default();
    match command {
        Command::Promote { to, .. } => ("promote", none.with("to", to.name())),
        Command::Demote {
            to, break_glass, ..
        } => {
            let fields = none.with("to", to.name());
            match break_glass {
                true => ("demote", fields.with("break_glass", "1")),
                false => ("demote", fields),
            }
        }
        Command::Halt | Command::HaltWithoutMirror => ("halt", none),
        Command::Resume => ("resume", none),
        Command::Set(setting) => ("setting", set(none, *setting)),
        Command::SetCohorts { include, exclude }
        | Command::UseCohorts {
            include, exclude, ..
        } => (
            "cohorts",
            none.with("include", lines(include))
                .with("exclude", lines(exclude)),
        ),
        Command::OpenWindow { .. } => ("acceptance", none),
        Command::CloseWindow => ("acceptance-close", none),
        Command::PlanRamp(steps) => {
            let lines = steps
                .iter()
                .map(|step| format!("{} {}", step.percent, step.hold));
            let lines: Vec<String> = lines.collect();
            ("ramp", none.with("steps", lines.join("\n")))
        }
        Command::StartRamp | Command::AdvanceRamp => ("ramp-start", none),
        Command::PauseRamp => ("ramp-pause", none),
        Command::ResumeRamp => ("ramp-resume", none),
        Command::SetMirror(mirror) => (
            "mirror",
            none.with("read_percent", share(mirror.read))
                .with("write_percent", share(mirror.write)),
        ),
        Command::RaiseGeneration | Command::StopMirror => ("mirror", none),
    }
}

/// A setting as its form has it.
pub(super) fn set(fields: Fields, setting: Setting) -> Fields {
    let fields = fields.with("mode", mode(setting));
    match setting {
        Setting::Ramp { percent } => fields.with("percent", share(percent)),
        Setting::StageDefault | Setting::Off | Setting::On => fields,
    }
}

const fn mode(setting: Setting) -> &'static str {
    match setting {
        Setting::StageDefault => "stage_default",
        Setting::Off => "off",
        Setting::On => "on",
        Setting::Ramp { .. } => "ramp",
    }
}

/// A share as a number.
pub(super) fn share(percent: switchover::Percent) -> String {
    percent.to_string().trim_end_matches([' ', '%']).to_owned()
}

/// Keys, one a line.
pub(super) fn lines(keys: &Cohort) -> String {
    let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    keys.join("\n")
}
