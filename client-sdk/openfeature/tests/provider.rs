//! The provider behind OpenFeature's own client.
#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test speaks"
)]

use std::time::Duration;

use open_feature::provider::{FeatureProvider as _, ProviderStatus};
use open_feature::{
    Client, EvaluationContext, EvaluationDetails, EvaluationErrorCode, EvaluationReason,
    FlagMetadataValue, OpenFeature, StructValue,
};
use switchover::testing::TestClient;
use switchover::{Percent, Rollout, Setting, Stage};
use switchover_openfeature::SwitchoverProvider;

async fn flags(switchover: &TestClient) -> Client {
    let mut api = OpenFeature::default();
    let provider = SwitchoverProvider::new((*switchover).clone());
    api.set_provider(provider).await;
    api.create_client()
}

fn about(key: &str) -> EvaluationContext {
    EvaluationContext::default().with_targeting_key(key)
}

fn said<T>(details: &EvaluationDetails<T>, name: &str) -> Option<String> {
    match details.flag_metadata.values.get(name)? {
        FlagMetadataValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// A ramp of which some of these keys are in, and some out.
fn half() -> Setting {
    Setting::Ramp {
        percent: Percent::from_thousandths(50_000).unwrap(),
    }
}

#[tokio::test]
async fn a_route_is_a_boolean_and_a_string() {
    let switchover = switchover::testing::client();
    let flags = flags(&switchover).await;
    for (setting, is_new, path, reason) in [
        (Setting::On, true, "new", "on"),
        (Setting::Off, false, "old", "off"),
    ] {
        switchover.set_setting("count_commits", setting);
        let details = flags.get_bool_details("count_commits", None, None).await;
        let details = details.unwrap();
        assert_eq!(details.value, is_new);
        assert_eq!(details.variant.as_deref(), Some(path));
        assert_eq!(details.reason, Some(EvaluationReason::Static));
        assert_eq!(said(&details, "reason").as_deref(), Some(reason));
        assert_eq!(said(&details, "stage").as_deref(), Some("opt_in"));
        assert_eq!(said(&details, "source").as_deref(), Some("live"));
        assert_eq!(said(&details, "environment"), said(&details, "flagSetId"));
        assert!(said(&details, "version").unwrap().starts_with("test."));
        for name in ["count_commits", "count_commits.path"] {
            let text = flags.get_string_value(name, None, None).await;
            assert_eq!(text.unwrap(), path, "{name}");
        }
    }
}

#[tokio::test]
async fn a_ramp_goes_by_the_targeting_key() {
    let switchover = switchover::testing::client();
    switchover.set_setting("count_commits", half());
    let flags = flags(&switchover).await;
    let route = switchover.route("count_commits");
    let mut seen = [false; 2];
    for number in 0..50 {
        let key = format!("project-{number}");
        let details = flags
            .get_bool_details("count_commits", Some(&about(&key)), None)
            .await
            .unwrap();
        let is_new = route.path(&*key) == switchover::Path::New;
        assert_eq!(details.value, is_new, "{key}");
        assert_eq!(details.reason, Some(EvaluationReason::Split));
        let rule = if is_new { "ramp_in" } else { "ramp_out" };
        assert_eq!(said(&details, "reason").as_deref(), Some(rule));
        seen = [seen[0] || is_new, seen[1] || !is_new];
    }
    assert_eq!(seen, [true; 2]);
    for context in [None, Some(about(""))] {
        let without = flags.get_bool_details("count_commits", context.as_ref(), None);
        let without = without.await.unwrap();
        assert!(!without.value);
        assert_eq!(without.reason, Some(EvaluationReason::Default));
        assert_eq!(said(&without, "reason").as_deref(), Some("no_key"));
    }
}

#[tokio::test]
async fn a_cohort_is_a_match() {
    let switchover = switchover::testing::client();
    let mut rollout = Rollout::at("COUNT_COMMITS".parse().unwrap(), Stage::OptIn);
    rollout.setting = half();
    rollout.include = ["project-7".into()].into_iter().collect();
    switchover.set_rollout("count_commits", rollout);
    let flags = flags(&switchover).await;
    let details = flags
        .get_bool_details("count_commits", Some(&about("project-7")), None)
        .await
        .unwrap();
    assert!(details.value);
    assert_eq!(details.reason, Some(EvaluationReason::TargetingMatch));
    assert_eq!(said(&details, "reason").as_deref(), Some("cohort_include"));
}

#[tokio::test]
async fn what_there_is_not_leaves_the_default_to_the_application() {
    let switchover = switchover::testing::client();
    switchover.set_setting("count_commits", Setting::On);
    let flags = flags(&switchover).await;
    for name in [
        "find_tag",
        "find_tag.path",
        "",
        "Not A Key",
        "a.b.c",
        "count_commits.path.path",
    ] {
        let error = flags.get_bool_value(name, None, None).await.unwrap_err();
        assert_eq!(error.code, EvaluationErrorCode::FlagNotFound, "{name}");
    }
    let mismatch = EvaluationErrorCode::TypeMismatch;
    let text = "count_commits.path";
    assert_eq!(
        flags
            .get_bool_value(text, None, None)
            .await
            .unwrap_err()
            .code,
        mismatch
    );
    let name = "count_commits";
    assert_eq!(
        flags
            .get_int_value(name, None, None)
            .await
            .unwrap_err()
            .code,
        mismatch
    );
    assert_eq!(
        flags
            .get_float_value(name, None, None)
            .await
            .unwrap_err()
            .code,
        mismatch
    );
    let details = flags
        .get_struct_value::<StructValue>(name, None, None)
        .await;
    assert_eq!(details.unwrap_err().code, mismatch);
    let unknown = flags
        .get_int_value("find_tag", None, None)
        .await
        .unwrap_err();
    assert_eq!(unknown.code, EvaluationErrorCode::FlagNotFound);
}

#[tokio::test]
async fn it_starts_without_a_server_and_says_so() {
    // Nobody listens on port 1.
    let client = switchover::Client::builder()
        .server("http://127.0.0.1:1", "swk_none")
        .start()
        .unwrap();
    let mut provider =
        SwitchoverProvider::new(client.clone()).wait_at_most(Duration::from_millis(50));
    assert_eq!(provider.status(), ProviderStatus::NotReady);
    provider.initialize(&EvaluationContext::default()).await;
    assert_eq!(provider.status(), ProviderStatus::Error);
    let context = EvaluationContext::default();
    let resolved = provider.resolve_bool_value("count_commits", &context).await;
    assert_eq!(
        resolved.unwrap_err().code,
        EvaluationErrorCode::FlagNotFound
    );
    client.shutdown();
    assert_eq!(provider.status(), ProviderStatus::NotReady);

    let offline = switchover::testing::client();
    let mut provider = SwitchoverProvider::new((*offline).clone());
    provider.initialize(&EvaluationContext::default()).await;
    assert_eq!(provider.status(), ProviderStatus::Ready);
    assert_eq!(provider.metadata().name, "switchover");
}
