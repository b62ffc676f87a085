//! Flags as declared routes.

use std::collections::{BTreeMap, BTreeSet};

use switchover::{EnvironmentKind, Percent, RouteKey, Setting, Stage};

use crate::domain::declared::{Declared, DeclaredRollout, DeclaredRoute, DeclaredSetting, VERSION};
use crate::domain::environment::EnvironmentKey;
use crate::domain::moving::names::{key_of, method_of};
use crate::domain::moving::{Flag, Lost, Moved, Place, Share, Wish};
use crate::domain::route::{Links, Operation, is_address};
use crate::domain::text::bounded;

/// The most keys that one rollout names.
const MOST_KEYS: usize = 1_000;

pub(super) fn routes(flags: Vec<Flag>, wish: &Wish) -> Moved {
    let mut moved = Moved {
        declared: Declared {
            version: VERSION,
            ..Declared::default()
        },
        lost: Vec::new(),
        flags: flags.len(),
    };
    let keys = keys(&flags, &mut moved.lost);
    let mut routes = BTreeMap::new();
    for flag in &flags {
        let Some(key) = keys.get(flag.name.as_str()) else {
            continue;
        };
        let mut of = OfFlag {
            flag,
            key,
            wish,
            requires_else: flag.requires_else,
            lost: &mut moved.lost,
        };
        routes.insert(key.clone(), of.route(&keys));
    }
    moved.declared.routes = Some(routes);
    moved.lost.sort();
    moved
}

/// The keys of the flags that become routes.
fn keys<'a>(flags: &'a [Flag], lost: &mut Vec<Lost>) -> BTreeMap<&'a str, RouteKey> {
    let mut keys: BTreeMap<&str, RouteKey> = BTreeMap::new();
    let mut taken: BTreeMap<RouteKey, &str> = BTreeMap::new();
    for flag in flags {
        let mut leave_out = |detail: String| {
            lost.push(Lost {
                flag: flag.name.clone(),
                environment: None,
                field: "(all of it)".to_owned(),
                detail: format!("left out: {detail}"),
            });
        };
        if let Some(why) = &flag.left_out {
            leave_out(why.clone());
            continue;
        }
        let Some(key) = key_of(&flag.name) else {
            leave_out("no route key can be made of its name: add a route by hand".to_owned());
            continue;
        };
        if let Some(other) = taken.get(&key) {
            leave_out(format!(
                "its key would be {key}, which is that of `{other}`: add a route by hand"
            ));
            continue;
        }
        if key.as_str() != flag.name {
            lost.push(Lost {
                flag: flag.name.clone(),
                environment: None,
                field: "key".to_owned(),
                detail: format!("is no route key: it becomes {key}"),
            });
        }
        taken.insert(key.clone(), &flag.name);
        keys.insert(&flag.name, key);
    }
    keys
}

struct OfFlag<'a> {
    flag: &'a Flag,
    key: &'a RouteKey,
    wish: &'a Wish,
    requires_else: bool,
    lost: &'a mut Vec<Lost>,
}

impl OfFlag<'_> {
    fn lose(&mut self, environment: Option<&str>, field: &str, detail: impl Into<String>) {
        self.lost.push(Lost {
            flag: self.flag.name.clone(),
            environment: environment.map(str::to_owned),
            field: field.to_owned(),
            detail: detail.into(),
        });
    }

    fn route(&mut self, keys: &BTreeMap<&str, RouteKey>) -> DeclaredRoute {
        let flag = self.flag;
        for (field, detail) in &flag.lost {
            self.lose(None, field, detail.as_str());
        }
        let endpoint = self.wish.endpoint_prefix.as_ref();
        let endpoint = endpoint.map(|prefix| format!("{prefix}/{}", method_of(self.key)));
        if endpoint.is_none() {
            self.lose(
                None,
                "endpoint",
                "is not known: pass --endpoint-prefix, or write it",
            );
        }
        let owner = flag.owner.clone().or(self.wish.owner.clone());
        let owner = owner.and_then(|owner| bounded(&owner, 100));
        if owner.is_none() {
            self.lose(None, "owner", "is not known: pass --owner, or write it");
        }
        let operation = match flag.writes {
            true => Operation::Write,
            false => self.wish.operation,
        };
        let description = bounded(&flag.description, 4_000);
        if description.is_none() && !flag.description.trim().is_empty() {
            self.lose(
                None,
                "description",
                "is too long, or has control characters",
            );
        }
        let issue = flag.issue.clone().filter(|issue| is_address(issue));
        let mut requires = BTreeSet::new();
        for name in &flag.requires {
            match keys.get(name.as_str()) {
                Some(key) => {
                    requires.insert(key.clone());
                }
                None => {
                    self.requires_else = true;
                    self.lose(None, "prerequisites", format!("`{name}` is no route here"));
                }
            }
        }
        if self.requires_else {
            let detail = "what it requires is not carried, so nobody takes the new path by it";
            self.lose(None, "exposure", detail);
        }
        DeclaredRoute {
            endpoint,
            operation: Some(operation),
            owner,
            policy: self.wish.policy.clone(),
            requires: (!requires.is_empty()).then_some(requires),
            labels: (!flag.labels.is_empty()).then(|| flag.labels.clone()),
            contacts: (!flag.contacts.is_empty()).then(|| flag.contacts.clone()),
            description,
            links: issue.map(|issue| Links {
                issue: Some(issue),
                ..Links::default()
            }),
            rollouts: self.rollouts(),
            ..DeclaredRoute::default()
        }
    }

    fn rollouts(&mut self) -> BTreeMap<EnvironmentKey, DeclaredRollout> {
        let mut rollouts = BTreeMap::new();
        let mut last = None;
        let flag = self.flag;
        for (theirs, place) in &flag.places {
            let nobody = Place {
                lost: place.lost.clone(),
                exclude: place.exclude.clone(),
                ..Place::default()
            };
            let place = if self.requires_else { &nobody } else { place };
            let name = theirs.as_deref();
            let Some(ours) = self.ours(name) else {
                continue;
            };
            for (field, detail) in &place.lost {
                self.lose(name, field, detail.as_str());
            }
            let rollout = self.rollout(name, &ours, place);
            if rollout.stage > Some(Stage::ReadyForTesting) {
                last = last.max(self.position(&ours));
            }
            rollouts.insert(ours, rollout);
        }
        self.and_before(last, &mut rollouts);
        rollouts
    }

    /// No environment is ahead of an earlier one: those before come along, and are off.
    fn and_before(
        &self,
        last: Option<i32>,
        rollouts: &mut BTreeMap<EnvironmentKey, DeclaredRollout>,
    ) {
        let before = self
            .wish
            .known
            .keys()
            .filter(|key| self.position(key) < last);
        for key in before {
            let rollout = rollouts.entry(key.clone()).or_default();
            if rollout.stage < Some(self.wish.stage) {
                rollout.stage = Some(self.wish.stage);
                let off = DeclaredSetting(Setting::Off);
                if matches!(
                    rollout.setting,
                    None | Some(DeclaredSetting(Setting::StageDefault))
                ) {
                    rollout.setting = Some(off);
                }
            }
        }
    }

    fn position(&self, key: &EnvironmentKey) -> Option<i32> {
        self.wish.known.get(key)?.position
    }

    /// Our environment for one of theirs.
    fn ours(&mut self, theirs: Option<&str>) -> Option<EnvironmentKey> {
        let Some(theirs) = theirs else {
            if self.wish.everywhere.is_none() {
                let detail = "which environment it speaks of is not known: pass --environment ENV";
                self.lose(None, "state", detail);
            }
            return self.wish.everywhere.clone();
        };
        let named = self.wish.environments.get(theirs).cloned();
        let same = || {
            theirs
                .parse::<EnvironmentKey>()
                .ok()
                .filter(|key| self.wish.known.contains_key(key))
        };
        let found = named.or_else(same);
        if found.is_none() {
            let detail = format!("there is no such environment: pass --environment {theirs}=ENV");
            self.lose(Some(theirs), "environment", detail);
        }
        found
    }

    fn rollout(
        &mut self,
        theirs: Option<&str>,
        ours: &EnvironmentKey,
        place: &Place,
    ) -> DeclaredRollout {
        let environment = self.wish.known.get(ours);
        let kind = environment.and_then(|it| it.kind);
        let guarded = environment.is_some_and(|it| it.production == Some(true))
            || kind == Some(EnvironmentKind::OnPrem);
        let exposed = place.share > Share::Nobody || !place.include.is_empty();
        if exposed && self.wish.stage == Stage::ReadyForTesting && guarded {
            let detail = format!(
                "it is on for {} there; at ready_for_testing nobody takes the new path in {ours}: open \
                 an acceptance window or promote it, or import it with --stage opt_in",
                place.words()
            );
            self.lose(theirs, "exposure", detail);
            return DeclaredRollout {
                stage: Some(Stage::ReadyForTesting),
                ..DeclaredRollout::default()
            };
        }
        if let Share::Some(percent) = place.share {
            self.lose(
                theirs,
                "bucketing",
                format!(
                    "the share of {percent} is carried, and who is in it changes: keys are hashed in \
                     another way here"
                ),
            );
        }
        let setting = match place.share {
            Share::Everybody => Setting::On,
            Share::Some(percent) => Setting::Ramp { percent },
            Share::Nobody if !place.include.is_empty() => Setting::Ramp {
                percent: Percent::ZERO,
            },
            Share::Nobody => Setting::StageDefault,
        };
        let stage = if exposed {
            self.wish.stage
        } else {
            Stage::ReadyForTesting
        };
        let mut keys = |field: &str, keys: &BTreeSet<String>| {
            let legal = |key: &&String| (1..=256).contains(&key.len());
            let kept: BTreeSet<String> =
                keys.iter().filter(legal).take(MOST_KEYS).cloned().collect();
            if kept.len() < keys.len() {
                let detail = format!("{} of {} keys are carried", kept.len(), keys.len());
                self.lose(theirs, field, detail);
            }
            (!kept.is_empty()).then_some(kept)
        };
        DeclaredRollout {
            stage: Some(stage),
            setting: Some(DeclaredSetting(setting)),
            include: keys("targets that are on", &place.include),
            exclude: keys("targets that are off", &place.exclude),
            ..DeclaredRollout::default()
        }
    }
}

impl Place {
    fn words(&self) -> String {
        match (self.share, self.include.len()) {
            (Share::Everybody, _) => "everybody".to_owned(),
            (Share::Some(percent), 0) => percent.to_string(),
            (Share::Some(percent), keys) => format!("{percent} and {keys} keys"),
            (Share::Nobody, keys) => format!("{keys} keys"),
        }
    }
}
