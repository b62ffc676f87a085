//! Awaits calls. The crate brings no async runtime and works with all of them; the executor here is
//! the smallest there is.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use switchover::{Path, testing};

fn main() {
    let switchover = testing::client();
    let find = switchover.route("find_commit");
    for path in [Path::Old, Path::New] {
        switchover.set("find_commit", path);
        let found = block_on(
            find.call("group/project")
                .old(|| async { Ok::<_, String>("found on disk") })
                .new(|| async { Ok("found by the service") })
                .run_async(),
        );
        println!("{path}: {found:?}");
    }
    println!("new path: {} call", find.stats().new.calls);
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
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
