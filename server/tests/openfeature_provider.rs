//! OpenFeature's own SDK, answered by our provider, against a real server.

use std::time::{Duration, Instant};

use open_feature::provider::{FeatureProvider as _, ProviderStatus};
use open_feature::{EvaluationContext, EvaluationErrorCode, EvaluationReason, OpenFeature};
use serde_json::json;
use switchover_openfeature::SwitchoverProvider;

use crate::support::{App, Engine, Who};

#[test]
fn the_provider_follows_a_real_server() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let key = app.sdk_key("dev");
    let client = switchover::Client::builder()
        .server(format!("http://{}", app.address()), key)
        .start()
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut api = OpenFeature::default();
        api.set_provider(SwitchoverProvider::new(client.clone()))
            .await;
        let flags = api.create_client();
        let context = EvaluationContext::default().with_targeting_key("project-7");
        let evaluate = async || {
            flags
                .get_bool_details("a", Some(&context), None)
                .await
                .unwrap()
        };
        // It waited for the snapshot, so the first answer is the server's.
        let before = evaluate().await;
        assert!(!before.value);
        assert_eq!(before.variant.as_deref(), Some("old"));
        assert_eq!(before.reason, Some(EvaluationReason::Static));
        let unknown = flags.get_bool_value("b", None, None).await.unwrap_err();
        assert_eq!(unknown.code, EvaluationErrorCode::FlagNotFound);

        app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
            .expect(201);
        let began = Instant::now();
        while !evaluate().await.value {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "it never saw the promotion"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let said = evaluate().await.flag_metadata.values;
        assert_eq!(said.get("stage"), Some(&"opt_in".into()));
        assert_eq!(said.get("environment"), Some(&"dev".into()));
        assert_eq!(said.get("source"), Some(&"live".into()));
        let version = client.status().version.unwrap().to_string();
        assert_eq!(said.get("version"), Some(&version.as_str().into()));

        app.set("a", "dev", json!({ "mode": "off" })).expect(200);
        let began = Instant::now();
        while evaluate().await.value {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "it never saw the setting"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let text = flags.get_string_value("a.path", Some(&context), None).await;
        assert_eq!(text.unwrap(), "old");
    });
    let mut provider = SwitchoverProvider::new(client.clone());
    runtime.block_on(provider.initialize(&EvaluationContext::default()));
    assert_eq!(provider.status(), ProviderStatus::Ready);
}
