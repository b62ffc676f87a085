//! The board: every route in every environment, at a glance.

use std::collections::BTreeMap;

use chrono::Duration;

use crate::domain::environment::Environment;
use crate::domain::guard::{GuardState, Watched};
use crate::domain::policy::Guard;
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::domain::telemetry::Split;
use crate::service::shared::Shared;
use crate::service::{Failure, Services, Target};
use crate::store::{RouteFilter, StageCount, StoreError};
use crate::telemetry::Place;

/// How far back the split of calls goes.
const SPLIT_MINUTES: i64 = 10;

/// Every route that was asked for, in every environment.
#[derive(Clone, Debug)]
pub struct Board {
    /// The environments, by position.
    pub environments: Vec<Environment>,
    /// The routes, in the filter's order.
    pub rows: Vec<BoardRow>,
    /// Whether there are more behind them.
    pub has_more: bool,
    /// How many rollouts are at which stage: of all, whatever was asked for.
    pub counts: Vec<StageCount>,
    /// How many are halted.
    pub halted: u64,
    /// How many routes there are.
    pub routes: u64,
    /// Who answers for routes.
    pub owners: Vec<String>,
    /// Whether what callers report could be read.
    pub is_heard: bool,
}

/// A route in every environment.
#[derive(Clone, Debug)]
pub struct BoardRow {
    /// The route.
    pub route: Route,
    /// Its rollouts, one an environment; none before the route is ready.
    pub cells: Vec<Option<BoardCell>>,
}

/// A route in one environment.
#[derive(Clone, Debug)]
pub struct BoardCell {
    /// The rollout.
    pub rollout: Rollout,
    /// The worst that its guards answer; `None` where it has none, or they cannot be asked.
    pub guards: Option<GuardState>,
    /// Which paths its calls took lately.
    pub split: Split,
}

impl Services {
    /// The first `limit` routes that pass the filter, in every environment.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn board(&self, filter: &RouteFilter, limit: usize) -> Result<Board, Failure> {
        let read = self.store.read::<_, Failure>(|tx| {
            let mut routes = tx.routes(filter, limit + 1)?;
            let has_more = routes.len() > limit;
            routes.truncate(limit);
            let keys: Vec<&str> = routes.iter().map(|route| route.spec.key.as_str()).collect();
            let mut rollouts: BTreeMap<Place, Rollout> = BTreeMap::new();
            for rollout in tx.rollouts_of(&keys)? {
                let place = (rollout.environment.clone(), rollout.route.clone());
                rollouts.insert(place, rollout);
            }
            let published = tx.all_counted_since(&keys)?;
            let mut shared = Shared::new(&self.telemetry);
            let mut guards: BTreeMap<_, Vec<Guard>> = BTreeMap::new();
            for route in &routes {
                guards.insert(route.spec.key.clone(), shared.policy(tx, route)?.guards);
            }
            let (halted, all) = tx.halted_and_routes()?;
            let board = Board {
                environments: tx.environments()?,
                rows: Vec::new(),
                has_more,
                counts: tx.stage_counts()?,
                halted,
                routes: all,
                owners: tx.owners()?,
                is_heard: true,
            };
            Ok((board, routes, rollouts, published, guards))
        })?;
        let (mut board, routes, mut rollouts, published, guards) = read;
        let heard = self.heard(&board.environments, &routes);
        board.is_heard = heard.is_some();
        let heard = heard.unwrap_or_default();
        let second = self.now().timestamp();
        let (mut plain, mut doubled) = (BTreeMap::new(), Vec::new());
        for route in &routes {
            let guards = guards.get(&route.spec.key).map_or(&[][..], Vec::as_slice);
            for environment in &board.environments {
                let place = (environment.key.clone(), route.spec.key.clone());
                let (Some(published), true) = (published.get(&place), board.is_heard) else {
                    continue;
                };
                let nothing = Watched::default();
                let watched = heard.watched.get(&place).unwrap_or(&nothing);
                let answers = watched.answers(*published, guards, second);
                let rollout = rollouts.get(&place);
                if rollout.is_some_and(|rollout| rollout.is_doubled(route)) {
                    let (environment, route) = place;
                    doubled.push((Target { route, environment }, answers));
                } else {
                    plain.insert(place, answers);
                }
            }
        }
        // Some of what guards on rows ask is on record, and not reported.
        self.all_with_record(&mut doubled);
        let mut answers = plain;
        answers.extend(
            doubled
                .into_iter()
                .map(|(target, answers)| ((target.environment, target.route), answers)),
        );
        for route in routes {
            let cells = board.environments.iter().map(|environment| {
                let place = (environment.key.clone(), route.spec.key.clone());
                let rollout = rollouts.remove(&place)?;
                let answers = answers.get(&place).map_or(&[][..], Vec::as_slice);
                Some(BoardCell {
                    rollout,
                    guards: worst(answers.iter().map(|answer| answer.state)),
                    split: heard.splits.get(&place).copied().unwrap_or_default(),
                })
            });
            let cells = cells.collect();
            board.rows.push(BoardRow { route, cells });
        }
        Ok(board)
    }

    /// What is reported of these routes; `None` where that cannot be read: the board is shown all the
    /// same.
    fn heard(&self, environments: &[Environment], routes: &[Route]) -> Option<Heard> {
        let since = self.now() - Duration::minutes(SPLIT_MINUTES);
        let keys: Vec<_> = routes.iter().map(|route| &route.spec.key).collect();
        let read = self.telemetry.read::<_, StoreError>(|tx| {
            let mut places = Vec::new();
            let mut splits = BTreeMap::new();
            for environment in environments {
                for (route, split) in tx.splits(&environment.key, &keys, since)? {
                    splits.insert((environment.key.clone(), route), split);
                }
                let here = keys
                    .iter()
                    .map(|key| (environment.key.clone(), (*key).clone()));
                places.extend(here);
            }
            let watched = tx.guards_at(&places)?;
            Ok(Heard { watched, splits })
        });
        read.inspect_err(|error| tracing::warn!(%error, "the board is shown without reports"))
            .ok()
    }
}

/// What is reported, by place.
#[derive(Default)]
struct Heard {
    watched: BTreeMap<Place, Watched>,
    splits: BTreeMap<Place, Split>,
}

/// What to look at first: a breach, then what too little is known of.
fn worst(states: impl Iterator<Item = GuardState>) -> Option<GuardState> {
    states.max_by_key(|state| match state {
        GuardState::Pass => 0,
        GuardState::Insufficient => 1,
        GuardState::Breach => 2,
    })
}
