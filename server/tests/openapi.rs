//! The OpenAPI document: current, complete, and what is served.

use serde_json::Value;

use crate::support::{App, Engine};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/openapi.json");

pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Value,
}

impl Operation {
    /// The address with something in place of every name.
    pub(crate) fn address(&self) -> String {
        let segments = self.path.split('/').map(|segment| match segment {
            "{environment}" => "dev",
            "{id}" => "0199c0de-0000-7000-8000-000000000000",
            named if named.starts_with('{') => "count_commits",
            fixed => fixed,
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// Whether its answer goes on until somebody hangs up.
    pub(crate) fn is_stream(&self) -> bool {
        self.body["responses"]["200"]["content"]["text/event-stream"].is_object()
    }

    /// The role that `token` needs; `None` for what is not for people.
    pub(crate) fn role(&self) -> Option<String> {
        let roles = self.body["security"].as_array()?.iter();
        let mut roles = roles.filter_map(|scheme| scheme["token"][0].as_str().map(str::to_owned));
        roles.next()
    }
}

pub(crate) fn document() -> Value {
    serde_json::to_value(switchover_server::http::openapi()).unwrap()
}

pub(crate) fn operations() -> Vec<Operation> {
    const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, item) in paths {
        for (method, body) in item.as_object().unwrap() {
            if METHODS.contains(&method.as_str()) {
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    body: body.clone(),
                });
            }
        }
    }
    assert!(operations.len() > 30, "{}", operations.len());
    operations
}

#[test]
fn the_checked_in_document_is_current() {
    let current = switchover_server::http::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(PATH, &current).unwrap();
    }
    let checked_in = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        checked_in == current,
        "openapi/openapi.json is stale: run `UPDATE_OPENAPI=1 cargo test -p switchover-server \
         --test server openapi` and read what has changed"
    );
}

#[test]
fn every_operation_says_what_it_does_and_how_it_fails() {
    let document = document();
    let tags: Vec<&Value> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .collect();
    for operation in operations() {
        let name = format!("{} {}", operation.method, operation.path);
        let body = &operation.body;
        assert!(
            body["summary"].as_str().is_some_and(|text| text.len() > 10),
            "{name}: summary"
        );
        assert_eq!(
            body["tags"].as_array().map(Vec::len),
            Some(1),
            "{name}: tag"
        );
        assert!(
            tags.contains(&&body["tags"][0]),
            "{name}: an undescribed tag"
        );
        assert!(body["operationId"].is_string(), "{name}: operationId");
        let responses = body["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{name}: success"
        );
        let by_token = operation.role().is_some();
        let changes = by_token && operation.method != "GET";
        let has_body = body["requestBody"].is_object();
        // OpenFeature's clients have their own form.
        let is_ofrep = operation.path.starts_with("/ofrep/");
        let (kind, form) = match is_ofrep {
            true => ("application/json", "EvaluationFailure"),
            false => ("application/problem+json", "Problem"),
        };
        for (applies, status) in [
            (by_token, "401"),
            (by_token, "403"),
            (operation.path.contains('{'), "404"),
            (changes, "409"),
            (changes, "412"),
            (changes, "422"),
            (has_body, "400"),
            (has_body, "408"),
            (has_body, "413"),
            (has_body && !is_ofrep, "415"),
            (true, "503"),
        ] {
            if applies {
                let problem = &responses[status]["content"][kind];
                assert_eq!(
                    problem["schema"]["$ref"],
                    format!("#/components/schemas/{form}"),
                    "{name}: {status}"
                );
            }
        }
        if let Some(parameters) = body["parameters"].as_array() {
            let described = parameters.iter().filter(|p| p["in"] == "path").count();
            assert_eq!(
                described,
                operation.path.matches('{').count(),
                "{name}: parameters"
            );
        }
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name} is not defined"
        );
    }
}

/// Whatever the document names is answered by its handler, whatever it does not is not: the
/// operations are no more than the methods that an address allows.
#[test]
fn what_is_served_is_what_is_documented() {
    let app = App::start(Engine::Sqlite);
    let operations = operations();
    for operation in &operations {
        let reply = app.request(&operation.method, &operation.address());
        let reply = reply.header("connection", "close");
        if operation.is_stream() {
            assert_eq!(reply.send().status, 401);
            continue;
        }
        let status = reply.send().status;
        let expected: &[u16] = match operation.path.as_str() {
            "/healthz" | "/metrics" | "/readyz" => &[200],
            _ => &[401],
        };
        assert!(
            expected.contains(&status),
            "{} {}: {status}",
            operation.method,
            operation.path
        );
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let mut documented = operations
                .iter()
                .filter(|other| other.method == method && other.address() == operation.address());
            if documented.next().is_none() {
                let reply = app.request(method, &operation.address()).send();
                assert_eq!(
                    reply.code(405),
                    "method_not_allowed",
                    "{method} {}",
                    operation.path
                );
                let allow = reply.header("allow").unwrap();
                assert!(allow.contains(operation.method.as_str()), "{allow}");
                assert!(!allow.split(", ").any(|known| known == method), "{allow}");
            }
        }
    }
    let served = app.request("GET", "/api/openapi.json").send().expect(200);
    assert_eq!(served.json(), document());
    let moved = app.request("GET", "/api/docs").send();
    assert_eq!(moved.header("location"), Some("/api/docs/"));
    let docs = app.request("GET", "/api/docs/").send().expect(200);
    assert!(
        docs.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
}
