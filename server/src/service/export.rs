//! The record, page by page, for a file.

use chrono::{DateTime, Utc};

use crate::domain::chain::Kept;
use crate::domain::export;
use crate::service::{Failure, Services};
use crate::store::StoreError;

/// Rows of a page: a page is one short transaction.
const PAGE: u32 = 500;

/// Where an export begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// At a place in the chain.
    Place(u64),
    /// At a moment.
    Moment(DateTime<Utc>),
}

/// Which entries an export has. Empty fields ask for nothing.
#[derive(Clone, Debug, Default)]
pub struct ExportFilter {
    /// The first entry, or the moment from which on.
    pub from: Option<Bound>,
    /// The last entry, or the moment before which.
    pub to: Option<Bound>,
    /// On this route.
    pub route: Option<String>,
    /// In this environment.
    pub environment: Option<String>,
    /// By this person.
    pub subject: Option<String>,
    /// Of this kind.
    pub action: Option<String>,
}

/// How far an export has come.
#[derive(Clone, Debug)]
pub struct Export {
    filter: ExportFilter,
    next: u64,
    last: u64,
    previous: Vec<u8>,
}

impl Services {
    /// Begins an export of what is on record now.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn export(&self, filter: ExportFilter) -> Result<Export, Failure> {
        let (head, _) = self.store.read::<_, StoreError>(|tx| tx.audit_head())?;
        let first = match filter.from {
            Some(Bound::Place(first)) => first.max(1),
            _ => 1,
        };
        let last = match filter.to {
            Some(Bound::Place(last)) => last.min(head),
            _ => head,
        };
        Ok(Export {
            filter,
            // The entry before the first is read for its hash alone.
            next: first.saturating_sub(1),
            last,
            previous: Vec::new(),
        })
    }

    /// The next lines of an export, perhaps none; `None` when it is complete.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn export_next(&self, export: &mut Export) -> Result<Option<String>, Failure> {
        if export.next > export.last {
            return Ok(None);
        }
        let (rows, written) = self
            .store
            .read::<_, StoreError>(|tx| Ok((tx.kept_entries(export.next, PAGE)?, tx.written())))?;
        let mut lines = String::new();
        let from = export.next;
        for kept in &rows {
            let place = text(&kept.seq).parse().unwrap_or(u64::MAX);
            if place > export.last {
                break;
            }
            let is_before =
                matches!(export.filter.from, Some(Bound::Place(first)) if place < first);
            if !is_before && export.filter.has(kept, written) {
                lines.push_str(&export::line(place, &export.previous, kept));
                lines.push('\n');
            }
            export.previous = kept.hash.clone().unwrap_or_default();
            export.next = place + 1;
        }
        if export.next == from {
            export.next = export.last.saturating_add(1);
        }
        Ok(Some(lines))
    }
}

impl ExportFilter {
    fn has(&self, kept: &Kept, written: fn(&DateTime<Utc>) -> String) -> bool {
        let at = text(&kept.at);
        // Moments of one engine are written so that their order is that of their text.
        let is_late = match self.from {
            Some(Bound::Moment(from)) => at >= written(&from).as_str(),
            _ => true,
        };
        let is_early = match self.to {
            Some(Bound::Moment(to)) => at < written(&to).as_str(),
            _ => true,
        };
        let wanted = [
            (&self.route, &kept.route),
            (&self.environment, &kept.environment),
            (&self.subject, &kept.subject),
            (&self.action, &kept.action),
        ];
        let mut wanted = wanted.into_iter();
        is_late
            && is_early
            && wanted.all(|(wanted, kept)| {
                let wanted = wanted.as_ref().map(String::as_bytes);
                wanted.is_none_or(|wanted| kept.as_deref() == Some(wanted))
            })
    }
}

fn text(value: &Option<Vec<u8>>) -> &str {
    let text = value.as_deref().map(std::str::from_utf8);
    text.and_then(Result::ok).unwrap_or_default()
}
