//! What evaluations are logged as. Alone in its process: which events are wanted is decided for a
//! process as a whole.
#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test speaks"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use open_feature::{EvaluationContext, OpenFeature};
use switchover::Setting;
use switchover_openfeature::SwitchoverProvider;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// What was logged: one map of fields for each event.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Logged {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().name() == "feature_flag.evaluation" {
            let mut fields = Fields(BTreeMap::new());
            event.record(&mut fields);
            self.0.lock().unwrap().push(fields.0);
        }
    }
}

#[tokio::test]
async fn every_evaluation_is_an_event_with_the_attributes_of_the_conventions() {
    let logged = Logged::default();
    let subscriber = tracing_subscriber::registry().with(logged.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let switchover = switchover::testing::client();
    switchover.set_setting("count_commits", Setting::On);
    let mut api = OpenFeature::default();
    let provider = SwitchoverProvider::new((*switchover).clone());
    api.set_provider(provider).await;
    let flags = api.create_client();
    let key = EvaluationContext::default().with_targeting_key("project-7");
    flags
        .get_bool_value("count_commits", Some(&key), None)
        .await
        .unwrap();
    flags
        .get_bool_value("find_tag", None, None)
        .await
        .unwrap_err();
    let events = logged.0.lock().unwrap().clone();
    let [evaluated, failed] = events.as_slice() else {
        unreachable!("{events:?}")
    };
    for (name, value) in [
        ("feature_flag.key", "count_commits"),
        ("feature_flag.provider.name", "switchover"),
        ("feature_flag.result.variant", "new"),
        ("feature_flag.result.value", "true"),
        ("feature_flag.result.reason", "static"),
        ("feature_flag.context.id", "project-7"),
        ("switchover.reason", "on"),
        ("switchover.stage", "opt_in"),
        ("switchover.source", "live"),
    ] {
        assert_eq!(
            evaluated.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
    assert!(
        evaluated.contains_key("feature_flag.set.id"),
        "{evaluated:?}"
    );
    assert!(
        evaluated.contains_key("feature_flag.version"),
        "{evaluated:?}"
    );
    for (name, value) in [
        ("feature_flag.key", "find_tag"),
        ("feature_flag.result.reason", "error"),
        ("error.type", "flag_not_found"),
    ] {
        assert_eq!(failed.get(name).map(String::as_str), Some(value), "{name}");
    }
}
