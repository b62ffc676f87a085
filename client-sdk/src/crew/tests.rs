use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn caps(threads: usize, waiting: usize) -> Caps {
    Caps {
        threads,
        waiting,
        watched: 2,
    }
}

#[derive(Default)]
struct Told {
    begun: AtomicUsize,
    waiting: AtomicUsize,
}

impl Late for Told {
    fn late(&self, has_begun: bool) {
        let count = if has_begun {
            &self.begun
        } else {
            &self.waiting
        };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

fn eventually(is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_is_offered_is_done_by_few_threads_whatever_panics() {
    let crew = Crew::new("test", caps(3, 10_000));
    let done = Arc::new(AtomicUsize::new(0));
    let threads = Arc::new(Mutex::new(std::collections::HashSet::new()));
    for n in 0..1_000 {
        let (done, threads) = (Arc::clone(&done), Arc::clone(&threads));
        let work = move || {
            threads.lock().unwrap().insert(thread::current().id());
            done.fetch_add(1, Ordering::SeqCst);
            if n % 100 == 0 {
                std::panic::resume_unwind(Box::new(()));
            }
        };
        crew.offer(Box::new(work), None).unwrap();
    }
    assert!(crew.rest(Instant::now() + PATIENCE));
    assert_eq!(done.load(Ordering::SeqCst), 1_000);
    assert!(threads.lock().unwrap().len() <= 3);
}

#[test]
fn over_the_cap_it_refuses_and_by_the_deadline_it_tells() {
    let crew = Crew::new("test", caps(2, 3));
    let told = Arc::new(Told::default());
    let barrier = Arc::new(Barrier::new(3));
    let began = Instant::now();
    let offer = |millis| {
        let barrier = Arc::clone(&barrier);
        let late: Arc<dyn Late> = Arc::<Told>::clone(&told);
        let until = began + Duration::from_millis(millis);
        let hang = move || {
            barrier.wait();
        };
        crew.offer(Box::new(hang), Some((until, late)))
    };
    // The last deadline is the first to pass.
    let taken = [300, 200, 100, 90, 80, 70].map(offer);
    assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 5);
    assert_eq!(taken.last(), Some(&Err(Refused)));
    eventually(|| told.waiting.load(Ordering::SeqCst) == 3);
    eventually(|| told.begun.load(Ordering::SeqCst) == 2);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(!crew.rest(Instant::now()), "it hangs still");
    barrier.wait();
    assert!(crew.rest(Instant::now() + PATIENCE));
    // What is late is told once, and threads that come free are of use again.
    assert_eq!(told.begun.load(Ordering::SeqCst), 2);
    let (send, receive) = mpsc::channel();
    crew.offer(Box::new(move || send.send(7).unwrap()), None)
        .unwrap();
    assert_eq!(receive.recv_timeout(PATIENCE), Ok(7));
}

#[test]
fn what_runs_elsewhere_is_watched_until_it_is_done() {
    let crew = Crew::new("test", caps(1, 1));
    let told = Arc::new(Told::default());
    let watch = |millis| {
        let late: Arc<dyn Late> = Arc::<Told>::clone(&told);
        crew.watch((Instant::now() + Duration::from_millis(millis), late))
    };
    let (late, done) = (watch(30).ok(), watch(20).ok());
    assert!(late.is_some() && done.is_some() && watch(10).is_err());
    drop(done);
    eventually(|| told.begun.load(Ordering::SeqCst) == 1);
    let again = watch(0).ok();
    eventually(|| told.begun.load(Ordering::SeqCst) == 2);
    assert!(watch(0).is_err(), "what is late has its place still");
    drop((late, again));
    assert!(watch(0).is_ok());
}

#[test]
fn it_ends_at_once_though_all_of_it_hangs() {
    let crew = Crew::new("test", caps(2, 10));
    let (hold, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let dropped = Arc::new(AtomicUsize::new(0));
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    for _ in 0..6 {
        let (held, counts) = (Arc::clone(&held), Counts(Arc::clone(&dropped)));
        let work = move || {
            let _ = (held.lock().unwrap().recv(), counts);
        };
        crew.offer(Box::new(work), None).unwrap();
    }
    let began = Instant::now();
    crew.close();
    assert_eq!(crew.offer(Box::new(|| ()), None), Err(Refused));
    assert_eq!(dropped.load(Ordering::SeqCst), 4, "what waits is forgotten");
    drop(crew);
    assert!(began.elapsed() < Duration::from_millis(500));
    drop(hold);
    eventually(|| dropped.load(Ordering::SeqCst) == 6);
}
