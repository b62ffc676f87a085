//! The board: every route in every environment, with filters that are part of the address.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use askama::Template;
use serde::Deserialize;
use switchover::{Setting, Stage};

use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::guard::GuardState;
use crate::http::App;
use crate::http::extract::{Query, Viewer};
use crate::service::{Board, BoardCell, BoardRow, Failure, Services};
use crate::store::RouteFilter;
use crate::web::paging::query;
use crate::web::words::{SplitBar, StageMark, count};
use crate::web::{Section, Shell, Signed, Trouble, answer};

/// How many routes a page has.
const ROUTES: usize = 100;
/// The longest text that is searched for, in characters.
const LONGEST_SEARCH: usize = 200;

/// Which routes are shown: what the address says. Empty fields, which forms send, ask for nothing.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    q: String,
    stage: String,
    environment: String,
    owner: String,
    policy: String,
    /// Anything for those alone that are halted.
    halted: String,
    /// The route that the page goes on after.
    after: String,
}

impl Asked {
    fn filter(&self) -> RouteFilter {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        RouteFilter {
            stage: self.stage.parse().ok(),
            environment: some(&self.environment),
            owner: some(&self.owner),
            policy: some(&self.policy),
            text: some(&self.q).map(|q| q.trim().chars().take(LONGEST_SEARCH).collect()),
            halted: !self.halted.is_empty(),
            after: some(&self.after),
            ..RouteFilter::default()
        }
    }

    /// The address of the same routes, after one.
    fn address(&self, after: &str) -> String {
        let parts = [
            ("q", self.q.as_str()),
            ("stage", &self.stage),
            ("environment", &self.environment),
            ("owner", &self.owner),
            ("policy", &self.policy),
            ("halted", &self.halted),
            ("after", after),
        ];
        format!("/{}", query(&parts))
    }

    fn is_set(&self) -> bool {
        self.address("") != "/"
    }
}

/// A stage's line above the board: how many rollouts are at it, in each environment.
struct CountLine {
    mark: StageMark,
    /// By the position of the environment: how many, and the board of those.
    counts: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "board.html")]
struct BoardPage {
    shell: Shell,
    asked: Asked,
    board: Board,
    lines: Vec<CountLine>,
    policies: Vec<String>,
    next: Option<String>,
}

impl BoardPage {
    fn stages(&self) -> [(&'static str, &'static str); 4] {
        STAGES.map(|stage| (stage.name(), crate::web::words::stage_name(stage)))
    }

    fn guard(&self, cell: &BoardCell) -> Option<(&'static str, &'static str)> {
        match cell.guards {
            Some(GuardState::Breach) => Some(("is-bad", "guard in breach")),
            Some(GuardState::Pass) => Some(("is-good", "guards pass")),
            // Nothing is said of what nobody calls: it is so for most.
            Some(GuardState::Insufficient) | None => None,
        }
    }

    /// What is set on top of the stage, where something is.
    fn setting(&self, cell: &BoardCell) -> Option<String> {
        match cell.rollout.setting {
            Setting::StageDefault => None,
            Setting::Off => Some("off".to_owned()),
            Setting::On => Some("on".to_owned()),
            Setting::Ramp { percent } => Some(percent.to_string()),
        }
    }

    fn bar(&self, cell: &BoardCell) -> Option<SplitBar> {
        SplitBar::of(cell.split.new, cell.split.old)
    }

    /// Where it is halted, for who does not see every column.
    fn halted_in(&self, row: &BoardRow) -> Option<String> {
        let both = row.cells.iter().zip(&self.board.environments);
        let halted = both.filter(|(cell, _)| {
            cell.as_ref()
                .is_some_and(|cell| cell.rollout.halt.is_some())
        });
        let names: Vec<&str> = halted
            .map(|(_, environment)| environment.key.as_str())
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    fn phase(&self, row: &BoardRow) -> String {
        row.route.at().join(", ").replace('_', " ")
    }

    /// Empty where nobody has asked for less than everything.
    fn is_new(&self) -> bool {
        self.board.routes == 0
    }
}

const STAGES: [Stage; 4] = [
    Stage::ReadyForTesting,
    Stage::OptIn,
    Stage::OptOut,
    Stage::Mandatory,
];

#[get("/")]
pub(crate) async fn show(
    app: Data<Arc<App>>,
    signed: Signed<Viewer>,
    asked: Query<Asked>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let asked = asked.0;
    let filter = asked.filter();
    let (board, policies) = app
        .blocking(move |services| Ok((services.board(&filter, ROUTES)?, policy_names(services)?)))
        .await?;
    let last = board.rows.last().filter(|_| board.has_more);
    let page = BoardPage {
        shell: Shell::of(&signed.session, Section::Board, app.services.now()),
        next: last.map(|row| asked.address(row.route.spec.key.as_str())),
        lines: lines(&board),
        asked,
        board,
        policies,
    };
    answer(&request, StatusCode::OK, &page)
}

/// The names of all policies, in order.
pub(crate) fn policy_names(services: &Services) -> Result<Vec<String>, Failure> {
    let policies = services.policies()?;
    let names = policies.iter().map(|policy| policy.policy.name.to_string());
    let mut names: Vec<String> = names.collect();
    names.dedup();
    Ok(names)
}

fn lines(board: &Board) -> Vec<CountLine> {
    let counted = |environment: &Environment, stage: Stage| {
        let key: &EnvironmentKey = &environment.key;
        let mut here = board
            .counts
            .iter()
            .filter(|count| count.environment == key.as_str());
        let rollouts = here
            .find(|count| count.stage == stage)
            .map_or(0, |count| count.rollouts);
        let address = query(&[("stage", stage.name()), ("environment", key.as_str())]);
        (count(rollouts), format!("/{address}"))
    };
    let line = |stage: Stage| CountLine {
        mark: StageMark::of(stage),
        counts: board
            .environments
            .iter()
            .map(|here| counted(here, stage))
            .collect(),
    };
    STAGES.map(line).into()
}
