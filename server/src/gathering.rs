//! One transaction for what comes in at about the same time.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// So many are done at once.
const MOST_AT_ONCE: usize = 1_000;

/// Waits up to `idle` for the first that comes in, and from then on up to `gathering` for others.
/// Gives what has come, and whether that is all: nothing, in the channel, is the end.
pub(crate) fn gathered<T>(
    receiver: &Receiver<Option<T>>,
    idle: Duration,
    gathering: Duration,
) -> (Vec<T>, bool) {
    let mut group = Vec::new();
    let mut deadline = Instant::now() + idle;
    while group.len() < MOST_AT_ONCE {
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok(Some(one)) => {
                if group.is_empty() {
                    deadline = Instant::now() + gathering;
                }
                group.push(one);
            }
            Err(RecvTimeoutError::Timeout) => break,
            Ok(None) | Err(RecvTimeoutError::Disconnected) => return (group, true),
        }
    }
    (group, false)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn what_is_there_is_taken_together_and_the_end_is_seen() {
        let (sender, receiver) = channel();
        let gather = || gathered(&receiver, Duration::ZERO, Duration::ZERO);
        assert_eq!(gather(), (Vec::<usize>::new(), false));
        for one in 0..MOST_AT_ONCE + 2 {
            sender.send(Some(one)).unwrap();
        }
        sender.send(None).unwrap();
        let (first, is_all) = gathered(&receiver, Duration::ZERO, Duration::from_secs(60));
        assert_eq!((first.len(), is_all), (MOST_AT_ONCE, false));
        let rest = gathered(&receiver, Duration::ZERO, Duration::from_secs(60));
        assert_eq!(rest, (vec![MOST_AT_ONCE, MOST_AT_ONCE + 1], true));
        drop(sender);
        assert_eq!(gather(), (Vec::new(), true));
    }
}
