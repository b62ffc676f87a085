//! The walk: each thing of a plan is brought nearer to what is declared, request by request. What is
//! refused is told, what needs it is passed over, and the rest goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use switchover::Stage;
use ureq::http::Method;

use crate::cli::api::{Change, Reply};
use crate::cli::declared::look::{
    cohort_of, environment_of, group_of, look, put, rollout_of, route_of,
};
use crate::cli::declared::outcome::{Came, Outcome};
use crate::cli::declared::request::{place_of, request};
use crate::cli::declared::seen::{content, fields_of};
use crate::cli::error::CliError;
use crate::cli::output::one_line;
use crate::cli::session::{SESSION_AGE, Session};
use crate::cli::wire::Gates;
use crate::config::{ClientArgs, FileArgs};
use crate::domain::approval::hex;
use crate::domain::declared::{
    Allowed, Declared, Item, Note, Part, Plan, RolloutStep, Step, Thing, Whole,
};

/// A request that got no answer is sent again so often: it names itself, so it is carried out once. So
/// is one that came too late for the state that it was for, when the new state says the same.
const RETRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
/// A flip that is announced is made or given up within two seconds.
const FLIP: Duration = Duration::from_secs(10);
/// No thing takes more steps: each stage, and each field before and after.
const MOST_STEPS: u32 = 24;

/// Why a step was not made, or the walk is over.
enum Stop {
    Item(Outcome),
    Walk(CliError),
}

impl From<CliError> for Stop {
    fn from(error: CliError) -> Stop {
        Stop::Walk(error)
    }
}

/// Which server, as whom.
#[derive(Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) file: &'a FileArgs,
    pub(crate) args: &'a ClientArgs,
}

/// A promotion that a plan begins with, and the gates that do not pass, each with its state.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lacking {
    pub(crate) thing: Thing,
    pub(crate) to: Stage,
    pub(crate) missing: BTreeMap<String, String>,
}

/// A declaration on its way.
pub(crate) struct Walk<'a> {
    client: Client<'a>,
    session: Session,
    opened: Instant,
    declared: &'a Declared,
    allowed: Allowed,
    reason: String,
    whole: Whole,
    tags: BTreeMap<Thing, String>,
    /// What makes the names of this walk's requests its own.
    id: String,
    sent: usize,
}

impl<'a> Walk<'a> {
    /// Looks at the server.
    pub(crate) fn begin(
        client: Client<'a>,
        declared: &'a Declared,
        allowed: Allowed,
    ) -> Result<Walk<'a>, CliError> {
        let session = Session::open(client.file, client.args)?;
        let whole = look(&session)?;
        Ok(Walk {
            client,
            session,
            opened: Instant::now(),
            declared,
            allowed,
            reason: String::new(),
            whole,
            tags: BTreeMap::new(),
            id: String::new(),
            sent: 0,
        })
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The plan, by what the server has now; the complaints when there can be none.
    pub(crate) fn plan(&self) -> Result<Plan, Vec<String>> {
        Plan::make(&self.whole, self.declared, self.allowed)
    }

    /// What the first promotions of a plan lack now. Those after them are judged by what is then.
    pub(crate) fn lacking(&self, plan: &Plan) -> Result<Vec<Lacking>, CliError> {
        let mut lacking = Vec::new();
        for item in plan.items.iter().filter(|item| item.held_back.is_none()) {
            let next = (item.part, &item.thing);
            let next = self.declared.next(&self.whole, next, self.allowed);
            let Some(Step::Rollout(_, _, RolloutStep::Promote(to))) = next else {
                continue;
            };
            let at = place_of(&item.thing).filter(|_| self.is_known(&item.thing));
            let Some(at) = at else { continue };
            let to = ("to", to.to_string());
            let gates: Gates = self.session.get(&format!("{at}/gates"), &[to])?.read()?;
            let missing = gates.gates.into_iter().filter(|gate| gate.state != "pass");
            let missing: BTreeMap<String, String> =
                missing.map(|gate| (gate.gate, gate.state)).collect();
            if !missing.is_empty() {
                lacking.push(Lacking {
                    thing: item.thing.clone(),
                    to: gates.to,
                    missing,
                });
            }
        }
        Ok(lacking)
    }

    /// Reads the tag of each thing that a plan changes, and the thing with it. Whether something is
    /// another than the plan was made by.
    pub(crate) fn read_tags(&mut self, plan: &Plan) -> Result<bool, CliError> {
        let mut differs = false;
        for item in &plan.items {
            if self.is_known(&item.thing) && place_of(&item.thing).is_some() {
                let before = self.content(&item.thing);
                self.reread(&item.thing)?;
                differs |= before != self.content(&item.thing);
            }
        }
        // The end of the record tells this state of the server from every other.
        let end = self.session.get("/audit", &[("limit", "1".to_owned())])?;
        let mut id = Sha256::new();
        id.update(end.text());
        id.update(format!("{:?}{:?}", self.tags, self.declared));
        self.id = hex(&id.finalize());
        Ok(differs)
    }

    /// Carries a plan out; `tell` hears of each thing when it came out.
    pub(crate) fn carry_out(
        &mut self,
        plan: &Plan,
        reason: &str,
        tell: &mut dyn FnMut(&Came) -> Result<(), CliError>,
    ) -> Result<Vec<Came>, CliError> {
        reason.clone_into(&mut self.reason);
        let mut came = Vec::new();
        let mut failed = BTreeSet::new();
        for item in &plan.items {
            let mut steps = Vec::new();
            let outcome = match self.passed_over(item, &failed) {
                Some(outcome) => outcome,
                None => match self.bring_about((item.part, &item.thing), &mut steps) {
                    Ok(()) => Outcome::Done,
                    Err(Stop::Item(outcome)) => outcome,
                    Err(Stop::Walk(error)) => return Err(error),
                },
            };
            if !matches!(outcome, Outcome::Done | Outcome::HeldBack { .. }) {
                failed.insert(item.thing.clone());
            }
            let it = Came {
                thing: item.thing.clone(),
                steps,
                outcome,
            };
            tell(&it)?;
            came.push(it);
        }
        Ok(came)
    }

    /// What is left alone of the things of a plan, now that it is carried out.
    pub(crate) fn left_alone(&self, plan: &Plan) -> Vec<Note> {
        let things = plan.items.iter().map(|item| &item.thing);
        let mut told = BTreeSet::new();
        things
            .filter(|thing| told.insert(*thing))
            .flat_map(|thing| self.declared.left_alone(&self.whole, thing))
            .collect()
    }

    fn passed_over(&self, item: &Item, failed: &BTreeSet<Thing>) -> Option<Outcome> {
        if let Some(detail) = item.held_back.clone() {
            return Some(Outcome::HeldBack { detail });
        }
        if failed.contains(&item.thing) {
            return Some(Outcome::Skipped {
                detail: "what lowers it comes first, and was not done".to_owned(),
            });
        }
        let need = item.needs.iter().find(|need| failed.contains(need))?;
        Some(Outcome::Skipped {
            detail: format!("it needs {need}, which was not done"),
        })
    }

    fn bring_about(
        &mut self,
        (part, thing): (Part, &Thing),
        steps: &mut Vec<String>,
    ) -> Result<(), Stop> {
        let mut last = None;
        for _ in 0..MOST_STEPS {
            let next = self.declared.next(&self.whole, (part, thing), self.allowed);
            let Some(step) = next else {
                return Ok(());
            };
            if last.as_ref() == Some(&step) {
                return Err(Stop::Item(Outcome::Refused {
                    detail: "the server accepted it, and is as it was: it is left at that"
                        .to_owned(),
                    step: step.to_string(),
                    problem: Value::Null,
                }));
            }
            self.make((part, thing), &step)?;
            steps.push(step.to_string());
            last = Some(step);
        }
        Ok(())
    }

    /// Makes one step. Sent again when no answer came, or when its tag was of an older state that
    /// says the same.
    fn make(&mut self, (part, thing): (Part, &Thing), step: &Step) -> Result<(), Stop> {
        if self.opened.elapsed() > SESSION_AGE {
            self.session = Session::open(self.client.file, self.client.args)?;
            self.opened = Instant::now();
        }
        self.not_changed_meanwhile(thing, step)?;
        self.sent += 1;
        let mut change = request(step, &self.reason);
        if change.method == Method::POST {
            change.idempotency_key = Some(self.name_of(&change));
        }
        let (mut unanswered, mut late) = (0, 0);
        loop {
            change.if_match = self.tags.get(thing).cloned();
            let problem = match self.session.change(&change) {
                Ok(reply) => return self.take(thing, step, &reply),
                Err(CliError::Refused(problem)) => problem,
                Err(CliError::Unreachable { .. }) if unanswered < RETRIES => {
                    unanswered += 1;
                    sleep(PAUSE);
                    continue;
                }
                Err(error) => return Err(Stop::Walk(error)),
            };
            match problem.status {
                401 => return Err(Stop::Walk(CliError::Refused(problem))),
                503 if unanswered < RETRIES => {
                    unanswered += 1;
                    sleep(PAUSE);
                }
                412 if late < RETRIES => {
                    if self.is_done_meanwhile((part, thing), step)? {
                        return Ok(());
                    }
                    // Cohorts change the rollouts that name them: the first time is nothing unusual.
                    if late > 0 {
                        sleep(PAUSE);
                    }
                    late += 1;
                }
                _ => {
                    return Err(Stop::Item(Outcome::Refused {
                        step: step.to_string(),
                        detail: problem.to_string(),
                        problem: serde_json::from_str(&problem.raw).unwrap_or_default(),
                    }));
                }
            }
        }
    }

    /// Reads what has no tag, or none that is known, once more before it is changed.
    fn not_changed_meanwhile(&mut self, thing: &Thing, step: &Step) -> Result<(), Stop> {
        let has_no_tag = matches!(thing, Thing::Policy(_) | Thing::RampGroup(_));
        if has_no_tag {
            let before = self.content(thing);
            let now = look(&self.session)?;
            self.whole.policies = now.policies;
            self.whole.built_in = now.built_in;
            self.whole.ramp_groups = now.ramp_groups;
            return self.same(thing, step, &before);
        }
        if self.tags.contains_key(thing) || !self.is_known(thing) {
            return Ok(());
        }
        let before = self.content(thing);
        self.reread(thing)?;
        self.same(thing, step, &before)
    }

    /// After a refusal for an old tag: whether the step is made already. An error when somebody else
    /// has changed what the plan was made by; else the new tag serves.
    fn is_done_meanwhile(
        &mut self,
        (part, thing): (Part, &Thing),
        step: &Step,
    ) -> Result<bool, Stop> {
        let before = self.content(thing);
        self.reread(thing)?;
        if self
            .declared
            .next(&self.whole, (part, thing), self.allowed)
            .as_ref()
            != Some(step)
        {
            // An answer may have been lost on its way.
            let mut expected = self.whole.clone();
            expected.make(step);
            if self.content(thing) == content(&expected, thing) {
                return Ok(true);
            }
        }
        self.same(thing, step, &before)?;
        Ok(false)
    }

    fn same(&self, thing: &Thing, step: &Step, before: &Value) -> Result<(), Stop> {
        let now = self.content(thing);
        if now == *before {
            return Ok(());
        }
        let mut differs: Vec<String> = fields_of(&now)
            .filter(|(field, value)| before.get(*field) != Some(*value))
            .map(|(field, value)| format!("{field} is {value} by now"))
            .collect();
        if now.is_null() {
            differs.push("it is gone".to_owned());
        }
        Err(Stop::Item(Outcome::Changed {
            detail: format!(
                "{step} was not done: somebody has changed it since the plan was made ({}); look at a \
                 new plan",
                one_line(&differs.join(", "))
            ),
        }))
    }

    /// What the server says that a thing is now.
    fn take(&mut self, thing: &Thing, step: &Step, reply: &Reply) -> Result<(), Stop> {
        self.tags.remove(thing);
        if let Some(tag) = reply.etag() {
            self.tags.insert(thing.clone(), tag.to_owned());
        }
        match step {
            Step::AddEnvironment(..) => {
                // Every route has come to it, at a stage of its own.
                self.whole = look(&self.session)?;
            }
            Step::Rollout(..) => {
                let body: Value = reply.read()?;
                let rollout = body.get("rollout").cloned().unwrap_or_default();
                self.see(thing, &rollout)?;
                if rollout.get("hold").is_some_and(|hold| !hold.is_null()) {
                    self.await_flip(thing, step)?;
                }
            }
            Step::RemovePolicy(_) | Step::RemoveCohort(_) | Step::RemoveGroup(_) => {
                self.whole.make(step);
            }
            _ => self.see(thing, &reply.read()?)?,
        }
        Ok(())
    }

    /// Waits until keys of a data route have moved, or do not.
    fn await_flip(&mut self, thing: &Thing, step: &Step) -> Result<(), Stop> {
        let Some(place) = place_of(thing) else {
            return Ok(());
        };
        let begun = Instant::now();
        loop {
            let reply = self.session.ask(&place, &[])?;
            let seen: Value = reply.read()?;
            if seen.get("hold").is_none_or(Value::is_null) {
                self.reread(thing)?;
                let given_up = seen.pointer("/last_flip/outcome").and_then(Value::as_str);
                if given_up == Some("abandoned") {
                    return Err(Stop::Item(Outcome::Refused {
                        step: step.to_string(),
                        detail:
                            "it was announced, and given up: a process did not let go of the keys \
                                 in time (switchover writers list)"
                                .to_owned(),
                        problem: seen.get("last_flip").cloned().unwrap_or_default(),
                    }));
                }
                return Ok(());
            }
            if begun.elapsed() > FLIP {
                let why = "a flip is under way and does not end";
                return Err(Stop::Walk(CliError::new(why)));
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Reads a thing and its tag. What is gone is not known any more.
    fn reread(&mut self, thing: &Thing) -> Result<(), CliError> {
        let Some(place) = place_of(thing) else {
            return Ok(());
        };
        let reply = match (self.session.ask(&place, &[]), thing) {
            (Err(CliError::Refused(problem)), Thing::Cohort(name)) if problem.status == 404 => {
                self.whole.cohorts.remove(name);
                self.tags.remove(thing);
                return Ok(());
            }
            (reply, _) => reply?,
        };
        if let Some(tag) = reply.etag() {
            self.tags.insert(thing.clone(), tag.to_owned());
        }
        self.see(thing, &reply.read()?)
    }

    fn see(&mut self, thing: &Thing, seen: &Value) -> Result<(), CliError> {
        match thing {
            Thing::Environment(key) => {
                let environment = environment_of(seen)?;
                self.whole.environments.insert(key.clone(), environment);
            }
            Thing::Policy(name) => {
                let document = seen.get("policy").cloned().unwrap_or_default();
                self.whole.add_policy(name.clone(), 1, document);
            }
            Thing::Cohort(name) => {
                let cohort = cohort_of(seen)?;
                self.whole.cohorts.insert(name.clone(), cohort);
            }
            Thing::RampGroup(name) => {
                let group = group_of(seen)?;
                self.whole.ramp_groups.insert(name.clone(), group);
            }
            Thing::Route(_) | Thing::Retirement(_) => {
                let seen = route_of(seen, &self.whole.cohorts)?;
                put(&mut self.whole, seen);
            }
            Thing::Rollout(route, environment) => {
                let (rollout, facts) = rollout_of(seen, &self.whole.cohorts)?;
                if let Some(route) = self.whole.routes.get_mut(route) {
                    route.rollouts.insert(environment.clone(), rollout);
                }
                let of = (route.clone(), environment.clone());
                self.whole.facts.insert(of, facts);
            }
        }
        Ok(())
    }

    fn is_known(&self, thing: &Thing) -> bool {
        !self.content(thing).is_null()
    }

    fn content(&self, thing: &Thing) -> Value {
        content(&self.whole, thing)
    }

    /// The name by which the server knows this request of this walk.
    fn name_of(&self, change: &Change) -> String {
        let mut name = Sha256::new();
        for part in [&self.id, &self.sent.to_string(), &change.path] {
            name.update(part);
            name.update([0]);
        }
        name.update(change.body.as_deref().unwrap_or_default());
        format!("apply-{}", hex(&name.finalize()))
    }
}
