//! Shadows that are futures.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::cells::Outcome;
use crate::crew::Watched;
use crate::engine::Engine;
use crate::route::Route;
use crate::shadow::{OnItsWay, Shadow, Side, deadline};

/// A shadow's future, until it is ready or given up.
struct Awaited<T: Send + 'static, F, R> {
    /// First, so that whoever gives it up amid a run is who counts it.
    on_its_way: OnItsWay<T>,
    /// `None` once it is ready.
    future: Option<Pin<Box<F>>>,
    to_compare: fn(R) -> Option<T>,
    engine: Arc<Engine>,
    /// Its place among the futures under way; given back with this.
    _place: Option<Watched>,
}

impl<T, F, R, E> Future for Awaited<T, F, R>
where
    T: Send + 'static,
    F: Future<Output = Result<R, E>>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let shadow = &this.on_its_way.0;
        // Before it looks: else it could be given up in between and never hear of it.
        shadow.wake_by(context.waker());
        if !shadow.is_running() && !shadow.begin() {
            this.forget();
            return Poll::Ready(());
        }
        let Some(future) = &mut this.future else {
            return Poll::Ready(());
        };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(result))) => {
                this.succeed(result);
                this.forget();
                return Poll::Ready(());
            }
            Ok(Poll::Ready(Err(_))) => Outcome::Error,
            Err(_) => Outcome::Panic,
        };
        this.on_its_way.0.end(outcome);
        this.forget();
        Poll::Ready(())
    }
}

impl<T: Send + 'static, F, R> Awaited<T, F, R> {
    /// Counts the run, and has its result compared if the caller's has come already: on the crew, since
    /// here others wait to be polled.
    fn succeed(&self, result: R) {
        let shadow = &self.on_its_way.0;
        if shadow.end(Outcome::Success)
            && let Some(result) = (self.to_compare)(result)
            && let Some(comparison) = shadow.meet(Side::Shadow, result)
            && let Some(crew) = self.engine.shadows()
        {
            // Refused, the two are not compared, and not counted as compared.
            let _ = crew.offer(comparison, None);
        }
    }

    fn forget(&mut self) {
        let future = self.future.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
    }
}

/// Has a shadow awaited: where the application says, or else on the crew's threads. What exceeds the
/// cap is counted as dropped.
pub(crate) fn begin<T, F, R, E>(
    route: &Route,
    shadow: &Arc<Shadow<T>>,
    future: F,
    to_compare: fn(R) -> Option<T>,
) where
    T: Send + 'static,
    F: Future<Output = Result<R, E>> + Send + 'static,
    R: 'static,
{
    let engine = route.engine();
    let mut awaited = Awaited {
        on_its_way: OnItsWay(Arc::clone(shadow)),
        future: Some(Box::pin(future)),
        to_compare,
        engine: Arc::clone(engine),
        _place: None,
    };
    let Some(crew) = engine.shadows() else { return };
    let deadline = deadline(route, shadow);
    let Some(spawner) = &engine.settings().mirroring.spawner else {
        // Refused, it is dropped here, and counted by that.
        let _ = crew.offer(Box::new(move || block_on(awaited)), Some(deadline));
        return;
    };
    match crew.watch(deadline) {
        Err(_) => drop(awaited),
        Ok(watched) => {
            awaited._place = Some(watched);
            // Without its runtime a spawner panics; that is not the caller's matter.
            let _ = catch_unwind(AssertUnwindSafe(|| spawner.spawn(Box::pin(awaited))));
        }
    }
}

/// The smallest executor there is.
fn block_on(future: impl Future<Output = ()>) {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    while future
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_pending()
    {
        thread::park();
    }
}
