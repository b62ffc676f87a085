//! What is left to do with an old store that is out of use.

use chrono::{DateTime, Duration, Utc};
use switchover::Stage;

use crate::domain::evidence::{Evidence, EvidenceKind, Verdict};
use crate::domain::rollout::Rollout;

/// When the old store is to be archived, after it is out of use.
const ARCHIVE_WITHIN: Duration = Duration::days(7);
/// How long the archive is kept: six months.
const KEEP_FOR: Duration = Duration::days(183);

/// Something that somebody has to do with the old store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reminder {
    /// What: evidence of this kind says that it is done.
    pub what: EvidenceKind,
    /// When it is to be done.
    pub due: DateTime<Utc>,
    /// When it was done.
    pub done: Option<DateTime<Utc>>,
}

/// What is to be done with the old store of a rollout: archive it, keep that for six months, then delete
/// it. Nothing before the stage is mandatory and the old store out of use.
#[must_use]
pub fn reminders(rollout: &Rollout, evidence: &[Evidence]) -> Vec<Reminder> {
    if rollout.stage != Stage::Mandatory || rollout.data.no_return_since.is_none() {
        return Vec::new();
    }
    let since = rollout.stage_since;
    let done = |kind| {
        let mut here = evidence.iter().filter(|it| {
            it.environment == rollout.environment && it.kind == kind && it.at >= since
        });
        let passed = here.find(|it| it.verdict == Verdict::Pass);
        passed.map(|it| it.at)
    };
    let archived = done(EvidenceKind::Archive);
    let due = since + ARCHIVE_WITHIN;
    [
        (EvidenceKind::Archive, due),
        (
            EvidenceKind::ArchiveDeleted,
            archived.unwrap_or(due) + KEEP_FOR,
        ),
    ]
    .map(|(what, due)| Reminder {
        what,
        due,
        done: done(what),
    })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + day * 86_400, 0).unwrap()
    }

    fn said(kind: EvidenceKind, verdict: Verdict, day: i64) -> Evidence {
        Evidence {
            id: day.to_string(),
            route: "save".parse().unwrap(),
            environment: "production".parse().unwrap(),
            kind,
            verdict,
            url: None,
            summary: String::new(),
            by: "ann".to_owned(),
            at: at(day),
        }
    }

    #[test]
    fn an_archive_is_kept_for_six_months_from_when_it_was_made() {
        let (route, environment) = ("save".parse().unwrap(), "production".parse().unwrap());
        let mut rollout = Rollout::new(route, environment, at(0));
        assert!(reminders(&rollout, &[]).is_empty());
        rollout.stage = Stage::Mandatory;
        assert!(reminders(&rollout, &[]).is_empty());
        rollout.data.no_return_since = Some(at(0));
        let due = |evidence: &[Evidence]| {
            let reminders = reminders(&rollout, evidence);
            reminders
                .iter()
                .map(|it| (it.due, it.done))
                .collect::<Vec<_>>()
        };
        assert_eq!(due(&[]), [(at(7), None), (at(190), None)]);
        let failed = said(EvidenceKind::Archive, Verdict::Fail, 2);
        let archived = said(EvidenceKind::Archive, Verdict::Pass, 3);
        assert_eq!(
            due(&[failed, archived.clone()]),
            [(at(7), Some(at(3))), (at(186), None)]
        );
        let deleted = said(EvidenceKind::ArchiveDeleted, Verdict::Pass, 200);
        assert_eq!(due(&[archived, deleted])[1].1, Some(at(200)));
    }
}
