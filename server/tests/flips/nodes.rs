//! Several nodes, of which one is lost, and databases that are restored.

use super::*;

/// Whoever is left ends what a lost node has announced, and reports may go to any.
#[test]
fn another_node_ends_what_a_lost_one_has_announced() {
    let database = Arc::new(TestDatabase::new(Engine::Postgres));
    let one = App::over(Arc::clone(&database));
    let other = App::over(Arc::clone(&database));
    let key = doubled(&one);
    eventually("the key is known", Wait::from_secs(20), || {
        (other.snapshot(&key).status == 200).then_some(())
    });
    joins(&one, &key, "a");
    joins(&other, &key, "b");
    ramp(&one, 30).expect(202);
    lets_go(&other, &key, "a", 1);
    lets_go(&one, &key, "b", 1);
    assert_eq!(ended(&other)["exposure_percent"], 30);

    ramp(&one, 50).expect(202);
    one.stop();
    lets_go(&other, &key, "a", 2);
    lets_go(&other, &key, "b", 2);
    assert_eq!(ended(&other)["exposure_percent"], 50);

    // And where not all let go, the conductor of the node that is left gives it up.
    let one = App::over(Arc::clone(&database));
    ramp(&one, 60).expect(202);
    one.stop();
    lets_go(&other, &key, "a", 3);
    other.services().settle_due().unwrap();
    assert!(!rollout(&other)["hold"].is_null());
    other.advance(Duration::seconds(2));
    other.services().settle_due().unwrap();
    let after = rollout(&other);
    assert_eq!(
        (&after["hold"], &after["exposure_percent"]),
        (&Value::Null, &json!(50))
    );
    other.assert_audit_intact();
}

/// Many report at once to two nodes: each flip is made once.
#[test]
fn many_that_let_go_at_once_make_each_flip_once() {
    const PROCESSES: usize = 24;
    const FLIPS: u64 = 6;
    let database = Arc::new(TestDatabase::new(Engine::Postgres));
    let nodes = [
        App::over(Arc::clone(&database)),
        App::over(Arc::clone(&database)),
    ];
    let key = doubled(&nodes[0]);
    eventually("the key is known", Wait::from_secs(20), || {
        (nodes[1].snapshot(&key).status == 200).then_some(())
    });
    let names: Vec<String> = (0..PROCESSES).map(|number| format!("p{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        joins(&nodes[number % 2], &key, name);
    }
    for generation in 1..=FLIPS {
        let percent = u32::try_from(generation * 10).unwrap();
        ramp(&nodes[0], percent).expect(202);
        std::thread::scope(|scope| {
            for (number, name) in names.iter().enumerate() {
                let (node, key) = (&nodes[number % 2], &key);
                scope.spawn(move || lets_go(node, key, name, generation));
            }
        });
        let after = ended(&nodes[1]);
        assert_eq!(after["exposure_percent"], percent);
        assert_eq!(after["generation"], generation);
    }
    let settings = actions(&nodes[0])
        .iter()
        .filter(|it| *it == "setting")
        .count();
    assert_eq!(u64::try_from(settings).unwrap(), FLIPS + 1);
    nodes[0].assert_audit_intact();
}

/// What was put back from a copy begins beyond the generations that stores and processes have seen, and
/// nothing is announced in it any more.
#[test]
fn a_restored_database_begins_beyond_every_generation() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start(engine);
        let key = doubled(&app);
        joins(&app, &key, "a");
        ramp(&app, 10).expect(202);
        lets_go(&app, &key, "a", 1);
        ended(&app);
        ramp(&app, 20).expect(202);
        lets_go(&app, &key, "b", 2);
        let ctx = switchover_server::service::Ctx::of(Who::ADMIN.actor());
        let reason = switchover_server::domain::text::Reason::new("restored").unwrap();
        let receipt = |epoch: &String| switchover_server::store::Receipt {
            status: 200,
            etag: None,
            body: epoch.clone(),
        };
        app.services().begin_epoch(&ctx, &reason, &receipt).unwrap();
        let after = rollout(&app);
        assert_eq!(
            (&after["hold"], &after["exposure_percent"]),
            (&Value::Null, &json!(10))
        );
        let generation = after["generation"].as_u64().unwrap();
        assert!(generation > 1 << 40, "{generation}");
        lets_go(&app, &key, "a", 2);
        assert_eq!(rollout(&app)["exposure_percent"], 10);
        leaves(&app, &key, "b");
        ramp(&app, 20).expect(202);
        assert_eq!(published(&app, &key)["generation"], generation + 1);
        lets_go(&app, &key, "a", generation + 1);
        assert_eq!(ended(&app)["exposure_percent"], 20);
    }
}
