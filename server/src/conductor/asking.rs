//! Guards that ask Prometheus. They are asked on threads of their own: however slowly it answers, no
//! other guard waits. Each different question is asked once for all who ask it and has its own time,
//! and those that were answered slowly leave room for the others.

use std::collections::btree_map::{BTreeMap, Entry};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::domain::policy::Sampled;
use crate::prometheus::Prometheus;
use crate::service::{Asking, Services, Target};
use crate::store::StoreError;

/// So many questions of any kind are open at once.
const ANY_AT_ONCE: usize = 8;
/// So many more that were not answered slowly.
const QUICK_AT_ONCE: usize = 4;
/// An answer that took longer was slow.
const SLOW: Duration = Duration::from_millis(500);
/// Nothing takes so long: whoever asked is gone.
const LOST: Duration = Duration::from_secs(30);
/// It is told when a question waits longer than guards wait between two, and than this.
const LATE: Duration = Duration::from_secs(5);

/// A rollout's guards, with what was answered to each, by name.
pub(super) type Answered = (Asking, Vec<(String, Sampled)>);

/// What guards ask, and who asks it for them.
#[derive(Default)]
pub(super) struct Questions {
    /// When it was last read what guards ask.
    read: Option<Instant>,
    open: BTreeMap<Target, Open>,
    book: Arc<Mutex<Book>>,
    /// Threads that end when nothing is due, each with whether it asks what is slow.
    threads: Vec<(bool, JoinHandle<()>)>,
    is_late: bool,
}

/// A rollout whose guards ask, and since when they ask this about it.
struct Open {
    asking: Asking,
    since: Instant,
}

/// The different questions, and what was answered since somebody looked.
#[derive(Default)]
struct Book {
    questions: BTreeMap<String, Question>,
    heard: BTreeMap<String, (Instant, Sampled)>,
    /// What was due by then is asked.
    by: Option<Instant>,
}

struct Question {
    due: Instant,
    /// Since when an answer is waited for.
    asked: Option<Instant>,
    is_slow: bool,
}

impl Questions {
    /// What has been answered since; and has asked what is due.
    pub(super) fn go_on(&mut self, services: &Services) -> Result<Vec<Answered>, StoreError> {
        let prometheus = services.prometheus();
        let (now, every) = (Instant::now(), prometheus.every());
        if self
            .read
            .is_none_or(|read| now.duration_since(read) >= every)
        {
            self.read = Some(now);
            let open = services.asking()?;
            self.take_up(open, Instant::now());
        }
        let heard = mem::take(&mut lock(&self.book).heard);
        let answered = self.answered(&heard);
        self.have_asked(prometheus);
        Ok(answered)
    }

    /// From now on this is asked. What was asked before keeps its time.
    fn take_up(&mut self, all: Vec<Asking>, now: Instant) {
        let mut before = mem::take(&mut self.open);
        let mut book = lock(&self.book);
        let mut known = mem::take(&mut book.questions);
        for asking in all {
            let same = before.remove(&asking.target);
            let same = same.filter(|before| before.asking == asking);
            for (_, text) in &asking.questions {
                let question = match book.questions.entry(text.clone()) {
                    Entry::Occupied(found) => found.into_mut(),
                    Entry::Vacant(place) => {
                        place.insert(known.remove(text).unwrap_or(Question::due(now)))
                    }
                };
                // What was answered before says nothing of a rollout that has changed since.
                if same.is_none() {
                    question.due = question.due.min(now);
                }
            }
            let since = same.map_or(now, |same| same.since);
            let target = asking.target.clone();
            self.open.insert(target, Open { asking, since });
        }
    }

    /// Gives every rollout the answers to what was asked since it is as it is.
    fn answered(&self, heard: &BTreeMap<String, (Instant, Sampled)>) -> Vec<Answered> {
        if heard.is_empty() {
            return Vec::new();
        }
        let all = self.open.values().filter_map(|open| {
            let questions = open.asking.questions.iter();
            let answers: Vec<_> = questions
                .filter_map(|(name, text)| {
                    let (asked, answer) = heard.get(text)?;
                    (*asked >= open.since).then(|| (name.clone(), answer.clone()))
                })
                .collect();
            (!answers.is_empty()).then(|| (open.asking.clone(), answers))
        });
        all.collect()
    }

    /// Sees that there are threads for what is due now.
    fn have_asked(&mut self, prometheus: &Arc<Prometheus>) {
        let (now, every) = (Instant::now(), prometheus.every());
        self.threads.retain(|(_, thread)| !thread.is_finished());
        let mut book = lock(&self.book);
        book.by = Some(now);
        let (mut due, mut quick, mut latest) = (0_usize, 0_usize, Duration::ZERO);
        for question in book.questions.values().filter(|it| it.is_due(now)) {
            due = due.saturating_add(1);
            quick = quick.saturating_add(usize::from(!question.is_slow));
            latest = latest.max(now.saturating_duration_since(question.due));
        }
        let different = book.questions.len();
        drop(book);
        let is_late = latest > every.max(LATE);
        if is_late && !self.is_late {
            tracing::warn!(
                waits_seconds = latest.as_secs(),
                waiting = due,
                slow = due.saturating_sub(quick),
                different,
                "guards ask Prometheus less often than they should: it answers too slowly"
            );
        }
        self.is_late = is_late;
        for (takes_slow, needed) in [
            (true, due.min(ANY_AT_ONCE)),
            (false, quick.min(QUICK_AT_ONCE)),
        ] {
            let there = self.threads.iter().filter(|(kind, _)| *kind == takes_slow);
            for _ in there.count()..needed {
                let (book, prometheus) = (Arc::clone(&self.book), Arc::clone(prometheus));
                let asking = thread::Builder::new()
                    .name("switchover-ask".to_owned())
                    .spawn(move || ask(&book, &prometheus, takes_slow));
                match asking {
                    Ok(thread) => self.threads.push((takes_slow, thread)),
                    Err(error) => tracing::warn!(%error, "guards cannot ask Prometheus now"),
                }
            }
        }
    }
}

impl Drop for Questions {
    fn drop(&mut self) {
        // Nobody listens any more.
        lock(&self.book).questions.clear();
    }
}

impl Book {
    /// The question that has waited longest, to be asked at once.
    fn next(&mut self, takes_slow: bool, now: Instant, every: Duration) -> Option<String> {
        let by = self.by?;
        let due = self.questions.iter_mut();
        let due = due.filter(|(_, it)| it.is_due(by) && (takes_slow || !it.is_slow));
        let (text, question) = due.min_by_key(|(_, question)| question.due)?;
        question.asked = Some(now);
        question.due = now.checked_add(every).unwrap_or(now);
        Some(text.clone())
    }

    /// Takes what was answered to a question that was asked then. One without an answer is asked half
    /// as often, so that it takes less of the others' room.
    fn hear(
        &mut self,
        text: String,
        asked: Instant,
        answer: Sampled,
        took: Duration,
        every: Duration,
    ) {
        let Some(question) = self.questions.get_mut(&text) else {
            return;
        };
        question.asked = None;
        question.is_slow = took >= SLOW;
        if Prometheus::is_silence(&answer) {
            question.due = question.due.checked_add(every).unwrap_or(question.due);
        }
        self.heard.insert(text, (asked, answer));
    }
}

impl Question {
    fn due(now: Instant) -> Question {
        Question {
            due: now,
            asked: None,
            is_slow: false,
        }
    }

    fn is_due(&self, by: Instant) -> bool {
        let is_open = |asked: Instant| by.saturating_duration_since(asked) < LOST;
        self.due <= by && !self.asked.is_some_and(is_open)
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks what is due, until nothing is.
fn ask(book: &Mutex<Book>, prometheus: &Prometheus, takes_slow: bool) {
    let every = prometheus.every();
    loop {
        let asked = Instant::now();
        let next = lock(book).next(takes_slow, asked, every);
        let Some(text) = next else {
            return;
        };
        let answer = prometheus.ask(&text);
        let took = asked.elapsed();
        lock(book).hear(text, asked, answer, took, every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(15);

    /// Questions that are due now, in this order.
    fn book(now: Instant, texts: &[&str]) -> Book {
        let mut book = Book {
            by: Some(now + EVERY),
            ..Book::default()
        };
        for (text, after) in texts.iter().zip(0..) {
            let due = now + Duration::from_millis(after);
            book.questions
                .insert((*text).to_owned(), Question::due(due));
        }
        book
    }

    fn number() -> Sampled {
        Sampled::Number(1.0)
    }

    #[test]
    fn what_was_slow_leaves_room_for_the_others() {
        let now = Instant::now();
        let mut book = book(now, &["b", "a"]);
        assert_eq!(book.next(true, now, EVERY), Some("b".to_owned()));
        book.hear("b".to_owned(), now, number(), SLOW, EVERY);
        assert_eq!(book.next(true, now, EVERY), Some("a".to_owned()));
        book.hear("a".to_owned(), now, number(), Duration::ZERO, EVERY);
        // Both are due again: of those that are quick only one is.
        assert_eq!(book.next(false, now, EVERY + EVERY), Some("a".to_owned()));
        assert_eq!(book.next(false, now, EVERY), None);
        assert_eq!(book.next(true, now, EVERY), Some("b".to_owned()));
        assert_eq!(book.next(true, now, EVERY), None);
        // It may become quick again.
        book.hear("b".to_owned(), now, number(), Duration::ZERO, EVERY);
        assert_eq!(book.next(false, now, EVERY), Some("b".to_owned()));
    }

    #[test]
    fn nothing_is_asked_twice_at_once() {
        let now = Instant::now();
        let mut book = book(now, &["a"]);
        assert!(book.next(true, now, Duration::ZERO).is_some());
        assert_eq!(book.next(true, now, Duration::ZERO), None);
        // Whoever asked is gone without a word.
        book.by = Some(now + LOST);
        assert!(book.next(true, now, Duration::ZERO).is_some());
    }

    #[test]
    fn what_is_not_answered_is_asked_half_as_often() {
        let now = Instant::now();
        let mut book = book(now, &["a", "b"]);
        for answer in [Prometheus::silence(), number()] {
            let text = book.next(true, now, EVERY).unwrap();
            book.hear(text, now, answer, Duration::ZERO, EVERY);
        }
        assert_eq!(book.questions["a"].due, now + 2 * EVERY);
        assert_eq!(book.questions["b"].due, now + EVERY);
    }

    #[test]
    fn what_is_not_asked_any_more_is_not_heard() {
        let now = Instant::now();
        let mut book = book(now, &["a"]);
        let text = book.next(true, now, EVERY).unwrap();
        book.questions.clear();
        book.hear(text, now, number(), Duration::ZERO, EVERY);
        assert!(book.heard.is_empty());
    }
}
