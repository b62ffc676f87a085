//! Releases: frozen, published, deleted, handed out.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use switchover::{
    Entry, Manifest, ManifestError, ManifestHead, Percent, ReleaseName, RouteKey, Setting, Stage,
    write_manifest, write_payload,
};

use crate::domain::approval::hex;
use crate::domain::environment::EnvironmentKey;
use crate::domain::release::{
    Place, Release, ReleaseState, check_place, check_publishable, for_installations,
};
use crate::domain::text::Reason;
use crate::manifest_key::ManifestKeys;
use crate::service::work::Work;
use crate::service::{Answer, Ctx, Failure, Render, Services};
use crate::store::{StoreError, Tx};

/// Gives the keys that sign manifests, as they are now, or says why there are none.
pub type ManifestSigner = Arc<dyn Fn() -> Result<ManifestKeys, String> + Send + Sync>;

/// The most releases of one environment.
const MOST_RELEASES: usize = 10_000;

/// A release to be frozen; where something is not given, a draft keeps what it has.
#[derive(Clone, Debug)]
pub struct Freeze {
    /// Where its callers run.
    pub environment: EnvironmentKey,
    /// Its name.
    pub name: ReleaseName,
    /// The release that it comes after.
    pub after: Option<ReleaseName>,
    /// The release whose stages it keeps.
    pub based_on: Option<ReleaseName>,
    /// Why.
    pub reason: Reason,
}

impl Services {
    /// Signs manifests with these keys. Without them none can be made.
    #[must_use]
    pub fn with_manifest_signer(self, signer: ManifestSigner) -> Services {
        Services {
            manifest_signer: signer,
            ..self
        }
    }

    /// Freezes an environment's stages into a draft: a new one, or one that is there, again.
    ///
    /// # Errors
    /// When it is published, its place cannot be, or there is no key to sign with.
    pub fn freeze_release(
        &self,
        ctx: &Ctx,
        request: &Freeze,
        render: Render<'_, Release>,
    ) -> Result<Answer, Failure> {
        let key = &request.environment;
        self.change(ctx, render, |work| {
            let environment = work.environment(key)?;
            for_installations(&environment)
                .map_err(|detail| Failure::invalid("environment", detail))?;
            // From here on no stage changes, and no release does.
            work.tx.lock_environment(key)?;
            let releases = by_name(work.tx, key)?;
            let before = releases.get(&request.name).cloned();
            work.ctx.expect_tag(tag_of(before.as_ref()))?;
            if releases.len() >= MOST_RELEASES && before.is_none() {
                return Err(Failure::Conflict(format!(
                    "{key} has {MOST_RELEASES} releases, and more there cannot be"
                )));
            }
            let next = next(request, before.as_ref(), work)?;
            check_place(place(&next), &releases)
                .map_err(|wrong| Failure::invalid(wrong.field, wrong.detail))?;
            let (next, manifest) = self.frozen(work.tx, next)?;
            match &before {
                None => work.tx.add_release(&next, &manifest)?,
                Some(_) => work.tx.rebuild_release(&next, &manifest)?,
            }
            let record = (
                before.as_ref().map_or(Value::Null, described),
                described(&next),
            );
            let reason = request.reason.as_str();
            work.record("release_freeze", None, Some(key), reason, record);
            Ok(next)
        })
    }

    /// Publishes a draft: from then on it stays as it is. Publishing it again changes nothing.
    ///
    /// # Errors
    /// When there is none, or what it comes after is not published.
    pub fn publish_release(
        &self,
        ctx: &Ctx,
        (key, name): (&EnvironmentKey, &ReleaseName),
        reason: &Reason,
        render: Render<'_, Release>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            work.tx.lock_environment(key)?;
            let releases = by_name(work.tx, key)?;
            let before = expected(work.ctx, releases.get(name), name)?;
            if before.is_published() {
                return Ok(before.clone());
            }
            check_publishable(before, &releases).map_err(Failure::Conflict)?;
            let stages = frozen_stages(work.tx, key, name)?;
            let published = Release {
                state: ReleaseState::Published {
                    at: work.now,
                    by: work.ctx.actor.subject.clone(),
                },
                ..before.clone()
            };
            work.tx.publish_release(&published, &stages)?;
            let record = (described(before), described(&published));
            let reason = reason.as_str();
            work.record("release_publish", None, Some(key), reason, record);
            Ok(published)
        })
    }

    /// Deletes a draft.
    ///
    /// # Errors
    /// When there is none, it is published, or another comes after it.
    pub fn delete_release(
        &self,
        ctx: &Ctx,
        (key, name): (&EnvironmentKey, &ReleaseName),
        reason: &str,
        render: Render<'_, ()>,
    ) -> Result<Answer, Failure> {
        self.change(ctx, render, |work| {
            work.tx.lock_environment(key)?;
            let releases = by_name(work.tx, key)?;
            let before = expected(work.ctx, releases.get(name), name)?;
            if before.is_published() {
                return Err(Failure::Conflict(format!(
                    "{name} is published, and builds may run it: it stays on record"
                )));
            }
            if let Some(next) = releases.values().find(|r| r.after.as_ref() == Some(name)) {
                return Err(Failure::Conflict(format!(
                    "{} comes after {name}: freeze that again with another `after`, or delete it first",
                    next.name
                )));
            }
            work.tx.remove_release(before)?;
            let record = (described(before), Value::Null);
            work.record("release_delete", None, Some(key), reason, record);
            Ok(())
        })
    }

    /// Releases by environment and name: those after the place of another, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn releases(
        &self,
        environment: Option<&EnvironmentKey>,
        after: Option<&(String, String)>,
        limit: usize,
    ) -> Result<Vec<Release>, Failure> {
        Ok(self
            .store
            .read(|tx| tx.releases(environment, after, limit))?)
    }

    /// One release, with its tag.
    ///
    /// # Errors
    /// When there is none.
    pub fn release(
        &self,
        environment: &EnvironmentKey,
        name: &ReleaseName,
    ) -> Result<(Release, String), Failure> {
        let found = self.store.read(|tx| tx.release(environment, name))?;
        let found = found.ok_or_else(|| Failure::missing("release", name))?;
        let tag = release_tag(&found);
        Ok((found, tag))
    }

    /// A release's manifest as builds embed it, with its tag.
    ///
    /// # Errors
    /// When there is no such release.
    pub fn manifest(
        &self,
        environment: &EnvironmentKey,
        name: &ReleaseName,
    ) -> Result<String, Failure> {
        let found = self.store.read(|tx| tx.manifest(environment, name))?;
        found.ok_or_else(|| Failure::missing("release", name))
    }

    /// Freezes and signs: a patch's stages are its parent's, others are those of now.
    fn frozen(&self, tx: &mut Tx<'_>, release: Release) -> Result<(Release, String), Failure> {
        let (frozen_at, entries) = match &release.based_on {
            Some(parent) => of_parent(tx, &release.environment, parent)?,
            None => (release.built_at, of_now(tx, &release.environment)?),
        };
        let payload = write_payload(
            &ManifestHead {
                release: release.name.clone(),
                environment: release.environment.as_str().into(),
                build: release.build,
                after: release.after.clone(),
                based_on: release.based_on.clone(),
                frozen_at: frozen_at
                    .to_rfc3339_opts(SecondsFormat::Micros, true)
                    .into(),
            },
            entries.iter().map(|(route, entry)| (route, entry.as_str())),
        );
        let keys = (self.manifest_signer)().map_err(Failure::NoManifestKey)?;
        let manifest = write_manifest(&payload, &keys.sign(&payload));
        // What the SDK would refuse is not handed out.
        Manifest::verify(&manifest, &keys.public()).map_err(|error| unusable(&error))?;
        let release = Release {
            routes: u64::try_from(entries.len()).unwrap_or(u64::MAX),
            digest: hex(&Sha256::digest(&payload)),
            frozen_at,
            ..release
        };
        Ok((release, manifest))
    }
}

/// Changes with everything that a change of the release changes.
#[must_use]
pub fn release_tag(release: &Release) -> String {
    let digest: String = release.digest.chars().take(16).collect();
    let state = match release.state {
        ReleaseState::Draft => "draft",
        ReleaseState::Published { .. } => "published",
    };
    format!("\"{digest}.{}.{state}\"", release.build)
}

/// What is not there has a tag that nobody can have seen.
fn tag_of(release: Option<&Release>) -> String {
    release.map_or_else(|| "\"none\"".to_owned(), release_tag)
}

fn expected<'a>(
    ctx: &Ctx,
    found: Option<&'a Release>,
    name: &ReleaseName,
) -> Result<&'a Release, Failure> {
    ctx.expect_tag(tag_of(found))?;
    found.ok_or_else(|| Failure::missing("release", name))
}

/// The next build, without what it freezes.
fn next(
    request: &Freeze,
    before: Option<&Release>,
    work: &mut Work<'_, '_>,
) -> Result<Release, Failure> {
    if before.is_some_and(Release::is_published) {
        return Err(Failure::Conflict(format!(
            "{0} is published, and stays as it is: make a patch release of it with `based_on` {0}",
            request.name
        )));
    }
    let last = match before {
        Some(before) => before.build,
        // A number stands for one content for ever, also when that was deleted.
        None => work
            .tx
            .last_removed_build(&request.environment, &request.name)?,
    };
    let kept = |of: fn(&Release) -> &Option<ReleaseName>| before.and_then(|b| of(b).clone());
    let based_on = request.based_on.clone();
    let based_on = based_on.or_else(|| kept(|before| &before.based_on));
    let after = request.after.clone();
    let after = after.or_else(|| kept(|before| &before.after));
    Ok(Release {
        environment: request.environment.clone(),
        name: request.name.clone(),
        build: last + 1,
        state: ReleaseState::Draft,
        // A patch comes after what it patches.
        after: after.or_else(|| based_on.clone()),
        based_on,
        routes: 0,
        digest: String::new(),
        frozen_at: work.now,
        built_at: work.now,
        built_by: work.ctx.actor.subject.clone(),
    })
}

fn place(release: &Release) -> Place<'_> {
    Place {
        name: &release.name,
        after: release.after.as_ref(),
        based_on: release.based_on.as_ref(),
    }
}

fn by_name(
    tx: &mut Tx<'_>,
    environment: &EnvironmentKey,
) -> Result<BTreeMap<ReleaseName, Release>, StoreError> {
    let releases = tx.releases(Some(environment), None, usize::MAX)?;
    let named = releases
        .into_iter()
        .map(|found| (found.name.clone(), found));
    Ok(named.collect())
}

type Entries = Vec<(RouteKey, String)>;

/// What the environment publishes now.
fn of_now(tx: &mut Tx<'_>, environment: &EnvironmentKey) -> Result<Entries, StoreError> {
    let published = tx.changes_since(environment, 0)?;
    published
        .changes
        .into_iter()
        .map(|(route, _, rollout)| {
            let entry = serde_json::to_string(&rollout)
                .map_err(|error| StoreError::Corrupt(format!("rollouts.{route}: {error}")))?;
            Ok((route, entry))
        })
        .collect()
}

/// What the parent froze, and when.
fn of_parent(
    tx: &mut Tx<'_>,
    environment: &EnvironmentKey,
    parent: &ReleaseName,
) -> Result<(DateTime<Utc>, Entries), Failure> {
    let frozen_at = tx
        .release(environment, parent)?
        .ok_or_else(|| Failure::missing("release", parent))?
        .frozen_at;
    let manifest = on_record(tx, environment, parent)?;
    let entries = manifest.entries();
    let entries = entries.map(|(route, entry)| (route.clone(), entry.to_owned()));
    Ok((frozen_at, entries.collect()))
}

fn frozen_stages(
    tx: &mut Tx<'_>,
    environment: &EnvironmentKey,
    name: &ReleaseName,
) -> Result<Vec<(RouteKey, Stage)>, Failure> {
    let manifest = on_record(tx, environment, name)?;
    let entries = manifest.table().entries().iter();
    Ok(entries
        .filter_map(|(route, entry)| match entry {
            // A stage that installations do not get, because it was frozen halted or lowered, is
            // not carried.
            Entry::Known(rollout) if !is_held_back(rollout) => Some((route.clone(), rollout.stage)),
            _ => None,
        })
        .collect())
}

/// Whether fewer keys take the new path than its stage would let.
fn is_held_back(rollout: &switchover::Rollout) -> bool {
    let lowered = match rollout.setting {
        Setting::StageDefault | Setting::On => false,
        Setting::Off => true,
        Setting::Ramp { percent } => percent != Percent::HUNDRED,
    };
    rollout.stage != Stage::Mandatory && (rollout.halted || lowered || !rollout.exclude.is_empty())
}

fn on_record(
    tx: &mut Tx<'_>,
    environment: &EnvironmentKey,
    name: &ReleaseName,
) -> Result<Manifest, Failure> {
    let text = tx
        .manifest(environment, name)?
        .ok_or_else(|| Failure::missing("release", name))?;
    Manifest::read_unverified(&text).map_err(|error| unusable(&error))
}

fn unusable(error: &ManifestError) -> Failure {
    Failure::Store(StoreError::Corrupt(format!("releases.manifest: {error}")))
}

fn described(release: &Release) -> Value {
    json!({
        "name": release.name,
        "build": release.build,
        "state": if release.is_published() { "published" } else { "draft" },
        "after": release.after,
        "based_on": release.based_on,
        "routes": release.routes,
        "digest": release.digest,
        "frozen_at": release.frozen_at,
    })
}
