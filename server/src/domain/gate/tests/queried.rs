//! The gate that asks Prometheus. On premises the hosted environments are asked about.

use serde_json::{Map, Value, json};

use super::traffic::{answering, here};
use super::world::World;
use super::{Row, fails, lacks, passes};
use crate::domain::policy::{Asks, Query, Sampled, Worse};

/// Asks, and is answered so where it counts; elsewhere 0.5. The limit is 0.8.
fn answered(worse: Worse, sampled: Option<Sampled>) -> impl Fn(&mut World) + 'static {
    move |world| {
        let query = Query::read("x", worse).unwrap();
        for rule in world.facts.policy.gates.values_mut().flatten() {
            rule.numbers.insert("limit", 0.8);
            rule.query = Some(Asks {
                name: "saturation".to_owned(),
                query: query.clone(),
            });
        }
        let own = here(world);
        for environment in answering(world) {
            let environment = environment.parse().unwrap();
            let elsewhere = if worse == Worse::Above { 0.5 } else { 0.9 };
            let told = match environment == own {
                true => sampled.clone(),
                false => Some(Sampled::Number(elsewhere)),
            };
            if let Some(told) = told {
                let key = (environment, "saturation".to_owned());
                world.facts.proof.sampled.insert(key, told);
            }
        }
    }
}

fn numbers(own: Option<f64>, elsewhere: f64) -> impl Fn(&World) -> Value + 'static {
    move |world| {
        let mut numbers = Map::from_iter([("limit".to_owned(), json!(0.8))]);
        for environment in answering(world) {
            let number = match environment == here(world).as_str() {
                true => own,
                false => Some(elsewhere),
            };
            if let Some(number) = number {
                numbers.insert(format!("{environment}.saturation"), json!(number));
            }
        }
        Value::Object(numbers)
    }
}

pub(super) fn prometheus() -> Vec<Row> {
    let above = |number: f64| answered(Worse::Above, Some(Sampled::Number(number)));
    let below = |number: f64| answered(Worse::Below, Some(Sampled::Number(number)));
    let nothing = Some(Sampled::Nothing("the query has no result".to_owned()));
    vec![
        passes("0.25, within the limit 0.8", above(0.25)).numbers(numbers(Some(0.25), 0.5)),
        passes("0.8, within", above(0.8)).numbers(numbers(Some(0.8), 0.5)),
        fails("0.93, above the limit 0.8", above(0.93)).numbers(numbers(Some(0.93), 0.5)),
        passes("0.93, within", below(0.93)).numbers(numbers(Some(0.93), 0.9)),
        fails("0.25, below the limit 0.8", below(0.25)).numbers(numbers(Some(0.25), 0.9)),
        lacks("the query has no result", answered(Worse::Above, nothing))
            .numbers(numbers(None, 0.5)),
        lacks("was not asked", answered(Worse::Above, None)).numbers(numbers(None, 0.5)),
        // A policy that could be read asks something; whatever else is no pass.
        lacks("asks nothing", |_| {}),
    ]
}
