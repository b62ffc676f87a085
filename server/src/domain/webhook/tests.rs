use std::collections::BTreeSet;

use chrono::{Duration, TimeZone as _};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::actor::{Actor, Role};

fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 5, 10, 0, 0).unwrap()
}

fn entry(action: &str) -> AuditEntry {
    AuditEntry {
        seq: 7,
        at: start(),
        actor: Actor {
            subject: "otto@example.com".to_owned(),
            role: Role::Operator,
        },
        action: action.to_owned(),
        route: Some("count_commits".to_owned()),
        environment: Some("production".to_owned()),
        reason: "because".to_owned(),
        before: Value::Null,
        after: Value::Null,
    }
}

fn webhook(events: &[&str], environments: &[&str], owners: &[&str]) -> Webhook {
    Webhook {
        id: "hook".to_owned(),
        name: "room".to_owned(),
        url: ReceiverUrl::new("https://example.com/T0/secret?key=1".to_owned()).shown(),
        events: events.iter().map(|name| name.parse().unwrap()).collect(),
        environments: environments
            .iter()
            .map(|name| name.parse().unwrap())
            .collect(),
        owners: owners.iter().map(|name| (*name).to_owned()).collect(),
        state: WebhookState::Active,
        created_by: "mia@example.com".to_owned(),
        created_at: start(),
        revision: 1,
    }
}

fn sent(entry: &AuditEntry) -> Delivery {
    let one = Told {
        entry,
        owner: Some("gitaly"),
        epoch: "epoch",
    };
    told(&webhook(&[], &[], &[]), "id".to_owned(), one, start())
}

#[test]
fn each_webhook_hears_what_it_asked_for() {
    let halt = entry("halt");
    let by_guard = AuditEntry {
        actor: Actor::guard("errors"),
        ..entry("halt")
    };
    let release = AuditEntry {
        route: None,
        environment: Some("on-prem".to_owned()),
        ..entry("release_publish")
    };
    let policy = AuditEntry {
        route: None,
        environment: None,
        ..entry("policy")
    };
    let freeze = |environments: &[&str]| AuditEntry {
        after: json!({ "environments": environments }),
        ..AuditEntry {
            action: "freeze_open".to_owned(),
            ..policy.clone()
        }
    };
    let (here, everywhere) = (freeze(&["dev", "production"]), freeze(&[]));
    for (events, environments, owners, entry, expected) in [
        (&[][..], &[][..], &[][..], &halt, true),
        (&["rollout"], &[], &[], &halt, true),
        (&["rollout.halted"], &[], &[], &halt, true),
        (&["rollout.promoted"], &[], &[], &halt, false),
        (&["release"], &[], &[], &halt, false),
        (&["release", "rollout.halted"], &[], &[], &halt, true),
        (&["guard"], &[], &[], &halt, false),
        (&["guard"], &[], &[], &by_guard, true),
        (&["rollout.halted"], &[], &[], &by_guard, true),
        (&["release"], &[], &[], &release, true),
        (&["release"], &["on-prem"], &[], &release, true),
        (&["release"], &["dev"], &[], &release, false),
        (&[], &["production", "dev"], &[], &halt, true),
        (&[], &["dev"], &[], &halt, false),
        (&[], &["dev"], &[], &policy, false),
        (&["policy"], &[], &[], &policy, true),
        (&[], &["dev"], &[], &here, true),
        (&[], &["staging"], &[], &here, false),
        (&[], &["staging"], &[], &everywhere, true),
        (&[], &[], &["gitaly"], &halt, true),
        (&[], &[], &["storage"], &halt, false),
    ] {
        let hook = webhook(events, environments, owners);
        assert_eq!(
            hook.wants(entry, Some("gitaly")),
            expected,
            "{events:?} {environments:?} {owners:?} {}",
            entry.action
        );
    }
    assert!(!webhook(&[], &[], &["gitaly"]).wants(&policy, None));
}

#[test]
fn names_of_events_are_unique_and_are_all_selected_by_their_kind() {
    let names: Vec<&str> = event_types().collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for name in names {
        let (kind, _) = name.split_once('.').unwrap();
        assert!(kind.parse::<Selector>().is_ok() && name.parse::<Selector>().is_ok());
    }
    assert_eq!(event_type("new_thing"), "other.new_thing");
    for wrong in [
        "",
        "rollout.",
        "rollout.exploded",
        "Rollout",
        "*",
        "rollout*",
    ] {
        let why = wrong.parse::<Selector>().unwrap_err();
        assert!(
            why.contains("release") && why.contains("rollout.halted"),
            "{why}"
        );
    }
}

#[test]
fn a_message_has_its_form() {
    let mut entry = entry("promote");
    entry.before = json!({ "stage": "ready_for_testing", "setting": { "mode": "off" }, "revision": 1,
        "include": ["ann"], "halt": null, "ramp": { "steps": [1] } });
    entry.after = json!({ "stage": "opt_in", "setting": { "mode": "off" }, "revision": 2,
        "include": ["ann", "bob"], "halt": null, "ramp": { "steps": [2] }, "text": "x".repeat(300) });
    let sent = sent(&entry);
    let body: Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!(
        body,
        json!({
            "type": "rollout.promoted",
            "timestamp": "2026-01-05T10:00:00.000000Z",
            "data": {
                "seq": 7, "action": "promote", "by": "otto@example.com", "role": "operator",
                "route": "count_commits", "environment": "production", "owner": "gitaly",
                "reason": "because",
                "changed": {
                    "stage": { "from": "ready_for_testing", "to": "opt_in" },
                    "revision": { "from": 1, "to": 2 },
                },
            },
        })
    );
    assert!(sent.message.starts_with("msg_") && sent.message.len() == 36);
}

/// Receivers tell by the name whether they have a message: it is the same for ever, and of no other.
#[test]
fn a_message_is_known_by_its_name() {
    let first = sent(&entry("halt"));
    assert_eq!(sent(&entry("halt")).message, first.message);
    let other = AuditEntry {
        seq: 8,
        ..entry("halt")
    };
    assert_ne!(sent(&other).message, first.message);
    let entry = entry("halt");
    let elsewhere = Told {
        entry: &entry,
        owner: None,
        epoch: "restored",
    };
    let restored = told(&webhook(&[], &[], &[]), "id".to_owned(), elsewhere, start());
    assert_ne!(restored.message, first.message);
}

fn outcome(status: Option<u16>, retry_after: Option<u64>) -> Outcome {
    Outcome {
        attempt: Attempt {
            at: start(),
            took_ms: 1,
            status,
            error: None,
            answer: String::new(),
        },
        retry_after,
    }
}

#[test]
fn attempts_end_in_delivered_given_up_or_gone() {
    let mut delivery = sent(&entry("halt"));
    assert_eq!(
        delivery.take(outcome(Some(204), None), 0, start()),
        Verdict::Delivered
    );
    assert_eq!(
        (delivery.state, delivery.due_at),
        (DeliveryState::Delivered, None)
    );
    delivery.order("ann", start());
    assert_eq!(
        delivery.take(outcome(Some(410), None), 0, start()),
        Verdict::Gone
    );
    delivery.order("ann", start());
    let mut now = start();
    for status in [None, Some(500), Some(302), Some(404), Some(429), Some(100)]
        .into_iter()
        .cycle()
        .take(10)
    {
        let verdict = delivery.take(outcome(status, None), u16::MAX / 2, now);
        assert_eq!(verdict, Verdict::Again, "{status:?}");
        assert_eq!(delivery.state, DeliveryState::Failed);
        let due = delivery.due_at.unwrap();
        assert!(due > now);
        now = due;
    }
    let days = now - start();
    assert!(days > Duration::hours(70) && days < GIVE_UP_AFTER, "{days}");
    assert_eq!(delivery.take(outcome(None, None), 0, now), Verdict::GivenUp);
    assert_eq!(
        (delivery.state, delivery.due_at),
        (DeliveryState::GivenUp, None)
    );
    assert_eq!(delivery.attempts.len(), MOST_ATTEMPTS_KEPT);
}

/// Turns tell attempts apart that were made of one message.
#[test]
fn each_attempt_and_each_order_is_another_turn() {
    let mut delivery = sent(&entry("halt"));
    let mut turns = BTreeSet::from([delivery.turn]);
    for status in [Some(500), None, Some(204), Some(410)] {
        delivery.take(outcome(status, None), 0, start());
        assert!(turns.insert(delivery.turn), "{status:?}");
        delivery.order("ann", start());
        assert!(turns.insert(delivery.turn), "{status:?}");
    }
}

proptest! {
    /// The wait is never off by more than a fifth, and never shorter than asked for, within a day.
    #[test]
    fn waits_keep_to_their_bounds(tries in 0_u32..10, jitter: u16, asked: Option<u64>) {
        const SECONDS: [i64; 10] =
            [5, 30, 120, 600, 3_600, 10_800, 28_800, 43_200, 86_400, 86_400];
        let mut delivery = sent(&entry("halt"));
        delivery.tries = tries;
        delivery.take(outcome(Some(503), asked), jitter, start());
        let wait = (delivery.due_at.unwrap() - start()).num_milliseconds();
        let nominal = SECONDS[usize::try_from(tries).unwrap()] * 1_000;
        let asked = i64::try_from(asked.unwrap_or(0).min(86_400)).unwrap() * 1_000;
        prop_assert!(wait >= asked);
        prop_assert!(wait >= nominal * 4 / 5 && wait <= (nominal * 6 / 5).max(asked));
    }

    /// Whatever a receiver answers, it stays short and turns no terminal.
    #[test]
    fn answers_are_short_and_clean(answer in proptest::collection::vec(any::<u8>(), 0..3_000)) {
        let text = clean(&answer);
        prop_assert!(text.chars().count() <= LONGEST_ANSWER);
        prop_assert!(!text.chars().any(crate::domain::text::misleads));
    }
}

#[test]
fn a_receiver_that_fails_for_days_is_hopeless() {
    let at = |hours: i64| Health {
        failing_since: Some(start() - Duration::hours(hours)),
        delivered_at: None,
    };
    assert!(!Health::default().is_hopeless(start()));
    assert!(!at(47).is_hopeless(start()));
    assert!(at(48).is_hopeless(start()));
}

#[test]
fn the_secret_before_holds_until_its_end() {
    let secret = |text: &str| Secret::new(text.to_owned());
    let secrets = Secrets::first(secret("a")).rotated(secret("b"), start() + Duration::hours(1));
    let in_force = |at: DateTime<Utc>| -> Vec<String> {
        let secrets = secrets.in_force(at);
        secrets.map(|secret| secret.reveal().to_owned()).collect()
    };
    assert_eq!(in_force(start()), ["b", "a"]);
    assert_eq!(in_force(start() + Duration::hours(1)), ["b"]);
}

#[test]
fn what_is_logged_or_shown_holds_no_secret() {
    let hook = webhook(&[], &[], &[]);
    let secrets = Secrets::first(Secret::new("whsec_hidden".to_owned()));
    let url = ReceiverUrl::new("https://example.com/T0/secret?key=1".to_owned());
    let kept = serde_json::to_string(&hook).unwrap();
    let said = format!("{hook:?} {} {secrets:?} {url:?} {kept}", hook.record());
    assert!(
        !said.contains("hidden") && !said.contains("T0") && !said.contains("key=1"),
        "{said}"
    );
    for (whole, shown) in [
        ("https://example.com/T0/x?y", "https://example.com/…"),
        ("https://example.com/", "https://example.com/"),
        ("https://example.com", "https://example.com/"),
        ("https://example.com?key=1", "https://example.com/…"),
        ("http://10.0.0.1:90/h", "http://10.0.0.1:90/…"),
    ] {
        let url = ReceiverUrl::new(whole.to_owned());
        assert_eq!(url.shown().to_string(), shown);
        assert_eq!(url.whole(), whole);
    }
}
