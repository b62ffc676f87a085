//! The two stores of a data route, and the one function that makes them equal.

use std::fmt;
use std::sync::Arc;

use crate::decide::Path;
use crate::writers::Step;

/// How often a copy looks again at rows that change under its eyes.
const MOST_ROUNDS: u32 = 16;

/// What went wrong in a store. Its text stays in this process.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// One of the two stores of a data route: where the rows of its keys are. It is called on the SDK's own
/// threads, several at once, and may take its time.
///
/// Both stores speak of the same `Row`: the old store's rows and the new one's are translated to what
/// both must agree on. An asynchronous store is called by its runtime's handle (`Handle::block_on`):
/// the threads are none of a runtime's.
pub trait Store: Send + Sync + 'static {
    /// What is under a key, as far as the other store must have it too.
    type Row: PartialEq + Send + 'static;

    /// The row of a key; `None` where there is none.
    ///
    /// # Errors
    /// When the store cannot say.
    fn load(&self, key: &str) -> Result<Option<Self::Row>, StoreError>;

    /// Writes the row of a key, if its row is still the expected one; `None` is the absence of a row,
    /// so that writing it is a deletion. A store that cannot compare writes in any case.
    ///
    /// A store with a [fence](Store::is_fenced) refuses it when it has seen a higher generation, in the
    /// same transaction.
    ///
    /// # Errors
    /// When the store cannot write, or does not know whether it has.
    fn save(
        &self,
        key: &str,
        expected: Option<&Self::Row>,
        row: Option<&Self::Row>,
        generation: u64,
    ) -> Result<Saved, StoreError>;

    /// The next keys after one, in ascending order of their bytes; from the first where that is `None`.
    /// Fewer than asked for means that there are no more.
    ///
    /// # Errors
    /// When the store cannot say.
    fn keys_after(&self, key: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError>;

    /// The number of rows and a checksum over them, of the keys after the first and up to the last
    /// (all where there is none), as the store computes it itself. `None`, as here, where it cannot:
    /// then rows are compared one by one. Both stores must compute the same of the same rows.
    ///
    /// # Errors
    /// When the store cannot say.
    fn checksum(
        &self,
        after: Option<&str>,
        up_to: Option<&str>,
    ) -> Result<Option<Checksum>, StoreError> {
        let _ = (after, up_to);
        Ok(None)
    }

    /// Whether the store refuses writes of a lower generation than it has seen, and so do the
    /// application's own writes to it. See [`Fence`](crate::Fence).
    fn is_fenced(&self) -> bool {
        false
    }

    /// Has the fence refuse everything of a lower generation from now on. Called after every flip, and
    /// after every change that moved keys without one, so that who lags behind cannot write any more.
    ///
    /// # Errors
    /// When the store cannot.
    fn raise(&self, generation: u64) -> Result<(), StoreError> {
        let _ = generation;
        Ok(())
    }
}

/// A checksum over rows that does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum {
    /// How many rows.
    pub rows: u64,
    /// The sum of the rows' own checksums.
    pub sum: i64,
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, {:016x}", self.rows, self.sum)
    }
}

/// What came of a [`Store::save`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// The row is there.
    Stored,
    /// The row was not the expected one: nothing is written.
    Changed,
    /// The store has seen a higher generation: nothing is written.
    Fenced,
}

/// What came of a copy.
#[derive(Debug)]
pub enum Copied {
    /// The rows were equal.
    Equal,
    /// The other store has the authority's row now.
    Saved,
}

/// Why a copy did not end well.
#[derive(Debug)]
pub struct CopyError {
    /// What it was doing.
    pub step: Step,
    /// What the store said; stays in this process.
    pub source: Option<StoreError>,
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.step {
            Step::LoadOld => "the old store cannot read the row",
            Step::LoadNew => "the new store cannot read the row",
            Step::SaveOld => "the old store cannot write the row",
            Step::SaveNew => "the new store cannot write the row",
            Step::Unsettled => "the row changed each time it was looked at",
            Step::Fenced => "a store has seen a higher generation",
            Step::Deadline => "the copy did not end in its time",
        })
    }
}

impl std::error::Error for CopyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|error| -> &(dyn std::error::Error + 'static) { error })
    }
}

/// Both stores of a data route, whatever their rows are: what mirror, repair, backfill and comparison
/// are made of.
pub(crate) trait Pair: Send + Sync {
    /// Makes the row of a key in the other store equal to the one in the store of `authority`, however
    /// often that changes meanwhile.
    fn copy(&self, key: &str, authority: Path, generation: u64) -> Result<Copied, CopyError>;

    /// Whether the rows of a key are equal, and the authority's did not change while looking; `None`
    /// where it always did.
    fn compare(&self, key: &str, authority: Path) -> Result<Option<bool>, CopyError>;

    /// The next keys after one that either store has.
    fn keys_after(&self, key: Option<&str>, limit: usize) -> Result<Vec<String>, CopyError>;

    /// The checksums of the old store's rows and the new one's; `None` where a store has none.
    fn checksums(
        &self,
        after: Option<&str>,
        up_to: Option<&str>,
    ) -> Result<Option<[Checksum; 2]>, CopyError>;

    /// Whether both stores are.
    fn is_fenced(&self) -> bool;

    /// Raises the fence of one.
    fn raise(&self, side: Path, generation: u64) -> Result<(), CopyError>;
}

/// Two stores with the same rows.
pub(crate) struct Both<O, N> {
    pub(crate) old: Arc<O>,
    pub(crate) new: Arc<N>,
}

impl<O, N> Pair for Both<O, N>
where
    O: Store,
    N: Store<Row = O::Row>,
{
    fn copy(&self, key: &str, authority: Path, generation: u64) -> Result<Copied, CopyError> {
        match authority {
            Path::Old => copy(
                &Side::old(&*self.old),
                &Side::new(&*self.new),
                key,
                generation,
            ),
            Path::New => copy(
                &Side::new(&*self.new),
                &Side::old(&*self.old),
                key,
                generation,
            ),
        }
    }

    fn compare(&self, key: &str, authority: Path) -> Result<Option<bool>, CopyError> {
        match authority {
            Path::Old => compare(&Side::old(&*self.old), &Side::new(&*self.new), key),
            Path::New => compare(&Side::new(&*self.new), &Side::old(&*self.old), key),
        }
    }

    fn keys_after(&self, key: Option<&str>, limit: usize) -> Result<Vec<String>, CopyError> {
        let mut keys = Side::old(&*self.old).keys_after(key, limit)?;
        keys.extend(Side::new(&*self.new).keys_after(key, limit)?);
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(limit);
        Ok(keys)
    }

    fn checksums(
        &self,
        after: Option<&str>,
        up_to: Option<&str>,
    ) -> Result<Option<[Checksum; 2]>, CopyError> {
        let old = Side::old(&*self.old).checksum(after, up_to)?;
        let new = Side::new(&*self.new).checksum(after, up_to)?;
        Ok(old.zip(new).map(|(old, new)| [old, new]))
    }

    fn is_fenced(&self) -> bool {
        self.old.is_fenced() && self.new.is_fenced()
    }

    fn raise(&self, side: Path, generation: u64) -> Result<(), CopyError> {
        let (raised, step) = match side {
            Path::Old => (self.old.raise(generation), Step::SaveOld),
            Path::New => (self.new.raise(generation), Step::SaveNew),
        };
        raised.map_err(|error| failed(step, error))
    }
}

/// A store and what it is called when it fails.
struct Side<'a, S> {
    store: &'a S,
    load: Step,
    save: Step,
}

impl<'a, S: Store> Side<'a, S> {
    fn old(store: &'a S) -> Side<'a, S> {
        let (load, save) = (Step::LoadOld, Step::SaveOld);
        Side { store, load, save }
    }

    fn new(store: &'a S) -> Side<'a, S> {
        let (load, save) = (Step::LoadNew, Step::SaveNew);
        Side { store, load, save }
    }

    fn load(&self, key: &str) -> Result<Option<S::Row>, CopyError> {
        self.store
            .load(key)
            .map_err(|error| failed(self.load, error))
    }

    fn save(
        &self,
        key: &str,
        expected: Option<&S::Row>,
        row: Option<&S::Row>,
        generation: u64,
    ) -> Result<Saved, CopyError> {
        let saved = self.store.save(key, expected, row, generation);
        saved.map_err(|error| failed(self.save, error))
    }

    fn keys_after(&self, key: Option<&str>, limit: usize) -> Result<Vec<String>, CopyError> {
        let keys = self.store.keys_after(key, limit);
        let keys = keys.map_err(|error| failed(self.load, error))?;
        // A database that sorts text by a language's rules would have keys left out in silence.
        let mut before = key;
        for next in &keys {
            if before.is_some_and(|before| before >= next.as_str()) {
                let why = "its keys are not in the ascending order of their bytes";
                return Err(failed(self.load, why.into()));
            }
            before = Some(next);
        }
        Ok(keys)
    }

    fn checksum(
        &self,
        after: Option<&str>,
        up_to: Option<&str>,
    ) -> Result<Option<Checksum>, CopyError> {
        let checksum = self.store.checksum(after, up_to);
        checksum.map_err(|error| failed(self.load, error))
    }
}

fn failed(step: Step, error: StoreError) -> CopyError {
    CopyError {
        step,
        source: Some(error),
    }
}

/// The authority's row is read before and after: whoever writes it in between, and copies it, may have
/// been overtaken by this copy, and is made up for in the next round.
fn copy<A, B>(
    authority: &Side<'_, A>,
    other: &Side<'_, B>,
    key: &str,
    generation: u64,
) -> Result<Copied, CopyError>
where
    A: Store,
    B: Store<Row = A::Row>,
{
    let mut copied = Copied::Equal;
    let mut row = authority.load(key)?;
    for _ in 0..MOST_ROUNDS {
        let theirs = other.load(key)?;
        let mut is_stored = true;
        if theirs != row {
            match other.save(key, theirs.as_ref(), row.as_ref(), generation)? {
                Saved::Stored => copied = Copied::Saved,
                Saved::Changed => is_stored = false,
                Saved::Fenced => {
                    return Err(CopyError {
                        step: Step::Fenced,
                        source: None,
                    });
                }
            }
        }
        let again = authority.load(key)?;
        if is_stored && again == row {
            return Ok(copied);
        }
        row = again;
    }
    Err(CopyError {
        step: Step::Unsettled,
        source: None,
    })
}

fn compare<A, B>(
    authority: &Side<'_, A>,
    other: &Side<'_, B>,
    key: &str,
) -> Result<Option<bool>, CopyError>
where
    A: Store,
    B: Store<Row = A::Row>,
{
    let mut row = authority.load(key)?;
    for _ in 0..MOST_ROUNDS {
        let theirs = other.load(key)?;
        let again = authority.load(key)?;
        if again == row {
            return Ok(Some(theirs == row));
        }
        row = again;
    }
    Ok(None)
}
