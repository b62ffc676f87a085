//! Which results of a read are the same, and what becomes of those that are not.

use std::fmt;
use std::sync::Arc;

use crate::decide::Path;
use crate::shadow::Judge;
use crate::slot::Slot;

/// Two results of one read that differ. They are shown to this process alone; only the key is told to
/// the server.
#[non_exhaustive]
pub struct Mismatch<'m, T> {
    /// Of the read; `None` where it has none.
    pub key: Option<&'m str>,
    /// Whose result the caller got.
    pub authority: Path,
    /// The old path's.
    pub old: &'m T,
    /// The new path's.
    pub new: &'m T,
}

impl<T> fmt::Debug for Mismatch<'_, T> {
    /// Without the results.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mismatch")
            .field("key", &self.key)
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

/// Says whether two results, the old path's and the new one's, are as good as the same.
#[doc(hidden)]
pub trait Rules<T>: Send + 'static {
    /// Whether they are.
    fn accept(&self, old: &T, new: &T) -> bool;
}

/// The comparison.
#[doc(hidden)]
pub struct Compared<F>(pub(crate) F);

/// A difference that does not count.
#[doc(hidden)]
pub struct Ignored<R, F>(pub(crate) R, pub(crate) F);

impl<T, F: Fn(&T, &T) -> bool + Send + 'static> Rules<T> for Compared<F> {
    fn accept(&self, old: &T, new: &T) -> bool {
        (self.0)(old, new)
    }
}

impl<T, R: Rules<T>, F: Fn(&T, &T) -> bool + Send + 'static> Rules<T> for Ignored<R, F> {
    fn accept(&self, old: &T, new: &T) -> bool {
        self.0.accept(old, new) || (self.1)(old, new)
    }
}

pub(crate) type Clean<T> = Box<dyn Fn(&T) -> String + Send>;
pub(crate) type OnMismatch<T> = Box<dyn Fn(Mismatch<'_, T>) + Send>;

/// What is done with results.
pub(crate) struct Comparison<T, R> {
    pub(crate) rules: R,
    pub(crate) clean: Option<Clean<T>>,
    pub(crate) on_mismatch: Option<OnMismatch<T>>,
}

impl<T: 'static, R: Rules<T>> Comparison<T, R> {
    /// For one read, of which the caller gets the result of `authority`.
    pub(crate) fn judge(self, slot: Arc<Slot>, authority: Path, key: Option<Box<str>>) -> Judge<T> {
        Box::new(move |caller, shadow| {
            let (old, new) = match authority {
                Path::Old => (&caller, &shadow),
                Path::New => (&shadow, &caller),
            };
            let key = key.as_deref();
            let is_equal = self.rules.accept(old, new);
            let mirror = slot.counters().mirror();
            mirror.compare(authority.other(), key, is_equal);
            if is_equal {
                return;
            }
            tracing::debug!(
                route = slot.key(),
                key,
                %authority,
                old = self.clean.as_ref().map(|clean| clean(old)),
                new = self.clean.as_ref().map(|clean| clean(new)),
                "the results of a read differ"
            );
            if let Some(on_mismatch) = self.on_mismatch {
                on_mismatch(Mismatch {
                    key,
                    authority,
                    old,
                    new,
                });
            }
        })
    }
}
