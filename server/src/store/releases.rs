//! Releases on record: what they froze, and the manifests.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use switchover::{ReleaseName, RouteKey, Stage};

use crate::domain::environment::EnvironmentKey;
use crate::domain::release::{FrozenStage, Release, ReleaseState};
use crate::store::rows::{corrupt, count, counted, read, time};
use crate::store::schema::{release_builds, release_stages, releases};
use crate::store::{StoreError, Tx, dialect};

/// All but the manifest, which can be megabytes.
#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = releases, treat_none_as_null = true)]
struct ReleaseRow {
    environment: String,
    name: String,
    build: i64,
    state: String,
    follows: Option<String>,
    based_on: Option<String>,
    routes: i64,
    digest: String,
    frozen_at: NaiveDateTime,
    built_at: NaiveDateTime,
    built_by: String,
    published_at: Option<NaiveDateTime>,
    published_by: Option<String>,
}

/// A route's stage in a release.
#[derive(Insertable)]
#[diesel(table_name = release_stages)]
pub(super) struct ReleaseStageRow {
    environment: String,
    route: String,
    release: String,
    stage: String,
}

impl Tx<'_> {
    /// The releases of an environment, or of all, by environment and name: those after the place of
    /// another, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn releases(
        &mut self,
        environment: Option<&EnvironmentKey>,
        after: Option<&(String, String)>,
        limit: usize,
    ) -> Result<Vec<Release>, StoreError> {
        let mut query = releases::table
            .select(ReleaseRow::as_select())
            .order((releases::environment.asc(), releases::name.asc()))
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .into_boxed();
        if let Some(environment) = environment {
            query = query.filter(releases::environment.eq(environment.as_str().to_owned()));
        }
        if let Some((environment, name)) = after {
            query = query.filter(
                releases::environment
                    .gt(environment.clone())
                    .or(releases::environment
                        .eq(environment.clone())
                        .and(releases::name.gt(name.clone()))),
            );
        }
        query
            .load::<ReleaseRow>(self.connection)?
            .into_iter()
            .map(Release::try_from)
            .collect()
    }

    /// One release.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn release(
        &mut self,
        environment: &EnvironmentKey,
        name: &ReleaseName,
    ) -> Result<Option<Release>, StoreError> {
        releases::table
            .filter(releases::environment.eq(environment.as_str()))
            .filter(releases::name.eq(name.as_str()))
            .select(ReleaseRow::as_select())
            .first::<ReleaseRow>(self.connection)
            .optional()?
            .map(Release::try_from)
            .transpose()
    }

    /// A release's manifest, as builds embed it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn manifest(
        &mut self,
        environment: &EnvironmentKey,
        name: &ReleaseName,
    ) -> Result<Option<String>, StoreError> {
        Ok(releases::table
            .filter(releases::environment.eq(environment.as_str()))
            .filter(releases::name.eq(name.as_str()))
            .select(releases::manifest)
            .first(self.connection)
            .optional()?)
    }

    /// Adds a release with its manifest.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the name is taken.
    pub fn add_release(&mut self, release: &Release, manifest: &str) -> Result<(), StoreError> {
        diesel::insert_into(releases::table)
            .values((ReleaseRow::from(release), releases::manifest.eq(manifest)))
            .execute(self.connection)?;
        Ok(())
    }

    /// Writes a draft that was frozen again.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is no draft any more.
    pub fn rebuild_release(&mut self, release: &Release, manifest: &str) -> Result<(), StoreError> {
        let updated = diesel::update(
            releases::table
                .filter(releases::environment.eq(release.environment.as_str()))
                .filter(releases::name.eq(release.name.as_str()))
                .filter(releases::state.eq(DRAFT)),
        )
        .set((ReleaseRow::from(release), releases::manifest.eq(manifest)))
        .execute(self.connection)?;
        written(updated)
    }

    /// Publishes a draft, with the stage that each of its routes has in it.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is no draft any more.
    pub fn publish_release(
        &mut self,
        release: &Release,
        stages: &[(RouteKey, Stage)],
    ) -> Result<(), StoreError> {
        let updated = diesel::update(
            releases::table
                .filter(releases::environment.eq(release.environment.as_str()))
                .filter(releases::name.eq(release.name.as_str()))
                .filter(releases::state.eq(DRAFT)),
        )
        .set(ReleaseRow::from(release))
        .execute(self.connection)?;
        written(updated)?;
        let rows: Vec<ReleaseStageRow> = stages
            .iter()
            .map(|(route, stage)| ReleaseStageRow {
                environment: release.environment.to_string(),
                route: route.to_string(),
                release: release.name.to_string(),
                stage: stage.name().to_owned(),
            })
            .collect();
        Ok(dialect::insert_release_stages(self.connection, &rows)?)
    }

    /// Removes a draft; its last build stays on record.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is no draft any more.
    pub fn remove_release(&mut self, release: &Release) -> Result<(), StoreError> {
        let (environment, name) = (release.environment.as_str(), release.name.as_str());
        let removed = diesel::delete(
            releases::table
                .filter(releases::environment.eq(environment))
                .filter(releases::name.eq(name))
                .filter(releases::state.eq(DRAFT)),
        )
        .execute(self.connection)?;
        written(removed)?;
        diesel::delete(
            release_builds::table
                .filter(release_builds::environment.eq(environment))
                .filter(release_builds::name.eq(name)),
        )
        .execute(self.connection)?;
        diesel::insert_into(release_builds::table)
            .values((
                release_builds::environment.eq(environment),
                release_builds::name.eq(name),
                release_builds::build.eq(count(release.build)),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// The last build of the drafts of this name that were removed; 0 when there were none.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn last_removed_build(
        &mut self,
        environment: &EnvironmentKey,
        name: &ReleaseName,
    ) -> Result<u64, StoreError> {
        let build: Option<i64> = release_builds::table
            .filter(release_builds::environment.eq(environment.as_str()))
            .filter(release_builds::name.eq(name.as_str()))
            .select(release_builds::build)
            .first(self.connection)
            .optional()?;
        build.map_or(Ok(0), |build| counted("release_builds.build", build))
    }

    /// The stages of a route in the published releases of an environment, in the order in which those
    /// were published.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn published_stages(
        &mut self,
        route: &RouteKey,
        environment: &EnvironmentKey,
    ) -> Result<Vec<FrozenStage>, StoreError> {
        let on = releases::environment
            .eq(release_stages::environment)
            .and(releases::name.eq(release_stages::release));
        release_stages::table
            .inner_join(releases::table.on(on))
            .filter(release_stages::route.eq(route.as_str()))
            .filter(release_stages::environment.eq(environment.as_str()))
            .order((releases::published_at.asc(), releases::name.asc()))
            .select((ReleaseRow::as_select(), release_stages::stage))
            .load::<(ReleaseRow, String)>(self.connection)?
            .into_iter()
            .map(|(row, stage)| {
                let release = Release::try_from(row)?;
                let ReleaseState::Published { at, .. } = release.state else {
                    return Err(corrupt("release_stages.release", &release.name));
                };
                Ok(FrozenStage {
                    release: release.name,
                    build: release.build,
                    stage: read("release_stages.stage", &stage)?,
                    frozen_at: release.frozen_at,
                    published_at: at,
                })
            })
            .collect()
    }
}

const DRAFT: &str = "draft";
const PUBLISHED: &str = "published";

fn written(rows: usize) -> Result<(), StoreError> {
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale)
    }
}

impl From<&Release> for ReleaseRow {
    fn from(release: &Release) -> ReleaseRow {
        let (state, published_at, published_by) = match &release.state {
            ReleaseState::Draft => (DRAFT, None, None),
            ReleaseState::Published { at, by } => (PUBLISHED, Some(time(*at)), Some(by.clone())),
        };
        ReleaseRow {
            environment: release.environment.to_string(),
            name: release.name.to_string(),
            build: count(release.build),
            state: state.to_owned(),
            follows: release.after.as_ref().map(ToString::to_string),
            based_on: release.based_on.as_ref().map(ToString::to_string),
            routes: count(release.routes),
            digest: release.digest.clone(),
            frozen_at: time(release.frozen_at),
            built_at: time(release.built_at),
            built_by: release.built_by.clone(),
            published_at,
            published_by,
        }
    }
}

impl TryFrom<ReleaseRow> for Release {
    type Error = StoreError;

    fn try_from(row: ReleaseRow) -> Result<Release, StoreError> {
        let state = match (row.state.as_str(), row.published_at, row.published_by) {
            (DRAFT, None, None) => ReleaseState::Draft,
            (PUBLISHED, Some(at), Some(by)) => ReleaseState::Published {
                at: at.and_utc(),
                by,
            },
            (other, ..) => return Err(corrupt("releases.state", other)),
        };
        let named = |column: &str, name: Option<String>| {
            let read = |name: String| read::<ReleaseName>(column, &name);
            name.map(read).transpose()
        };
        Ok(Release {
            environment: read("releases.environment", &row.environment)?,
            name: read("releases.name", &row.name)?,
            build: counted("releases.build", row.build)?,
            state,
            after: named("releases.follows", row.follows)?,
            based_on: named("releases.based_on", row.based_on)?,
            routes: counted("releases.routes", row.routes)?,
            digest: row.digest,
            frozen_at: row.frozen_at.and_utc(),
            built_at: row.built_at.and_utc(),
            built_by: row.built_by,
        })
    }
}
