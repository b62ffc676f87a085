//! Where repositories use a route.

use chrono::{DateTime, Utc};

use crate::domain::references::ScanOfRoute;
use crate::web::route::{Badge, many};
use crate::web::words::When;

/// So many places are shown of a repository.
const SHOWN: usize = 5;

/// What the last scan of a repository says.
pub(super) struct InCode {
    pub(super) repository: String,
    pub(super) uses: Badge,
    pub(super) revision: String,
    pub(super) scanned: When,
    pub(super) places: Vec<String>,
    /// How many more there are.
    pub(super) more: u64,
}

impl InCode {
    pub(super) fn of(ScanOfRoute { scan, uses }: &ScanOfRoute, now: DateTime<Utc>) -> InCode {
        let count = uses.as_ref().map(|uses| uses.count);
        let places = uses.iter().flat_map(|uses| &uses.places).take(SHOWN);
        let places: Vec<String> = places
            .map(|place| format!("{}:{}", place.file, place.line))
            .collect();
        let shown = u64::try_from(places.len()).unwrap_or(u64::MAX);
        InCode {
            repository: scan.repository.to_string(),
            uses: match count {
                None => Badge::new("is-off", "not looked for"),
                Some(0) => Badge::new("is-good", "no use"),
                Some(count) => Badge::new("", many(usize::try_from(count).unwrap_or(0), "use")),
            },
            revision: scan.revision.clone(),
            scanned: When::of(scan.scanned_at, now),
            more: count.unwrap_or(0).saturating_sub(shown),
            places,
        }
    }
}
