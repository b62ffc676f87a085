//! Reads from the path that is chosen and, for a share of the reads, beside that from the other one.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::awaited;
use crate::call::Call;
use crate::comparing::{Compared, Comparison, Ignored, Mismatch, Rules};
use crate::decide::Path;
use crate::shadow::{self, Shadow};

/// A read whose path is chosen. Give it the old implementation, then the new one, then run it.
#[derive(Debug)]
#[must_use = "a read does nothing until it is run"]
pub struct Read<'r> {
    call: Call<'r>,
    due: Option<Due>,
}

/// The read is also to be run on the other path.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) key: Option<Box<str>>,
}

impl<'r> Read<'r> {
    #[inline]
    pub(crate) fn new(call: Call<'r>, due: Option<Due>) -> Read<'r> {
        Read { call, due }
    }

    /// The path whose result the caller will get.
    #[must_use]
    pub fn path(&self) -> Path {
        self.call.path()
    }

    /// What to run on the old path.
    #[inline]
    pub fn old<O>(self, old: O) -> ReadWithOld<'r, O> {
        ReadWithOld { read: self, old }
    }
}

/// A read that still needs the new implementation.
#[derive(Debug)]
#[must_use = "a read does nothing until it is run"]
pub struct ReadWithOld<'r, O> {
    read: Read<'r>,
    old: O,
}

/// A closure that returns a result, or a future of one: all of them are, so there is nothing to
/// implement.
pub trait Implementation<T, M> {}

/// Marks closures that return a result.
#[derive(Debug)]
pub enum Blocking {}

/// Marks closures that return a future of a result.
#[derive(Debug)]
pub enum Awaited {}

impl<I, T, E> Implementation<T, Blocking> for I where I: FnOnce() -> Result<T, E> {}

impl<I, F, T, E> Implementation<T, Awaited> for I
where
    I: FnOnce() -> F,
    F: Future<Output = Result<T, E>>,
{
}

impl<'r, O> ReadWithOld<'r, O> {
    /// What to run on the new path.
    #[inline]
    #[expect(
        clippy::new_ret_no_self,
        reason = "beside `old` it is the word that a reader expects"
    )]
    pub fn new<N, T, M>(self, new: N) -> ReadyRead<'r, O, N, T>
    where
        O: Implementation<T, M>,
        N: Implementation<T, M>,
    {
        ReadyRead {
            read: self.read,
            old: self.old,
            new,
            _result: PhantomData,
        }
    }
}

/// A read that has all it needs. Where it is also run on the other path, that is timed and counted, and
/// with [`ReadyRead::compare`] compared.
#[must_use = "a read does nothing until it is run"]
pub struct ReadyRead<'r, O, N, T> {
    read: Read<'r>,
    old: O,
    new: N,
    _result: PhantomData<fn() -> T>,
}

impl<'r, O, N, T> ReadyRead<'r, O, N, T> {
    /// Whether the results of the old path and of the new one, in this order, are the same. Asked on one
    /// of the SDK's threads where both have succeeded; neither waits for that.
    #[inline]
    pub fn compare<F>(self, is_equal: F) -> ComparedRead<'r, O, N, T, Compared<F>>
    where
        F: Fn(&T, &T) -> bool + Send + 'static,
    {
        ComparedRead {
            read: self.read,
            old: self.old,
            new: self.new,
            comparison: Comparison {
                rules: Compared(is_equal),
                clean: None,
                on_mismatch: None,
            },
        }
    }

    /// Runs the one or the other, and returns what it returns. What runs beside it delays nothing and
    /// changes nothing.
    ///
    /// # Errors
    /// Those of the implementation on the path that is chosen. The other one is not tried in its place.
    ///
    /// # Panics
    /// Those of the same, counted on their way.
    #[inline]
    pub fn run<E>(self) -> Result<T, E>
    where
        O: FnOnce() -> Result<T, E> + Send + 'static,
        N: FnOnce() -> Result<T, E> + Send + 'static,
        T: 'static,
        E: 'static,
    {
        let Read { call, due } = self.read;
        let shadow =
            due.map(|_| Arc::new(Shadow::<()>::new(call.route(), call.path().other(), None)));
        match call.path() {
            Path::Old => beside(&call, shadow.as_ref(), |_| None, self.new, self.old),
            Path::New => beside(&call, shadow.as_ref(), |_| None, self.old, self.new),
        }
    }

    /// Runs the one or the other as a future, on whatever executor polls it. What runs beside it is
    /// given to [`ClientBuilder::spawner`](crate::ClientBuilder::spawner), or awaited on the SDK's
    /// own threads where there is none.
    ///
    /// # Errors
    /// Those of the implementation on the path that is chosen. The other one is not tried in its place.
    ///
    /// # Panics
    /// Those of the same, counted on their way.
    pub async fn run_async<E, OF, NF>(self) -> Result<T, E>
    where
        O: FnOnce() -> OF + Send + 'static,
        N: FnOnce() -> NF + Send + 'static,
        OF: Future<Output = Result<T, E>> + Send + 'static,
        NF: Future<Output = Result<T, E>> + Send + 'static,
        T: 'static,
        E: 'static,
    {
        let Read { call, due } = self.read;
        let shadow =
            due.map(|_| Arc::new(Shadow::<()>::new(call.route(), call.path().other(), None)));
        let shadow = shadow.as_ref();
        match call.path() {
            Path::Old => beside_async(&call, shadow, |_| None, self.new, self.old).await,
            Path::New => beside_async(&call, shadow, |_| None, self.old, self.new).await,
        }
    }
}

/// A read whose results are compared.
#[must_use = "a read does nothing until it is run"]
pub struct ComparedRead<'r, O, N, T, R> {
    read: Read<'r>,
    old: O,
    new: N,
    comparison: Comparison<T, R>,
}

impl<'r, O, N, T, R: Rules<T>> ComparedRead<'r, O, N, T, R> {
    /// A difference between the results of the old path and of the new one, in this order, that is known
    /// and does not count. There may be several: one that says so is enough.
    #[inline]
    pub fn ignore<F>(self, is_known: F) -> ComparedRead<'r, O, N, T, Ignored<R, F>>
    where
        F: Fn(&T, &T) -> bool + Send + 'static,
    {
        ComparedRead {
            read: self.read,
            old: self.old,
            new: self.new,
            comparison: Comparison {
                rules: Ignored(self.comparison.rules, is_known),
                clean: self.comparison.clean,
                on_mismatch: self.comparison.on_mismatch,
            },
        }
    }

    /// How a result that differs is shown in this process's own log, in a line of level `debug`: without
    /// what nobody should read there. Results are never sent.
    pub fn clean(mut self, show: impl Fn(&T) -> String + Send + 'static) -> Self {
        self.comparison.clean = Some(Box::new(show));
        self
    }

    /// Called, on one of the SDK's threads, with results that differ.
    pub fn on_mismatch(mut self, look: impl Fn(Mismatch<'_, T>) + Send + 'static) -> Self {
        self.comparison.on_mismatch = Some(Box::new(look));
        self
    }

    /// As [`ReadyRead::run`]. The result is cloned where there is something to compare it with.
    ///
    /// # Errors
    /// Those of the implementation on the path that is chosen. The other one is not tried in its place.
    ///
    /// # Panics
    /// Those of the same, counted on their way.
    #[inline]
    pub fn run<E>(self) -> Result<T, E>
    where
        O: FnOnce() -> Result<T, E> + Send + 'static,
        N: FnOnce() -> Result<T, E> + Send + 'static,
        T: Clone + Send + 'static,
        E: 'static,
    {
        let Read { call, due } = self.read;
        let shadow = due.map(|due| compared(&call, due, self.comparison));
        let result = match call.path() {
            Path::Old => beside(&call, shadow.as_ref(), Some, self.new, self.old),
            Path::New => beside(&call, shadow.as_ref(), Some, self.old, self.new),
        };
        if let Some(shadow) = shadow {
            shadow::bring(call.route(), &shadow, &result);
        }
        result
    }

    /// As [`ReadyRead::run_async`]. The result is cloned where there is something to compare it with.
    ///
    /// # Errors
    /// Those of the implementation on the path that is chosen. The other one is not tried in its place.
    ///
    /// # Panics
    /// Those of the same, counted on their way.
    pub async fn run_async<E, OF, NF>(self) -> Result<T, E>
    where
        O: FnOnce() -> OF + Send + 'static,
        N: FnOnce() -> NF + Send + 'static,
        OF: Future<Output = Result<T, E>> + Send + 'static,
        NF: Future<Output = Result<T, E>> + Send + 'static,
        T: Clone + Send + 'static,
        E: 'static,
    {
        let Read { call, due } = self.read;
        let shadow = due.map(|due| compared(&call, due, self.comparison));
        let result = match call.path() {
            Path::Old => beside_async(&call, shadow.as_ref(), Some, self.new, self.old).await,
            Path::New => beside_async(&call, shadow.as_ref(), Some, self.old, self.new).await,
        };
        if let Some(shadow) = shadow {
            shadow::bring(call.route(), &shadow, &result);
        }
        result
    }
}

fn compared<T, R>(call: &Call<'_>, due: Due, comparison: Comparison<T, R>) -> Arc<Shadow<T>>
where
    T: Send + 'static,
    R: Rules<T>,
{
    let (route, path) = (call.route(), call.path());
    let judge = comparison.judge(Arc::clone(route.slot()), path, due.key);
    Arc::new(Shadow::new(route, path.other(), Some(judge)))
}

/// Begins the one, if it is due, and runs the other one for the caller.
#[inline]
fn beside<S, T, E, I>(
    call: &Call<'_>,
    shadow: Option<&Arc<Shadow<S>>>,
    to_compare: fn(T) -> Option<S>,
    other: impl FnOnce() -> Result<T, E> + Send + 'static,
    chosen: I,
) -> Result<T, E>
where
    S: Send + 'static,
    T: 'static,
    E: 'static,
    I: FnOnce() -> Result<T, E>,
{
    if let Some(shadow) = shadow {
        shadow::begin(call.route(), shadow, other, to_compare);
    }
    call.time(chosen)
}

/// The same for futures. The other implementation is called where its future is polled.
async fn beside_async<S, T, E, F, I>(
    call: &Call<'_>,
    shadow: Option<&Arc<Shadow<S>>>,
    to_compare: fn(T) -> Option<S>,
    other: impl FnOnce() -> F + Send + 'static,
    chosen: impl FnOnce() -> I,
) -> Result<T, E>
where
    S: Send + 'static,
    T: 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
    I: Future<Output = Result<T, E>>,
{
    if let Some(shadow) = shadow {
        let other = async move { other().await };
        awaited::begin(call.route(), shadow, other, to_compare);
    }
    call.time_async(chosen).await
}

impl<O, N, T> fmt::Debug for ReadyRead<'_, O, N, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadyRead").field(&self.read).finish()
    }
}

impl<O, N, T, R> fmt::Debug for ComparedRead<'_, O, N, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ComparedRead").field(&self.read).finish()
    }
}
