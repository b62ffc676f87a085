//! Measures nanoseconds and allocations per call: the median of 25 batches of about 20 ms, on one
//! thread and on two at once. Prints each figure beside its budget; fails on nothing, because what
//! a shared machine does to time is not the code's fault. Compare with the limit rows of the run.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

const BATCHES: usize = 25;
const BATCH: Duration = Duration::from_millis(20);

struct Counting;

thread_local!(static ALLOCATIONS: Cell<u64> = const { Cell::new(0) });

// SAFETY: hands everything on to the system's allocator; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Prints the head of the table.
pub(crate) fn head() {
    println!(
        "{:<44} {:>8} {:>8} {:>7}  budget",
        "ns per call", "1 thread", "2", "allocs"
    );
}

/// Measures and prints one row. Returns the time on one thread.
pub(crate) fn row(name: &str, budget: &str, call: impl Fn() + Sync) -> f64 {
    let (one, allocations) = measure(&call);
    let together = Barrier::new(2);
    let two = thread::scope(|scope| {
        let other = scope.spawn(|| {
            together.wait();
            measure(&call).0
        });
        together.wait();
        let (mine, _) = measure(&call);
        other.join().map_or(mine, |theirs| theirs.max(mine))
    });
    println!("{name:<44} {one:>8.2} {two:>8.2} {allocations:>7.2}  {budget}");
    one
}

fn measure(call: &impl Fn()) -> (f64, f64) {
    let calls = calibrate(call);
    let before = ALLOCATIONS.get();
    let mut times: Vec<f64> = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        times.push(batch(call, calls).as_secs_f64() * 1e9 / f64::from(calls));
    }
    let batches = f64::from(u32::try_from(BATCHES).unwrap_or(u32::MAX));
    let allocations = u32::try_from(ALLOCATIONS.get() - before - 1).unwrap_or(u32::MAX);
    times.sort_by(f64::total_cmp);
    let median = times.get(BATCHES / 2).copied().unwrap_or(f64::NAN);
    (median, f64::from(allocations) / f64::from(calls) / batches)
}

/// How many calls a batch has.
fn calibrate(call: &impl Fn()) -> u32 {
    let mut calls = 1_000;
    while batch(call, calls) < BATCH && calls < 1 << 30 {
        calls *= 2;
    }
    calls
}

fn batch(call: &impl Fn(), calls: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        call();
    }
    start.elapsed()
}
