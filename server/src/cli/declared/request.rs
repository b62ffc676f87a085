//! Each step as the request that anybody could send.

use serde_json::{Map, Value, json};
use switchover::Setting;
use ureq::http::Method;

use crate::cli::api::{Change, encode};
use crate::domain::declared::{DeclaredSetting, RolloutStep, Step, Thing};

/// The request of a step, without conditions.
pub(crate) fn request(step: &Step, reason: &str) -> Change {
    match step {
        Step::AddEnvironment(key, environment) => {
            let more = json!({ "key": key });
            post("/environments".to_owned(), with(json!(environment), &more))
        }
        Step::ChangeEnvironment(key, fields) => {
            let at = format!("/environments/{}", encode(key.as_str()));
            change(Method::PATCH, at, because(fields, reason))
        }
        Step::WritePolicy(name, document) => {
            let document = with(document.clone(), &json!({ "name": name }));
            let body = json!({ "policy": document, "reason": reason });
            post("/policies".to_owned(), body)
        }
        Step::AddCohort(name, cohort) => {
            let more = json!({ "name": name, "reason": reason });
            post("/cohorts".to_owned(), with(json!(cohort), &more))
        }
        Step::SetCohort(name, cohort) => {
            let at = format!("/cohorts/{}", encode(name.as_str()));
            change(
                Method::PUT,
                at,
                with(json!(cohort), &json!({ "reason": reason })),
            )
        }
        Step::SetGroup(name, group) => {
            let at = format!("/ramp-groups/{}", encode(name.as_str()));
            change(
                Method::PUT,
                at,
                with(json!(group), &json!({ "reason": reason })),
            )
        }
        Step::AddRoute(key, route) => {
            let body = with(Value::Object(route.as_new()), &json!({ "key": key }));
            post("/routes".to_owned(), body)
        }
        Step::ChangeRoute(key, fields) => {
            let at = format!("/routes/{}", encode(key.as_str()));
            change(Method::PATCH, at, because(fields, reason))
        }
        Step::Estimate(key, fields) => {
            let at = format!("/routes/{}/preparation", encode(key.as_str()));
            let more = json!({ "action": "estimate" });
            post(at, with(because(fields, reason), &more))
        }
        Step::Rollout(route, environment, step) => {
            let at = format!(
                "/routes/{}/environments/{}",
                encode(route.as_str()),
                encode(environment.as_str())
            );
            of_rollout(&at, step, reason)
        }
        Step::Retire(key) => {
            let at = format!("/routes/{}/retire", encode(key.as_str()));
            post(at, json!({ "reason": reason }))
        }
        Step::RemovePolicy(name) => remove("policies", name.as_str(), reason),
        Step::RemoveCohort(name) => remove("cohorts", name.as_str(), reason),
        Step::RemoveGroup(name) => remove("ramp-groups", name.as_str(), reason),
    }
}

fn of_rollout(at: &str, step: &RolloutStep, reason: &str) -> Change {
    let why = json!({ "reason": reason });
    match step {
        RolloutStep::Promote(to) => post(
            format!("{at}/promotions"),
            json!({ "to": to, "reason": reason }),
        ),
        RolloutStep::Demote(to) => post(
            format!("{at}/demotions"),
            json!({ "to": to, "reason": reason }),
        ),
        RolloutStep::Set(setting) => {
            let setting: Setting = *setting;
            let body = with(json!(DeclaredSetting(setting)), &why);
            change(Method::PUT, format!("{at}/setting"), body)
        }
        RolloutStep::Ramp(steps) => change(
            Method::PUT,
            format!("{at}/ramp"),
            json!({ "steps": steps, "reason": reason }),
        ),
        RolloutStep::Mirror(mirror) => change(
            Method::PUT,
            format!("{at}/mirror"),
            with(json!(mirror), &why),
        ),
        RolloutStep::Cohorts(treated) => change(
            Method::PUT,
            format!("{at}/cohorts"),
            json!({
                "include": treated.include,
                "exclude": treated.exclude,
                "include_cohorts": treated.include_cohorts,
                "exclude_cohorts": treated.exclude_cohorts,
                "reason": reason,
            }),
        ),
    }
}

/// Where a thing with a tag is shown. Policies and ramp groups have none.
pub(crate) fn place_of(thing: &Thing) -> Option<String> {
    match thing {
        Thing::Environment(key) => Some(format!("/environments/{}", encode(key.as_str()))),
        Thing::Cohort(name) => Some(format!("/cohorts/{}", encode(name.as_str()))),
        Thing::Route(key) | Thing::Retirement(key) => {
            Some(format!("/routes/{}", encode(key.as_str())))
        }
        Thing::Rollout(route, environment) => Some(format!(
            "/routes/{}/environments/{}",
            encode(route.as_str()),
            encode(environment.as_str())
        )),
        Thing::Policy(_) | Thing::RampGroup(_) => None,
    }
}

fn post(path: String, body: Value) -> Change {
    change(Method::POST, path, body)
}

fn change(method: Method, path: String, body: Value) -> Change {
    Change {
        method,
        path,
        body: Some(body.to_string()),
        if_match: None,
        idempotency_key: None,
    }
}

fn remove(what: &str, name: &str, reason: &str) -> Change {
    Change {
        method: Method::DELETE,
        path: format!("/{what}/{}?reason={}", encode(name), encode(reason)),
        body: None,
        if_match: None,
        idempotency_key: None,
    }
}

/// An object with more fields.
fn with(mut object: Value, more: &Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more.clone());
    }
    object
}

fn because(fields: &Map<String, Value>, reason: &str) -> Value {
    with(Value::Object(fields.clone()), &json!({ "reason": reason }))
}
