//! OpenFeature's Rust client, asked line by line: `{flag, default, key?}` in, what it evaluates to out.
//! Arguments: the server, the SDK key.

use std::io::{BufRead as _, Write as _};

use http::{HeaderMap, header::AUTHORIZATION};
use open_feature::{EvaluationContext, EvaluationDetails, EvaluationError, OpenFeature};
use open_feature_ofrep::{OfrepOptions, OfrepProvider};
use serde_json::{Value, json};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(serve());
}

async fn serve() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("arguments: URL SDK_KEY");
    let (base_url, sdk_key) = (next(), next());
    let mut headers = HeaderMap::new();
    let authorization = format!("Bearer {sdk_key}").parse().expect("a header");
    headers.insert(AUTHORIZATION, authorization);
    let options = OfrepOptions {
        base_url,
        headers,
        ..OfrepOptions::default()
    };
    let provider = OfrepProvider::new(options).await.expect("a provider");
    let mut api = OpenFeature::singleton_mut().await;
    api.set_provider(provider).await;
    let client = api.create_client();
    drop(api);
    println!("{}", json!({ "ready": true }));
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let flag = asked["flag"].as_str().expect("a flag");
        let mut context = EvaluationContext::default();
        if let Some(key) = asked["key"].as_str() {
            context = context.with_targeting_key(key);
        }
        let default = &asked["default"];
        let answer = match default {
            Value::Bool(_) => {
                let details = client.get_bool_details(flag, Some(&context), None).await;
                shown(details, default)
            }
            _ => {
                let details = client.get_string_details(flag, Some(&context), None).await;
                shown(details, default)
            }
        };
        println!("{answer}");
        std::io::stdout().flush().expect("a reader");
    }
}

fn shown<T: Into<Value>>(
    details: Result<EvaluationDetails<T>, EvaluationError>,
    default: &Value,
) -> Value {
    match details {
        Ok(details) => json!({ "value": details.value.into(), "variant": details.variant }),
        Err(error) => json!({
            "value": default,
            "error": error.code.to_string(),
            "message": error.message,
        }),
    }
}
