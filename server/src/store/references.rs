//! Scans of repositories on record: the last of each.

use diesel::prelude::*;
use switchover::RouteKey;

use crate::domain::references::{RepositoryName, Scan, ScanOfRoute, Uses};
use crate::store::repairs::{micros, moment};
use crate::store::rows::{count, counted, from_json, json, read};
use crate::store::schema::{code_references, code_scans};
use crate::store::{StoreError, Tx, dialect};

#[derive(Queryable)]
struct ScanRow {
    repository: String,
    revision: String,
    scanned_at: i64,
    posted_at: i64,
    posted_by: String,
    files: i64,
    routes: i64,
    uses: i64,
}

impl Tx<'_> {
    /// The last scan of every repository, by name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn scans(&mut self) -> Result<Vec<Scan>, StoreError> {
        code_scans::table
            .order(code_scans::repository.asc())
            .load::<ScanRow>(self.connection)?
            .into_iter()
            .map(Scan::try_from)
            .collect()
    }

    /// The last scan of a repository.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn scan(&mut self, repository: &RepositoryName) -> Result<Option<Scan>, StoreError> {
        code_scans::table
            .filter(code_scans::repository.eq(repository.as_str()))
            .first::<ScanRow>(self.connection)
            .optional()?
            .map(Scan::try_from)
            .transpose()
    }

    /// What the last scan of every repository says of a route, by the repository's name.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn scans_of_route(&mut self, route: &RouteKey) -> Result<Vec<ScanOfRoute>, StoreError> {
        let found: Vec<(String, i64, String)> = code_references::table
            .filter(code_references::route.eq(route.as_str()))
            .select((
                code_references::repository,
                code_references::uses,
                code_references::places,
            ))
            .load(self.connection)?;
        let mut scans: Vec<ScanOfRoute> = self
            .scans()?
            .into_iter()
            .map(|scan| ScanOfRoute { scan, uses: None })
            .collect();
        for (repository, uses, places) in found {
            let of = |of: &&mut ScanOfRoute| of.scan.repository.as_str() == repository;
            if let Some(of) = scans.iter_mut().find(of) {
                of.uses = Some(Uses {
                    count: counted("code_references.uses", uses)?,
                    places: from_json("code_references.places", &places)?,
                });
            }
        }
        Ok(scans)
    }

    /// Puts a scan, and what it found of every route that it looked for, in the place of what is on
    /// record of its repository.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn put_scan(&mut self, scan: &Scan, found: &[(RouteKey, Uses)]) -> Result<(), StoreError> {
        const SCAN: [&str; 8] = [
            "repository",
            "revision",
            "scanned_at",
            "posted_at",
            "posted_by",
            "files",
            "routes",
            "uses",
        ];
        const FOUND: [&str; 4] = ["repository", "route", "uses", "places"];
        let repository = scan.repository.as_str();
        let row = vec![
            dialect::Cell::from(repository),
            dialect::Cell::from(scan.revision.as_str()),
            dialect::Cell::from(micros(scan.scanned_at)),
            dialect::Cell::from(micros(scan.posted_at)),
            dialect::Cell::from(scan.posted_by.as_str()),
            dialect::Cell::from(count(scan.files)),
            dialect::Cell::from(count(scan.routes)),
            dialect::Cell::from(count(scan.uses)),
        ];
        // First, and in its place: of two that are posted at once, one waits here for the other.
        dialect::put(self.connection, "code_scans", &SCAN, 1, vec![row])?;
        self.remove_references(&scan.repository)?;
        let rows = found
            .iter()
            .map(|(route, uses)| {
                Ok(vec![
                    dialect::Cell::from(repository),
                    dialect::Cell::from(route.as_str()),
                    dialect::Cell::from(count(uses.count)),
                    dialect::Cell::from(json(&uses.places)?),
                ])
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        dialect::put(self.connection, "code_references", &FOUND, 2, rows)?;
        Ok(())
    }

    /// Forgets what is on record of a repository.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn remove_scan(&mut self, repository: &RepositoryName) -> Result<(), StoreError> {
        let scan = code_scans::table.filter(code_scans::repository.eq(repository.as_str()));
        diesel::delete(scan).execute(self.connection)?;
        self.remove_references(repository)
    }

    fn remove_references(&mut self, repository: &RepositoryName) -> Result<(), StoreError> {
        let found =
            code_references::table.filter(code_references::repository.eq(repository.as_str()));
        diesel::delete(found).execute(self.connection)?;
        Ok(())
    }
}

impl TryFrom<ScanRow> for Scan {
    type Error = StoreError;

    fn try_from(row: ScanRow) -> Result<Scan, StoreError> {
        Ok(Scan {
            repository: read("code_scans.repository", &row.repository)?,
            revision: row.revision,
            scanned_at: moment("code_scans.scanned_at", row.scanned_at)?,
            posted_at: moment("code_scans.posted_at", row.posted_at)?,
            posted_by: row.posted_by,
            files: counted("code_scans.files", row.files)?,
            routes: counted("code_scans.routes", row.routes)?,
            uses: counted("code_scans.uses", row.uses)?,
        })
    }
}
