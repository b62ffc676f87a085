//! Running calls.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use switchover::{Path, testing};

/// The smallest executor there is.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Pending once, then ready.
async fn pause() {
    let mut is_second = false;
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        match std::mem::replace(&mut is_second, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

#[test]
fn a_call_takes_its_path_and_is_counted() {
    let client = testing::client();
    let route = client.route("blame");
    let call = || {
        route
            .call(7)
            .old(|| Ok::<_, &str>("old"))
            .new(|| Err("new fails"))
            .run()
    };
    assert_eq!(call(), Ok("old"));
    client.set("blame", Path::New);
    assert_eq!(call(), Err("new fails"));
    assert_eq!(route.call(7).path(), Path::New);
    let slow = || {
        thread::sleep(Duration::from_millis(20));
        Ok::<_, ()>(())
    };
    assert_eq!(route.call(7).old(|| Ok(())).new(slow).run(), Ok(()));
    let stats = route.stats();
    assert_eq!((stats.old.calls, stats.old.errors), (1, 0));
    assert_eq!((stats.new.calls, stats.new.errors), (2, 1));
    assert!(stats.new.latency.max().unwrap() >= Duration::from_millis(19));
    assert_eq!(client.stats()["blame"], stats);
}

#[test]
fn a_panic_is_counted_and_goes_on() {
    let route = testing::client().route("blame");
    let call = || {
        route
            .call(())
            .old(|| -> Result<(), ()> { panic!("down") })
            .new(|| Ok(()))
            .run()
    };
    let caught = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
    assert_eq!(caught.downcast_ref(), Some(&"down"));
    let stats = route.stats();
    assert_eq!(
        (stats.old.calls, stats.old.panics, stats.old.errors),
        (1, 1, 0)
    );
}

#[test]
fn a_call_awaits_its_path() {
    let client = testing::client();
    let route = client.route("blame");
    let call = || {
        let call = route.call("a").old(|| async { Ok::<_, ()>("old") });
        call.new(|| async {
            pause().await;
            Err::<&str, _>(())
        })
        .run_async()
    };
    assert_eq!(block_on(call()), Ok("old"));
    client.set("blame", Path::New);
    assert_eq!(block_on(call()), Err(()));
    let stats = route.stats();
    assert_eq!(
        (stats.old.calls, stats.new.calls, stats.new.errors),
        (1, 1, 1)
    );
}

#[test]
fn a_future_that_is_dropped_counts_as_cancelled() {
    let route = testing::client().route("blame");
    let call = route.call("a").old(|| async {
        pause().await;
        Ok::<_, ()>(())
    });
    let mut future = Box::pin(call.new(|| async { Ok(()) }).run_async());
    let poll = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll.is_pending());
    assert_eq!(route.stats().old.calls, 0);
    drop(future);
    let stats = route.stats();
    assert_eq!(
        (stats.old.calls, stats.old.cancelled, stats.old.panics),
        (1, 1, 0)
    );
}

#[test]
fn handles_and_clients_go_to_other_threads() {
    fn goes<T: Send + Sync + Clone + 'static>(_: &T) {}
    let client = testing::client();
    goes(&client.route("blame"));
    goes(&(*client).clone());
}
