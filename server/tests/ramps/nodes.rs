//! Several nodes that look at the same ramps.

use std::sync::{Arc, Barrier};

use crate::support::TestDatabase;

use super::*;

/// Every step once, however many look at once.
#[test]
fn each_step_is_taken_once() {
    const ROUTES: usize = 8;
    const LOOKS: usize = 12;
    let database = Arc::new(TestDatabase::new(Engine::Postgres));
    let nodes = [
        App::over(Arc::clone(&database)),
        App::over(Arc::clone(&database)),
    ];
    let [one, other] = &nodes;
    let percents = [10, 20, 40, 80];
    let steps = percents.map(|percent| json!({ "percent": percent, "hold": "0s" }));
    for number in 0..ROUTES {
        let route = format!("a{number}");
        one.route(&route);
        one.bring(&route, &["dev"], "opt_in");
        one.set(&route, "dev", json!({ "mode": "ramp", "percent": 0 }))
            .expect(200);
        let body = json!({ "steps": steps, "reason": "test" });
        one.put(Who::OPERATOR, &at(&route, "dev", "ramp"), &body)
            .expect(200);
        let start = at(&route, "dev", "ramp/start");
        one.post(Who::OPERATOR, &start, &json!({ "reason": "test" }))
            .expect(200);
    }
    let entries = one.audit_count();
    let together = Barrier::new(4);
    let moved: usize = std::thread::scope(|scope| {
        let lookers: Vec<_> = [one, other, one, other]
            .into_iter()
            .map(|node| {
                let together = &together;
                scope.spawn(move || {
                    let look = |_| {
                        together.wait();
                        look(node, &[])
                    };
                    (0..LOOKS).map(look).sum::<usize>()
                })
            })
            .collect();
        lookers
            .into_iter()
            .map(|looker| looker.join().unwrap())
            .sum()
    });
    // Three more steps and the end.
    assert_eq!(moved, ROUTES * 4);
    let expected = i64::try_from(ROUTES * 4).unwrap();
    assert_eq!(one.audit_count(), entries + expected);
    for number in 0..ROUTES {
        let path = format!("routes/a{number}/history?limit=100");
        let history = other.get(&path).expect(200).json();
        let mut shares: Vec<i64> = history["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["action"] == "ramp_advance")
            .map(|entry| entry["after"]["setting"]["percent"].as_i64().unwrap())
            .collect();
        shares.sort_unstable();
        assert_eq!(shares, [20, 40, 80]);
    }
    one.assert_audit_intact();
}
