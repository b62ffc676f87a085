//! What OpenFeature clients are told of one state: each route as two flags, their answers ready-made
//! for every verdict that the route has without looking into cohorts and requirements.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use switchover::{Decision, Overrides, Path, Plan, Reason, RouteKey, Stage, Table, decide, plan};
use utoipa::ToSchema;

/// What stands behind a route's key in the name of the flag that is the path as text.
const AS_TEXT: &str = ".path";

/// The answer for one flag, in OFREP's form. A `value` is always there: clients take an answer
/// without one for none at all.
#[derive(Serialize, ToSchema)]
pub struct Evaluation<'a> {
    /// The flag: a route's key, or the key and `.path`.
    #[schema(value_type = String, example = "count_commits")]
    key: Cow<'a, str>,
    /// Of a route: whether the new path is taken. Of `.path`: `old` or `new`.
    value: EvaluationValue,
    /// OpenFeature's reason. `STATIC`: no key would change it. `SPLIT`: the ramp. `TARGETING_MATCH`:
    /// cohorts or requirements. `DEFAULT`: they were asked, and what decided is the rest.
    #[schema(example = "SPLIT")]
    reason: &'static str,
    /// `old` or `new`.
    #[schema(example = "new")]
    variant: &'static str,
    metadata: EvaluationMetadata<'a>,
}

/// A boolean, or text.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(untagged)]
pub enum EvaluationValue {
    /// Whether the new path is taken.
    IsNew(bool),
    /// The path.
    Path(&'static str),
}

/// What there is to know of an answer beside it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvaluationMetadata<'a> {
    /// The stage that the route has reached in this environment.
    #[schema(value_type = String, example = "opt_in")]
    stage: &'a str,
    /// The rule that decided (docs/decisions.md).
    #[schema(example = "ramp_in")]
    reason: &'static str,
    /// Where it was decided.
    #[schema(example = "production")]
    environment: &'a str,
    /// The environment once more, by the name that telemetry has for it.
    #[schema(example = "production")]
    flag_set_id: &'a str,
    /// The version of the environment in which the route last changed.
    #[schema(value_type = String, example = "5f0c2b7a.17")]
    version: &'a str,
}

/// The flags of one state.
#[derive(Debug)]
pub struct Flags {
    environment: Box<str>,
    table: Arc<Table>,
    routes: BTreeMap<RouteKey, Route>,
    /// The most bytes that all ready-made answers take together.
    size: usize,
}

#[derive(Debug)]
struct Route {
    stage: Stage,
    version: Box<str>,
    plan: Plan,
    ready: Vec<(Reason, Ready)>,
}

/// The answers of a route's two flags.
#[derive(Debug)]
struct Ready {
    is_new: Box<str>,
    path: Box<str>,
}

#[derive(Clone, Copy)]
enum Form {
    IsNew,
    Path,
}

impl Flags {
    /// The flags of these routes. `changed_at` says in which version a route last changed.
    pub(super) fn new<'a>(
        environment: &str,
        table: Arc<Table>,
        routes: impl Iterator<Item = (&'a RouteKey, Stage, String)>,
    ) -> Flags {
        let mut flags = Flags {
            environment: environment.into(),
            table,
            routes: BTreeMap::new(),
            size: 0,
        };
        for (key, stage, version) in routes {
            let mut route = Route {
                stage,
                version: version.into(),
                plan: plan(&flags.table, key.as_str(), &Overrides::none()),
                ready: Vec::new(),
            };
            let verdicts = match route.plan {
                Plan::Always(verdict) => vec![(verdict.path, verdict.reason)],
                Plan::Ramp { .. } => vec![
                    (Path::New, Reason::RampIn),
                    (Path::Old, Reason::RampOut),
                    (Path::Old, Reason::NoKey),
                ],
                Plan::PerKey => Vec::new(),
            };
            let ready = |(path, reason)| {
                let answer = |form| flags.written(key, &route, path, reason, form).into();
                let ready = Ready {
                    is_new: answer(Form::IsNew),
                    path: answer(Form::Path),
                };
                (reason, ready)
            };
            route.ready = verdicts.into_iter().map(ready).collect();
            let longest = route.ready.iter().map(|(_, ready)| ready.size()).max();
            flags.size += longest.unwrap_or(512) + 2;
            flags.routes.insert(key.clone(), route);
        }
        flags
    }

    /// The answer for one flag and one key; `None` for a flag that there is not.
    #[must_use]
    pub fn one(&self, flag: &str, key: Option<&str>) -> Option<Cow<'_, str>> {
        let (route, form) = match flag.strip_suffix(AS_TEXT) {
            Some(route) => (route, Form::Path),
            None => (flag, Form::IsNew),
        };
        let (name, route) = self.routes.get_key_value(route)?;
        Some(self.answer(name, route, key, form))
    }

    /// The answers for all flags and one key: JSON, with a comma between two.
    pub fn all(&self, key: Option<&str>, into: &mut String) {
        into.reserve(self.size);
        let mut is_first = true;
        for (name, route) in &self.routes {
            if !is_first {
                into.push(',');
            }
            is_first = false;
            let (path, reason) = self.verdict(name, route, key);
            match route.ready(reason) {
                Some(ready) => {
                    into.push_str(&ready.is_new);
                    into.push(',');
                    into.push_str(&ready.path);
                }
                None => {
                    into.push_str(&self.written(name, route, path, reason, Form::IsNew));
                    into.push(',');
                    into.push_str(&self.written(name, route, path, reason, Form::Path));
                }
            }
        }
    }

    fn answer<'a>(
        &'a self,
        name: &RouteKey,
        route: &'a Route,
        key: Option<&str>,
        form: Form,
    ) -> Cow<'a, str> {
        let (path, reason) = self.verdict(name, route, key);
        match (route.ready(reason), form) {
            (Some(ready), Form::IsNew) => Cow::Borrowed(&*ready.is_new),
            (Some(ready), Form::Path) => Cow::Borrowed(&*ready.path),
            (None, form) => Cow::Owned(self.written(name, route, path, reason, form)),
        }
    }

    fn verdict(&self, name: &RouteKey, route: &Route, key: Option<&str>) -> (Path, Reason) {
        if let Plan::Always(verdict) = route.plan {
            return (verdict.path, verdict.reason);
        }
        let decision: Decision = decide(&self.table, name.as_str(), &Overrides::none(), key);
        (decision.path, decision.reason)
    }

    fn written(
        &self,
        name: &RouteKey,
        route: &Route,
        path: Path,
        reason: Reason,
        form: Form,
    ) -> String {
        let (key, value) = match form {
            Form::IsNew => (
                Cow::Borrowed(name.as_str()),
                EvaluationValue::IsNew(path == Path::New),
            ),
            Form::Path => (
                Cow::Owned(format!("{}{AS_TEXT}", name.as_str())),
                EvaluationValue::Path(path.name()),
            ),
        };
        let evaluation = Evaluation {
            key,
            value,
            reason: standard(&route.plan, reason),
            variant: path.name(),
            metadata: EvaluationMetadata {
                stage: route.stage.name(),
                reason: reason.name(),
                environment: &self.environment,
                flag_set_id: &self.environment,
                version: &route.version,
            },
        };
        // A struct of plain values always serialises.
        serde_json::to_string(&evaluation).unwrap_or_default()
    }
}

impl Route {
    fn ready(&self, reason: Reason) -> Option<&Ready> {
        let mut ready = self.ready.iter();
        let (_, ready) = ready.find(|(known, _)| *known == reason)?;
        Some(ready)
    }
}

impl Ready {
    fn size(&self) -> usize {
        self.is_new.len() + self.path.len()
    }
}

/// The reason in OpenFeature's words. `STATIC` is a promise that another key gets the same: some
/// clients keep such an answer.
fn standard(plan: &Plan, reason: Reason) -> &'static str {
    match (plan, reason) {
        (Plan::Always(_), _) => "STATIC",
        (_, Reason::RampIn | Reason::RampOut) => "SPLIT",
        (_, Reason::CohortInclude | Reason::CohortExclude | Reason::Prerequisite) => {
            "TARGETING_MATCH"
        }
        _ => "DEFAULT",
    }
}
