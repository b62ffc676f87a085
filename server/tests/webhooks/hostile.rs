//! Receivers that fail, hang, lead elsewhere or answer without end: they get their message again later,
//! and nobody else notices.

use std::io::Write as _;
use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use switchover_server::outbound::{Outbound, Rules};

use crate::support::{App, Engine, TestDatabase, Who, at};
use crate::webhooks::consumer::{Consumer, Manner};
use crate::webhooks::{deliveries, halt, hook, in_state};

/// Where clouds hand out credentials.
const METADATA: &str = "http://169.254.169.254/latest/meta-data/";

const HOSTILE: [Manner; 10] = [
    Manner::Answer(500, "no"),
    Manner::Redirect(METADATA),
    Manner::Hang,
    Manner::Trickle,
    Manner::Large,
    Manner::Endless("HTTP/1.1 200 Endless\r\n\r\n"),
    Manner::Endless("HTTP/1.1 200 Endless\r\nx-head: "),
    Manner::Endless("HTTP/1.1 200 Endless\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n"),
    Manner::Close,
    Manner::Nonsense,
];

fn reaching(nets: &[&str]) -> Outbound {
    let nets = nets.iter().map(|net| net.parse().unwrap()).collect();
    Outbound::new(Arc::new(Rules::allowing(nets)))
}

/// The halts of a route that is resumed each time: how long each took, sorted.
fn halts(app: &App, count: usize) -> Vec<Duration> {
    let resume = json!({ "reason": "test" });
    let mut took = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        halt(app, "count_commits").expect(200);
        took.push(began.elapsed());
        app.post(
            Who::OPERATOR,
            &at("count_commits", "dev", "resume"),
            &resume,
        )
        .expect(200);
    }
    took.sort();
    took
}

/// 40 receivers that each hold what they get for as long as they can, more than there is room for, and
/// ten hostile ones: a halt waits for none of them, and the good receiver has everything at once.
#[test]
fn a_hostile_receiver_delays_nobody_and_breaks_nothing() {
    let app = App::delivering(Arc::new(TestDatabase::new(Engine::Sqlite)));
    app.route("count_commits");
    let before = halts(&app, 40);
    let good = Consumer::new(Manner::Take);
    let (good_hook, secret) = hook(&app, &good.url(), json!({ "events": ["rollout"] }));
    halt(&app, "count_commits").expect(200);
    good.wait_for(1);
    in_state(&app, &good_hook, "delivered");
    let manners = [Manner::Hang; 40].into_iter().chain(HOSTILE);
    let bad: Vec<Consumer> = manners.map(Consumer::new).collect();
    for consumer in &bad {
        hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
    }
    app.set("count_commits", "dev", json!({ "mode": "off" }))
        .expect(200);
    let began = Instant::now();
    good.wait_for(2);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    let meanwhile = halts(&app, 40);
    let arrived = Instant::now();
    let messages = good.wait_for(2 + 2 * 40 - 1);
    assert!(
        arrived.elapsed() < Duration::from_secs(5),
        "{:?}",
        arrived.elapsed()
    );
    for message in &messages {
        message.assert_signed_with(&secret);
    }
    let median = |took: &[Duration]| took[took.len() / 2];
    println!(
        "a halt: median {:?} without webhooks, {:?} with 50 hostile ones; slowest {:?} and {:?}",
        median(&before),
        median(&meanwhile),
        before.last().unwrap(),
        meanwhile.last().unwrap()
    );
    // It shares a processor and a database with fifty messages, and waits for no receiver: the first
    // to hang would hold it for ten seconds.
    let (usual, slowest) = (median(&meanwhile), meanwhile[meanwhile.len() - 1]);
    assert!(usual < Duration::from_millis(500), "{usual:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

/// Each has it in the log, and is asked again where it did not take the message.
#[test]
fn what_a_hostile_receiver_did_is_in_the_log() {
    let outbound = reaching(&["127.0.0.0/8"]).within(Duration::from_secs(2));
    let app = App::reaching(Arc::new(TestDatabase::new(Engine::Sqlite)), outbound);
    app.route("count_commits");
    let mut bad = Vec::new();
    for manner in HOSTILE {
        let consumer = Consumer::new(manner);
        let (id, _) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
        bad.push((manner, consumer, id));
    }
    halt(&app, "count_commits").expect(200);
    for (manner, _, id) in &bad {
        // The status says it all: what follows it is not waited for, or not read.
        let is_taken = matches!(manner, Manner::Large | Manner::Trickle)
            || matches!(manner, Manner::Endless(head) if !head.contains("x-head"));
        let state = if is_taken { "delivered" } else { "failed" };
        let seen = in_state(&app, id, state);
        let attempt = &seen["attempts"][0];
        let answer = attempt["answer"].as_str().unwrap();
        assert!(answer.len() <= 1_024, "{manner:?}: {}", answer.len());
        assert_eq!(
            attempt["error"].is_null(),
            is_taken,
            "{manner:?}: {attempt}"
        );
    }
}

/// Not even where it leads to what may be reached.
#[test]
fn redirects_are_not_followed() {
    static THERE: Mutex<String> = Mutex::new(String::new());
    let target = Consumer::new(Manner::Take);
    *THERE.lock().unwrap() = target.url();
    let there: &'static str = Box::leak(THERE.lock().unwrap().clone().into_boxed_str());
    let app = App::delivering(Arc::new(TestDatabase::new(Engine::Sqlite)));
    let consumer = Consumer::new(Manner::Redirect(there));
    let (id, _) = hook(&app, &consumer.url(), json!({ "events": ["rollout"] }));
    app.route("count_commits");
    halt(&app, "count_commits").expect(200);
    let failed = in_state(&app, &id, "failed");
    let attempt = &failed["attempts"][0];
    assert_eq!(attempt["status"], 307);
    assert!(attempt["error"].as_str().unwrap().contains("redirect"));
    assert_eq!(consumer.messages().len(), 1);
    assert!(target.messages().is_empty());
    assert_eq!(deliveries(&app, &id).len(), 1);
}

/// A name that answers differently the next time: what was judged is what is connected to.
#[test]
fn a_name_that_changes_its_answer_reaches_nothing_else() {
    let port = |consumer: &Consumer| consumer.port();
    let private = Consumer::new(Manner::Answer(200, "secret"));
    let asked = Arc::new(AtomicUsize::new(0));
    // On the same port at another address of this machine, which is allowed.
    let allowed = Consumer::at(&format!("127.0.0.2:{}", port(&private)), Manner::Take);
    let answers: Arc<Mutex<Vec<IpAddr>>> = Arc::default();
    let (asking, answering) = (Arc::clone(&asked), Arc::clone(&answers));
    let outbound = reaching(&["127.0.0.2"]).looking_up(Arc::new(move |name| {
        assert_eq!(name, "rebind.example");
        asking.fetch_add(1, Ordering::SeqCst);
        Ok(answering.lock().unwrap().clone())
    }));
    let url = format!("http://rebind.example:{}/", port(&private));
    let post = |answer: &[&str]| {
        *answers.lock().unwrap() = answer.iter().map(|ip| ip.parse().unwrap()).collect();
        asked.store(0, Ordering::SeqCst);
        let posted = outbound.post(&url, &[], "{}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "resolved once");
        posted
    };
    assert_eq!(post(&["127.0.0.2"]).unwrap().status, 204);
    for answer in [
        &["127.0.0.1"][..],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["0.0.0.0"],
        &["169.254.169.254", "10.0.0.1", "fd00::1"],
        // Public, but not without TLS.
        &["93.184.216.34"],
    ] {
        let refused = post(answer).unwrap_err().to_string();
        assert!(refused.contains("refused"), "{answer:?}: {refused}");
    }
    // Of several, only what passes is tried.
    assert_eq!(post(&["127.0.0.1", "127.0.0.2"]).unwrap().status, 204);
    assert_eq!(allowed.messages().len(), 2);
    assert!(private.messages().is_empty());
    assert!(post(&[]).unwrap_err().to_string().contains("no address"));
}

#[test]
fn local_names_are_refused_when_they_are_used() {
    let outbound = reaching(&[]);
    let consumer = Consumer::new(Manner::Take);
    for host in ["localhost", "ip6-localhost"] {
        let url = format!("https://{host}:{}/", consumer.port());
        let why = outbound.post(&url, &[], "{}").unwrap_err().to_string();
        assert!(
            why.contains("refused") || why.contains("no address"),
            "{why}"
        );
    }
    let plain = outbound.post("http://localhost/", &[], "{}").unwrap_err();
    assert!(plain.to_string().contains("https"), "{plain}");
    assert!(consumer.messages().is_empty());
}

/// Every way to take one's time ends at the deadline, also before and inside TLS.
#[test]
fn nobody_takes_longer_than_the_deadline() {
    const DEADLINE: Duration = Duration::from_secs(2);
    let outbound = reaching(&["127.0.0.0/8"]).within(DEADLINE);
    let mut urls = Vec::new();
    let mut consumers = Vec::new();
    for manner in [
        Manner::Hang,
        Manner::Trickle,
        Manner::Endless("HTTP/1.1 200 Endless\r\nx-head: "),
        Manner::Endless("HTTP/1.1 200 Endless\r\n\r\n"),
    ] {
        let consumer = Consumer::new(manner);
        urls.push(consumer.url());
        consumers.push(consumer);
    }
    // The head of a TLS record of 16 KiB, and then its body byte by byte; or nothing at all.
    for is_silent in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        urls.push(format!("https://{}/", listener.local_addr().unwrap()));
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut next = vec![0x16, 0x03, 0x03, 0x3f, 0xff, 0x02];
            while is_silent || socket.write_all(&next).is_ok() {
                next = vec![0];
                thread::sleep(Duration::from_millis(100));
            }
        });
    }
    thread::scope(|scope| {
        for url in &urls {
            let outbound = &outbound;
            scope.spawn(move || {
                let began = Instant::now();
                let posted = outbound.post(url, &[], "{}");
                let took = began.elapsed();
                assert!(
                    took < DEADLINE + Duration::from_secs(1),
                    "{url}: {took:?} {posted:?}"
                );
            });
        }
    });
    // What nobody reads is not sent for ever: the rest was in buffers on the way.
    for consumer in &consumers {
        assert!(consumer.written() < 24 << 20, "{}", consumer.written());
    }
}
