//! The OpenAPI document: collected from the handlers, completed with what all of them share.

use std::sync::OnceLock;

use actix_web::App;
use serde_json::Value;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, PathItem, Ref, RefOr, ResponseBuilder};
use utoipa::{OpenApi as _, PartialSchema as _, ToSchema as _};
use utoipa_actix_web::{AppExt as _, scope};

use crate::http::error::ProblemBody;
use crate::http::ofrep::EvaluationFailure;
use crate::http::{document_api, document_ofrep, document_root};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Switchover",
        description = "Moves traffic from an old implementation to a new one, one route at a time, and makes it safe.",
        license(name = "MIT", identifier = "MIT")
    ),
    tags(
        (name = "routes", description = "Endpoints that move from an old to a new implementation"),
        (name = "rollouts", description = "A route in one environment: stage, setting, halt"),
        (name = "data", description = "The two stores of routes that write: repairs, backfills, consistency runs"),
        (name = "environments", description = "Where callers run"),
        (name = "releases", description = "What on-prem installations run, and which overrides are in force there"),
        (name = "cohorts", description = "Keys that are treated apart, by name, and what the keys of ramp groups are"),
        (name = "plans", description = "A Markdown checklist of a route: sections, steps, ticks"),
        (name = "policies", description = "Which gates a promotion needs"),
        (name = "freezes", description = "While one is open, nothing raises exposure"),
        (name = "audit", description = "Who changed what, when and why"),
        (name = "access", description = "SDK keys and revoked tokens"),
        (name = "webhooks", description = "Who is told of what is put on record, and what they were sent"),
        (name = "sdk", description = "What SDKs read, with an SDK key"),
        (name = "openfeature", description = "Flags for OpenFeature clients (OFREP), with an SDK key"),
        (name = "health", description = "For load balancers")
    )
)]
struct Document;

/// Below it, errors have the protocol's form.
const OFREP: &str = "/ofrep/v1";

/// The document of everything that this server serves.
#[must_use]
pub fn openapi() -> OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(Document::openapi())
        .configure(document_root)
        .service(scope::scope("/api/v1").configure(document_api))
        .service(scope::scope(OFREP).configure(document_ofrep))
        .split_for_parts();
    let components = document.components.get_or_insert_default();
    for (name, format) in [("token", "JWT"), ("sdk_key", "swk_…")] {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format(format)
            .build();
        components
            .security_schemes
            .insert(name.to_owned(), SecurityScheme::Http(scheme).into());
    }
    for (name, scheme) in [
        (
            "sdk_key_header",
            ApiKey::Header(ApiKeyValue::new("X-API-Key")),
        ),
        ("stream_ticket", ApiKey::Query(ApiKeyValue::new("ticket"))),
    ] {
        components
            .security_schemes
            .insert(name.to_owned(), SecurityScheme::ApiKey(scheme).into());
    }
    let (name, schema) = (EvaluationFailure::name(), EvaluationFailure::schema());
    components.schemas.insert(name.into_owned(), schema);
    components
        .schemas
        .insert(ProblemBody::name().into_owned(), ProblemBody::schema());
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete(path, method, operation);
        }
    }
    document
}

/// The document as it is checked in, which a test holds against [`openapi`].
pub(crate) const CHECKED_IN: &str = include_str!("../../../openapi/openapi.json");

/// Path templates and the methods that each knows. Read when somebody first goes astray.
pub(crate) fn methods() -> &'static [(String, String)] {
    static METHODS: OnceLock<Vec<(String, String)>> = OnceLock::new();
    METHODS.get_or_init(|| {
        let document: Value = serde_json::from_str(CHECKED_IN).unwrap_or_default();
        let paths = document.get("paths").and_then(Value::as_object);
        paths
            .into_iter()
            .flatten()
            .map(|(path, item)| {
                let methods = item.as_object().into_iter().flat_map(serde_json::Map::keys);
                let methods: Vec<String> = methods.map(|name| name.to_uppercase()).collect();
                (path.clone(), methods.join(", "))
            })
            .collect()
    })
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("GET", &mut item.get),
        ("POST", &mut item.post),
        ("PUT", &mut item.put),
        ("PATCH", &mut item.patch),
        ("DELETE", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// What moves keys between the stores of a data route is announced first.
const ANNOUNCED: [&str; 8] = [
    "/promotions",
    "/demotions",
    "/acceptance",
    "/resume",
    "/setting",
    "/cohorts",
    "/ramp/start",
    "/ramp/resume",
];

/// Adds the answer of an operation whose change may only be announced.
fn announce(path: &str, operation: &mut Operation) {
    let is_of_rollout = path.starts_with("/api/v1/routes/{route}/environments/{environment}/");
    if is_of_rollout && ANNOUNCED.iter().any(|end| path.ends_with(end)) {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Transition")))
            .build();
        let response = ResponseBuilder::new()
            .description(
                "It moves keys between the stores of a data route, and is announced (`hold`): within \
                 two seconds it is made, or given up (`last_flip`)",
            )
            .content("application/json", content)
            .build();
        let responses = &mut operation.responses.responses;
        responses.insert("202".to_owned(), response.into());
    }
}

/// Adds the errors that follow from what an operation takes.
fn complete(path: &str, method: &str, operation: &mut Operation) {
    if method != "GET" {
        announce(path, operation);
    }
    let (form, kind) = match path.starts_with(OFREP) {
        true => ("EvaluationFailure", "application/json"),
        false => ("Problem", "application/problem+json"),
    };
    let secured = operation.security.is_some();
    let by_token = path.starts_with("/api/v1");
    let has_body = operation.request_body.is_some();
    let has_query = operation.parameters.as_ref().is_some_and(|parameters| {
        parameters.iter().any(|parameter| match parameter {
            RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
            RefOr::Ref(_) => false,
        })
    });
    let changes = method != "GET" && by_token;
    let tags = operation.tags.iter().flatten();
    // A route that only reads has one store, so that there is nothing to show of two.
    let is_of_stores = by_token && tags.into_iter().any(|tag| tag == "data");
    let errors = [
        (
            has_body || has_query || changes,
            "400",
            "The request cannot be read",
        ),
        (secured, "401", "No credentials, or they are not good"),
        (by_token, "403", "The role does not allow it"),
        (path.starts_with("/sdk/"), "403", "The SDK key is for pages"),
        (
            path.contains('{') || method == "DELETE",
            "404",
            "There is no such thing",
        ),
        (has_body, "408", "The body came too slowly"),
        (
            changes || is_of_stores,
            "409",
            "The rules or the record do not allow it",
        ),
        (changes, "412", "It has changed in the meantime"),
        (has_body, "413", "The body is too large"),
        (
            has_body && form == "Problem",
            "415",
            "The body is of another kind",
        ),
        (
            changes || (has_query && by_token),
            "422",
            "Values are not valid",
        ),
        (true, "503", "Not possible right now"),
    ];
    for (applies, status, description) in errors {
        if applies {
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(form)))
                .build();
            let response = ResponseBuilder::new()
                .description(description)
                .content(kind, content)
                .build();
            operation
                .responses
                .responses
                .insert(status.to_owned(), response.into());
        }
    }
}
