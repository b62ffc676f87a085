//! What happens in the demo. Each sentence is checked before it is said.

use std::time::Instant;

use serde_json::{Value, json};
use switchover::{Path, Stage};

use crate::cli::api::{Api, Reply};
use crate::cli::demo::caller::{Caller, name_of};
use crate::cli::demo::house::House;
use crate::cli::demo::measured::{Measured, Sent, milliseconds};
use crate::cli::error::CliError;
use crate::cli::problem::Problem;
use crate::cli::wire::{Imported, SdkKey, Transition, Verification};
use crate::domain::actor::Role;

/// The route that moves.
pub(super) const ROUTE: &str = "find_commit";
const FLAG: &str = "GITALY_FIND_COMMIT";
const ENVIRONMENT: &str = "dev";
/// The guard that watches the new path.
pub(super) const GUARD: &str = "errors";
/// How long each step of the ramp holds.
const HOLD_SECONDS: f64 = 3.0;
const ROUTES: &str = include_str!("../../../../docs/examples/gitaly/routes.json");

/// Says a line.
type Tell<'a> = &'a dyn Fn(&str) -> Result<(), CliError>;

/// The people and the place.
pub(super) struct Story<'a> {
    house: &'a House,
    tell: Tell<'a>,
    pub(super) measured: Vec<Measured>,
}

impl<'a> Story<'a> {
    pub(super) fn new(house: &'a House, tell: Tell<'a>) -> Story<'a> {
        Story {
            house,
            tell,
            measured: Vec::new(),
        }
    }

    /// Tells it; an error when something is not as it should be.
    pub(super) fn tell(mut self) -> Result<Vec<Measured>, CliError> {
        let ann = self.house.api_as("ann", Role::Operator)?;
        let bob = self.house.api_as("bob", Role::Maintainer)?;
        let ada = self.house.api_as("ada", Role::Admin)?;
        self.prepare(&ann)?;
        self.policy(&ada)?;
        let (app, cautious) = self.callers(&bob)?;
        self.ramp_up(&ann, &app, &cautious)?;
        self.fault(&ann, &app)?;
        self.up_to_all(&ann, &app, &cautious)?;
        self.opt_out(&ann, &bob, &app, &cautious)?;
        self.drill(&ann, &app)?;
        self.mandatory(&ann, &bob, &app, &cautious)?;
        self.look_back(&ann, &[&app, &cautious])?;
        Ok(self.measured)
    }

    fn prepare(&mut self, ann: &Api) -> Result<(), CliError> {
        let url = self.house.url();
        self.say(&format!(
            "A server runs at {url}, on a temporary directory."
        ))?;
        let started = Instant::now();
        let done: Imported = ann.post("/routes:import", ROUTES.to_owned())?.read()?;
        self.say(&format!(
            "GitLab's move from Git on disk to Gitaly is imported: {} routes, in {:.0} ms.",
            done.imported,
            milliseconds(started, Instant::now())
        ))
    }

    fn policy(&mut self, ada: &Api) -> Result<(), CliError> {
        let step =
            |percent: u32| json!({ "percent": percent, "hold_hours": HOLD_SECONDS / 3_600.0 });
        let policy = json!({
            "name": "demo",
            "gates": {
                "opt_out": [{ "gate": "approval", "count": 1 }],
                "mandatory": [{ "gate": "approval", "count": 1 }],
            },
            "ramp": [step(10), step(50), step(100)],
            "guards": [{
                "name": GUARD, "measure": "error_rate", "limit": 0.05, "action": "halt",
            }],
        });
        let body = json!({ "policy": policy, "reason": "demo: seconds, not weeks" });
        ada.post("/policies", body.to_string())?;
        let body = json!({ "policy": "demo", "reason": "demo: seconds, not weeks" });
        ada.patch(&format!("/routes/{ROUTE}"), body.to_string())?;
        self.say(
            "Its policy asks for tests, weeks of quiet and reviews. Ada, an admin, writes a shorter \
             one for this demo: reviews, a ramp of 10, 50 and 100 %, and a guard that halts it when \
             more than 5 % of the calls fail on the new path.",
        )
    }

    fn callers(&mut self, bob: &Api) -> Result<(Caller, Caller), CliError> {
        let body = json!({ "environment": ENVIRONMENT, "name": "demo" });
        let made: SdkKey = bob.post("/sdk-keys", body.to_string())?.read()?;
        let (url, key) = (self.house.url(), made.key.unwrap_or_default());
        let app = Caller::start("app", (&url, &key), ROUTE, &[])?;
        let cautious = Caller::start("cautious", (&url, &key), ROUTE, &[(FLAG, "0")])?;
        app.takes(Path::Old)?;
        cautious.takes(Path::Old)?;
        self.say(&format!(
            "Two applications call {ROUTE} in {ENVIRONMENT} all the time; `cautious` runs with {FLAG}=0.\n\
             {ROUTE} is {}: both take the old path.",
            Stage::ReadyForTesting
        ))?;
        Ok((app, cautious))
    }

    fn opt_out(
        &mut self,
        ann: &Api,
        bob: &Api,
        app: &Caller,
        cautious: &Caller,
    ) -> Result<(), CliError> {
        self.say("\nAnn wants opt_out. The server refuses:")?;
        let problem = refused(promote(ann, Stage::OptOut), "gates_not_met")?;
        self.say(&indented(&problem))?;
        self.say("Bob, a maintainer, approves exactly this, and Ann promotes again.")?;
        approve(bob, Stage::OptOut)?;
        let sent = promote(ann, Stage::OptOut)?;
        self.stays(&sent, app, Path::New)?;
        self.stays(&sent, cautious, Path::Old)?;
        self.say(&format!("  {FLAG}=0 is honoured in opt_out too."))
    }

    fn drill(&mut self, ann: &Api, app: &Caller) -> Result<(), CliError> {
        self.say("\nSomething looks wrong: Ann halts it. No gate, no approval, no waiting.")?;
        let sent = change(ann, "halt", &json!({ "reason": "demo: a drill" }))?;
        self.moves(&sent, app, Path::Old)?;
        self.say("It was nothing: she resumes.")?;
        let sent = change(ann, "resume", &json!({ "reason": "demo: it was a drill" }))?;
        self.moves(&sent, app, Path::New)
    }

    fn mandatory(
        &mut self,
        ann: &Api,
        bob: &Api,
        app: &Caller,
        cautious: &Caller,
    ) -> Result<(), CliError> {
        self.say("\nBob approves mandatory, the last stage, and Ann promotes.")?;
        approve(bob, Stage::Mandatory)?;
        let sent = promote(ann, Stage::Mandatory)?;
        self.stays(&sent, app, Path::New)?;
        self.moves(&sent, cautious, Path::New)?;
        let warnings = cautious.warnings();
        if warnings.is_empty() {
            return Err(CliError::new(
                "the SDK does not say that the override is ignored",
            ));
        }
        self.say(&format!("  {FLAG}=0 is ignored, and its SDK says so:"))?;
        for warning in warnings {
            self.say(&format!("    {warning}"))?;
        }
        self.say("There is no way back by accident: a halt is refused now.")?;
        let halted = change(ann, "halt", &json!({ "reason": "demo: too late" }));
        let problem = refused(halted, "mandatory")?;
        self.say(&indented(&problem))
    }

    fn look_back(&mut self, ann: &Api, callers: &[&Caller]) -> Result<(), CliError> {
        self.say("")?;
        for caller in callers {
            let calls = caller.calls();
            let failed = match caller.failures() {
                0 => "none failed".to_owned(),
                some => format!("{some} failed, all of them before the halt"),
            };
            self.say(&format!(
                "`{}` made {} calls: {} old, {} new; {failed}.",
                caller.name,
                calls.old + calls.new,
                calls.old,
                calls.new
            ))?;
        }
        let verified: Verification = ann.post("/audit/verify", String::new())?.read()?;
        if !verified.intact {
            return Err(CliError::new("the record of changes is broken"));
        }
        self.say(&format!(
            "All {} entries of the audit log fit together.",
            verified.entries
        ))
    }

    /// A change that takes a caller to a path.
    pub(super) fn moves(
        &mut self,
        sent: &Sent,
        caller: &Caller,
        path: Path,
    ) -> Result<(), CliError> {
        let at = caller.takes(path)?;
        self.measure(
            sent,
            caller,
            at,
            &format!("takes the {} path", name_of(path)),
        )
    }

    /// A change that leaves a caller on its path.
    pub(super) fn stays(
        &mut self,
        sent: &Sent,
        caller: &Caller,
        path: Path,
    ) -> Result<(), CliError> {
        let at = caller.keeps(path, &sent.version)?;
        self.measure(
            sent,
            caller,
            at,
            &format!("stays on the {} path", name_of(path)),
        )
    }

    fn measure(
        &mut self,
        sent: &Sent,
        caller: &Caller,
        at: Instant,
        effect: &str,
    ) -> Result<(), CliError> {
        let measured = Measured::new(sent, caller.name, at, effect);
        self.say(&measured.sentence())?;
        self.measured.push(measured);
        Ok(())
    }

    pub(super) fn say(&self, text: &str) -> Result<(), CliError> {
        (self.tell)(text)
    }
}

pub(super) fn promote(who: &Api, to: Stage) -> Result<Sent, CliError> {
    change(who, "promotions", &json!({ "to": to, "reason": "demo" }))
}

fn approve(who: &Api, to: Stage) -> Result<Reply, CliError> {
    who.post(&address("approvals"), json!({ "to": to }).to_string())
}

pub(super) fn change(who: &Api, below: &str, body: &Value) -> Result<Sent, CliError> {
    let sent = Instant::now();
    let reply = who.post(&address(below), body.to_string())?;
    let answered = Instant::now();
    let transition: Transition = reply.read()?;
    let what = if transition.from == transition.to {
        transition.action
    } else {
        format!("promotion to {}", transition.to)
    };
    Ok(Sent {
        what,
        sent,
        answered,
        version: transition.version,
    })
}

/// The rollout.
pub(super) fn rollout() -> String {
    format!("/routes/{ROUTE}/environments/{ENVIRONMENT}")
}

pub(super) fn address(below: &str) -> String {
    format!("{}/{below}", rollout())
}

/// The refusal that should have come.
fn refused(answered: Result<Sent, CliError>, code: &str) -> Result<Box<Problem>, CliError> {
    match answered {
        Err(CliError::Refused(problem)) if problem.code == code => Ok(problem),
        Err(other) => Err(other),
        Ok(sent) => Err(CliError::new(format!(
            "{} should have been refused as {code}, and was not",
            sent.what
        ))),
    }
}

fn indented(problem: &Problem) -> String {
    let lines: Vec<String> = problem
        .to_string()
        .lines()
        .map(|line| format!("  {line}"))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::cli::demo::measured::summary;
    use crate::cli::output::tests::pipe;

    #[test]
    fn the_story_ends_well() {
        let lines = RefCell::new(Vec::new());
        let house = House::open(false).unwrap();
        let tell = |line: &str| {
            lines.borrow_mut().push(line.to_owned());
            Ok(())
        };
        let measured = Story::new(&house, &tell).tell().unwrap();
        assert_eq!(measured.len(), 7, "{:#?}", lines.borrow());
        let told = lines.borrow().join("\n");
        assert!(told.contains("The guard halts it"), "{told}");
        assert!(summary(&pipe(), measured).contains("promotion to mandatory"));
    }
}
