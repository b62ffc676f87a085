//! What OpenFeature clients are told of one state: each route as two flags. Their answers are made when
//! a route is first asked for, for every verdict that it has without cohorts and requirements.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use switchover::{Overrides, Path, Plan, Reason, RouteKey, Stage, Table, Verdict, decide, plan};
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
    epoch: Box<str>,
    table: Arc<Table>,
    routes: BTreeMap<RouteKey, Route>,
    /// How many bytes all answers took together the last time.
    size: AtomicUsize,
}

#[derive(Debug)]
struct Route {
    stage: Stage,
    changed_at: u64,
    made: OnceLock<Made>,
}

/// What a route's answers follow from, and those that are ready.
#[derive(Debug)]
struct Made {
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

/// One route's flags, to be answered for.
#[derive(Clone, Copy)]
struct Of<'a> {
    name: &'a RouteKey,
    route: &'a Route,
    made: &'a Made,
}

impl Flags {
    /// The flags of these routes, each with its stage and the revision in which it last changed.
    pub(super) fn new<'a>(
        environment: &str,
        epoch: &str,
        table: Arc<Table>,
        routes: impl Iterator<Item = (&'a RouteKey, Stage, u64)>,
    ) -> Flags {
        let route = |(name, stage, changed_at): (&RouteKey, Stage, u64)| {
            let route = Route {
                stage,
                changed_at,
                made: OnceLock::new(),
            };
            (name.clone(), route)
        };
        Flags {
            environment: environment.into(),
            epoch: epoch.into(),
            table,
            routes: routes.map(route).collect(),
            size: AtomicUsize::new(0),
        }
    }

    /// The answer for one flag and one key; `None` for a flag that there is not.
    #[must_use]
    pub fn one(&self, flag: &str, key: Option<&str>) -> Option<Cow<'_, str>> {
        let (route, form) = match flag.strip_suffix(AS_TEXT) {
            Some(route) => (route, Form::Path),
            None => (flag, Form::IsNew),
        };
        let (name, route) = self.routes.get_key_value(route)?;
        let of = self.of(name, route);
        let verdict = self.verdict(of, key);
        Some(match of.made.ready(verdict) {
            Some(ready) => Cow::Borrowed(ready.of(form)),
            None => Cow::Owned(self.written(of, verdict, form)),
        })
    }

    /// The answers for all flags and one key: JSON, with a comma between two.
    pub fn all(&self, key: Option<&str>, into: &mut String) {
        let before = into.len();
        into.reserve(self.size.load(Ordering::Relaxed));
        for (name, route) in &self.routes {
            let of = self.of(name, route);
            let verdict = self.verdict(of, key);
            let ready = of.made.ready(verdict);
            for form in [Form::IsNew, Form::Path] {
                match ready {
                    Some(ready) => into.push_str(ready.of(form)),
                    None => into.push_str(&self.written(of, verdict, form)),
                }
                into.push(',');
            }
        }
        // The comma after the last one.
        if into.len() > before {
            into.pop();
        }
        // With room for what goes around them.
        let size = into.len() - before + 512;
        self.size.store(size, Ordering::Relaxed);
    }

    fn of<'a>(&'a self, name: &'a RouteKey, route: &'a Route) -> Of<'a> {
        let made = route.made.get_or_init(|| self.made(name, route));
        Of { name, route, made }
    }

    fn made(&self, name: &RouteKey, route: &Route) -> Made {
        let plan = plan(&self.table, name.as_str(), &Overrides::none());
        let verdicts = match plan {
            Plan::Always(verdict) => vec![verdict],
            Plan::Ramp { .. } => [
                (Path::New, Reason::RampIn),
                (Path::Old, Reason::RampOut),
                (Path::Old, Reason::NoKey),
            ]
            .map(|(path, reason)| Verdict { path, reason })
            .to_vec(),
            Plan::PerKey => Vec::new(),
        };
        let mut made = Made {
            version: format!("{}.{}", self.epoch, route.changed_at).into(),
            plan,
            ready: Vec::with_capacity(verdicts.len()),
        };
        for verdict in verdicts {
            let of = Of {
                name,
                route,
                made: &made,
            };
            let ready = Ready {
                is_new: self.written(of, verdict, Form::IsNew).into(),
                path: self.written(of, verdict, Form::Path).into(),
            };
            made.ready.push((verdict.reason, ready));
        }
        made
    }

    fn verdict(&self, of: Of<'_>, key: Option<&str>) -> Verdict {
        if let Plan::Always(verdict) = of.made.plan {
            return verdict;
        }
        let decision = decide(&self.table, of.name.as_str(), &Overrides::none(), key);
        Verdict {
            path: decision.path,
            reason: decision.reason,
        }
    }

    fn written(&self, of: Of<'_>, verdict: Verdict, form: Form) -> String {
        let Verdict { path, reason } = verdict;
        let (key, value) = match form {
            Form::IsNew => (
                Cow::Borrowed(of.name.as_str()),
                EvaluationValue::IsNew(path == Path::New),
            ),
            Form::Path => (
                Cow::Owned(format!("{}{AS_TEXT}", of.name.as_str())),
                EvaluationValue::Path(path.name()),
            ),
        };
        let evaluation = Evaluation {
            key,
            value,
            reason: standard(&of.made.plan, reason),
            variant: path.name(),
            metadata: EvaluationMetadata {
                stage: of.route.stage.name(),
                reason: reason.name(),
                environment: &self.environment,
                flag_set_id: &self.environment,
                version: &of.made.version,
            },
        };
        // A struct of plain values always serialises.
        serde_json::to_string(&evaluation).unwrap_or_default()
    }
}

impl Made {
    /// A reason leads to one path alone.
    fn ready(&self, verdict: Verdict) -> Option<&Ready> {
        let mut ready = self.ready.iter();
        let (_, ready) = ready.find(|(reason, _)| *reason == verdict.reason)?;
        Some(ready)
    }
}

impl Ready {
    fn of(&self, form: Form) -> &str {
        match form {
            Form::IsNew => &self.is_new,
            Form::Path => &self.path,
        }
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
