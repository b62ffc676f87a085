//! What of the new store's rows the old one may not have, as it is on record.

use chrono::{DateTime, Duration, Utc};
use switchover::{Path, Role};

use crate::domain::archive::{Reminder, reminders};
use crate::domain::loss::{Gap, LossRisk};
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::service::rollout::{Target, load};
use crate::service::stores::{StoresView, view};
use crate::service::{Failure, Services};
use crate::store::{StoreError, Tx};
use crate::telemetry::{Length, TelemetryStore};

/// Short windows are kept for an hour.
const SHORT: Duration = Duration::minutes(55);

/// What going back would cost, and what is left to do with the old store.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How its two stores stand to each other; `None` for a route that has none.
    pub stores: Option<StoresView>,
    /// What it would cost.
    pub risk: LossRisk,
    /// What is left to do, once the old store is out of use.
    pub reminders: Vec<Reminder>,
}

impl Services {
    /// What going back to the old store would cost, and what is left to do with it.
    ///
    /// # Errors
    /// When there is no such rollout.
    pub fn going_back(&self, target: &Target) -> Result<Outcome, Failure> {
        let now = self.now();
        self.store.read(|tx| {
            let (route, environment, rollout) = load(tx, target)?;
            let (gap, stores) = judged(tx, &self.telemetry, (&route, &rollout), now)?;
            let evidence = match rollout.data.no_return_since {
                Some(_) => tx.evidence(&target.route)?,
                None => Vec::new(),
            };
            Ok(Outcome {
                stores,
                risk: LossRisk::of(&rollout, &route, environment.kind, &gap),
                reminders: reminders(&rollout, &evidence),
            })
        })
    }
}

/// The same where a change is judged, with the stores themselves.
pub(super) fn judged(
    tx: &mut Tx<'_>,
    telemetry: &TelemetryStore,
    (route, rollout): (&Route, &Rollout),
    now: DateTime<Utc>,
) -> Result<(Gap, Option<StoresView>), StoreError> {
    let stores = view(tx, route, rollout, now)?;
    let gap = gap_of(telemetry, (route, rollout), stores.as_ref(), now);
    Ok((gap, stores))
}

/// What the old store may not have, by what is known of both.
pub(super) fn gap_of(
    telemetry: &TelemetryStore,
    (route, rollout): (&Route, &Rollout),
    stores: Option<&StoresView>,
    now: DateTime<Utc>,
) -> Gap {
    let Some(found) = stores else {
        return Gap::default();
    };
    let diverged = rollout.data.diverged_since;
    let diverged_since = diverged.filter(|_| found.stores.diverged);
    Gap {
        diverged_since,
        writes_since: diverged_since
            .and_then(|since| writes_since(telemetry, (route, rollout), since, now)),
        repairs: found.ledger.of_new,
        unverified: found.stores.unverified,
    }
}

/// Calls of the new path since then, as far as they were reported; `None` where that cannot be read.
fn writes_since(
    telemetry: &TelemetryStore,
    (route, rollout): (&Route, &Rollout),
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<u64> {
    let place = (&route.spec.key, &rollout.environment);
    let length = match now - since < SHORT {
        true => Length::TenSeconds,
        false => Length::Minute,
    };
    let mut writes = 0;
    let read = telemetry.read_first::<_, StoreError>(|tx| {
        tx.each_window(place, length, (since, now), |_, path, role, tally| {
            if (path, role) == (Path::New, Role::Authoritative) {
                writes += tally.calls;
            }
        })
    });
    if let Err(error) = &read {
        tracing::warn!(route = %place.0, environment = %place.1, %error, "writes cannot be counted");
    }
    read.ok().map(|()| writes)
}
