//! What going back to an old store would cost, and what is left to do with it, as rollouts show it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::archive::Reminder;
use crate::domain::loss::LossRisk;

/// What going back to the old store would cost.
#[derive(Serialize, ToSchema)]
#[schema(as = LossRisk)]
pub(crate) struct LossRiskBody {
    /// `none`, `at_risk` or `needs_restore`.
    #[schema(example = "at_risk")]
    risk: &'static str,
    /// The number of writes at risk; null where there is none, or nobody knows it.
    #[schema(example = 12)]
    writes: Option<u64>,
    /// Since when the old store is not written any more.
    since: Option<DateTime<Utc>>,
    /// The same, for people.
    #[schema(example = "12 writes are at risk: the old store may lack them")]
    detail: String,
}

/// Something that somebody has to do with an old store that is out of use.
#[derive(Serialize, ToSchema)]
#[schema(as = Reminder)]
pub(crate) struct ReminderBody {
    /// `archive` or `archive_deleted`: evidence of this kind says that it is done.
    #[schema(example = "archive")]
    what: &'static str,
    /// When it is to be done.
    due: DateTime<Utc>,
    /// When it was.
    done: Option<DateTime<Utc>>,
}

impl From<&LossRisk> for LossRiskBody {
    fn from(risk: &LossRisk) -> LossRiskBody {
        let (name, writes, since) = match risk {
            LossRisk::None => ("none", None, None),
            LossRisk::AtRisk { writes } => ("at_risk", *writes, None),
            LossRisk::NeedsRestore { since } => ("needs_restore", None, Some(*since)),
        };
        LossRiskBody {
            risk: name,
            writes,
            since,
            detail: risk.told(),
        }
    }
}

impl From<&Reminder> for ReminderBody {
    fn from(reminder: &Reminder) -> ReminderBody {
        ReminderBody {
            what: reminder.what.name(),
            due: reminder.due,
            done: reminder.done,
        }
    }
}
