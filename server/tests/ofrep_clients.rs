//! OpenFeature's own clients, as their users run them, against this server: for Node.js servers, for
//! browsers, for Python and for Rust. The programs are in `tests/clients`; each is asked line by line.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use switchover::{Overrides, Snapshot, Source, decide};

use crate::support::{App, Engine, Who, eventually};

const SOON: Duration = Duration::from_secs(5);

/// Which client, and how it hears of changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Node,
    Web(&'static str),
    Python,
    Rust,
}

/// A client that runs.
struct Client {
    kind: Kind,
    child: Child,
    /// Why it could not begin, where it says so.
    refused: Option<String>,
    talk: RefCell<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
}

impl Client {
    fn of(kind: Kind, app: &App, sdk_key: &str) -> Client {
        let url = format!("http://{}", app.address());
        let mut command = kind.command();
        command.args([&url, sdk_key]);
        if let Kind::Web(how) = kind {
            command.arg(how);
        }
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| {
            panic!("a client cannot be run ({error}): run .ci/clients, which says what to install")
        });
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let talk = RefCell::new((child.stdin.take().unwrap(), lines));
        let mut client = Client {
            kind,
            child,
            refused: None,
            talk,
        };
        let ready = client.read();
        assert_eq!(ready["ready"], true, "{ready}");
        client.refused = ready["refused"].as_str().map(str::to_owned);
        client
    }

    /// What a flag evaluates to for a key, and what else the client tells of it.
    fn ask(&self, flag: &str, default: Value, key: Option<&str>) -> Value {
        let mut asked = json!({ "flag": flag, "default": default });
        if let Some(key) = key {
            asked["key"] = json!(key);
        }
        writeln!(self.talk.borrow_mut().0, "{asked}").unwrap();
        self.read()
    }

    fn read(&self) -> Value {
        let line = self.talk.borrow_mut().1.next();
        let line = line.expect("the client goes on: run .ci/clients if it is not installed");
        serde_json::from_str(&line.unwrap()).unwrap()
    }

    /// The client for Rust drops both, and says of everything that it is static.
    fn tells_why(&self) -> bool {
        self.kind != Kind::Rust
    }

    #[track_caller]
    fn assert_decided(&self, answer: &Value, path: &str, reason: &str, ours: &str) {
        assert!(answer["error"].is_null(), "{answer}");
        assert_eq!(answer["variant"], path, "{answer}");
        if self.tells_why() {
            assert_eq!(answer["reason"], reason, "{answer}");
            let metadata = &answer["metadata"];
            assert_eq!(metadata["reason"], ours, "{answer}");
            assert_eq!(metadata["environment"], "dev", "{answer}");
            assert_eq!(metadata["flagSetId"], "dev", "{answer}");
            assert!(metadata["stage"].is_string(), "{answer}");
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Kind {
    fn command(self) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let program = |name: &str| root.join("server/tests/clients").join(name);
        // Where .ci/clients installs them: beside the server that is tested.
        let built: PathBuf = Path::new(env!("CARGO_BIN_EXE_switchover"))
            .ancestors()
            .nth(2)
            .unwrap()
            .join("clients");
        let mut command = match self {
            Kind::Node | Kind::Web(_) => Command::new("node"),
            Kind::Python => Command::new(built.join("python/bin/python")),
            Kind::Rust => Command::new(built.join("rust/debug/switchover-openfeature-client")),
        };
        match self {
            Kind::Node => command.arg(program("server.mjs")),
            Kind::Web(_) => command.arg(program("web.mjs")),
            Kind::Python => command.arg(program("python.py")),
            Kind::Rust => &mut command,
        };
        command
    }
}

/// A server with a route in each state that clients meet, and a key of dev.
fn house() -> (App, String) {
    let app = App::start(Engine::Sqlite);
    for route in ["on", "off", "ramped", "waiting"] {
        app.route(route);
    }
    app.set("on", "dev", json!({ "mode": "on" })).expect(200);
    app.set("off", "dev", json!({ "mode": "off" })).expect(200);
    let ramp = json!({ "mode": "ramp", "percent": 40 });
    app.set("ramped", "dev", ramp).expect(200);
    let key = app.sdk_key("dev");
    (app, key)
}

fn snapshot(app: &App, key: &str) -> Snapshot {
    Snapshot::from_json(&app.snapshot(key).expect(200).body, Source::Live).unwrap()
}

fn evaluates(kind: Kind) {
    let (app, key) = house();
    let client = Client::of(kind, &app, &key);
    for key in [None, Some("user-1")] {
        let on = client.ask("on", json!(false), key);
        assert_eq!(on["value"], true, "{on}");
        client.assert_decided(&on, "new", "STATIC", "on");
        let on = client.ask("on.path", json!("none"), key);
        assert_eq!(on["value"], "new", "{on}");
        let off = client.ask("off", json!(true), key);
        assert_eq!(off["value"], false, "{off}");
        client.assert_decided(&off, "old", "STATIC", "off");
        let off = client.ask("off.path", json!("none"), key);
        assert_eq!(off["value"], "old", "{off}");
    }
    // The ramp goes by keys, as it does for the SDK.
    let snapshot = snapshot(&app, &key);
    let mut seen = [0, 0];
    for number in 0..30 {
        let key = format!("user-{number}");
        let decided = decide(snapshot.table(), "ramped", &Overrides::none(), Some(&key));
        let is_new = decided.path == switchover::Path::New;
        seen[usize::from(is_new)] += 1;
        let answer = client.ask("ramped", json!(!is_new), Some(&key));
        assert_eq!(answer["value"], is_new, "{key}: {answer}");
        client.assert_decided(&answer, decided.path.name(), "SPLIT", decided.reason.name());
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    let without = client.ask("ramped", json!(true), None);
    assert_eq!(without["value"], false, "{without}");
    client.assert_decided(&without, "old", "DEFAULT", "no_key");
    let unknown = client.ask("nothing", json!(true), Some("user-1"));
    assert_eq!(unknown["value"], true, "{unknown}");
    assert_eq!(unknown["error"], "FLAG_NOT_FOUND", "{unknown}");
    let unfit = client.ask("on.path", json!(true), Some("user-1"));
    assert_eq!(
        unfit["value"], true,
        "another type than the flag's: {unfit}"
    );
    assert!(unfit["error"].is_string(), "{unfit}");
}

/// The code's own value holds, and the client says that something is wrong.
fn is_told_of_a_bad_key(kind: Kind) {
    let (app, _) = house();
    let client = Client::of(kind, &app, "swk_wrong");
    for default in [false, true] {
        let answer = client.ask("on", json!(default), Some("user-1"));
        assert_eq!(answer["value"], default, "{answer}");
        assert!(answer["error"].is_string(), "{answer}");
        match kind {
            // Asked for one flag, it has none; that the key is at fault it said before.
            Kind::Web(_) => assert_eq!(client.refused.as_deref(), Some("PROVIDER_FATAL")),
            _ => assert_ne!(answer["error"], "FLAG_NOT_FOUND", "{answer}"),
        }
    }
}

fn sees_a_promotion(kind: Kind) {
    let (app, key) = house();
    let client = Client::of(kind, &app, &key);
    let value = || client.ask("waiting", json!(false), Some("user-1"))["value"].clone();
    assert_eq!(value(), false);
    let asked =
        |what: &str| client.ask("asked", json!(false), Some("user-1"))["value"][what].clone();
    if kind == Kind::Web("events") {
        eventually("it listens", SOON, || (asked("streams") == 1).then_some(()));
    }
    app.promote(Who::OPERATOR, "waiting", "dev", "opt_in")
        .expect(201);
    eventually("the promotion is seen", SOON, || {
        (value() == true).then_some(())
    });
    if kind == Kind::Web("polling") {
        eventually("what is the same is not sent", SOON, || {
            (asked("unchanged").as_u64() > Some(3)).then_some(())
        });
    }
    if kind == Kind::Web("events") {
        eventually("it asks only when it is told to", SOON, || {
            let bulk = asked("bulk");
            std::thread::sleep(Duration::from_millis(400));
            (asked("bulk") == bulk).then_some(())
        });
    }
    // And back: a halt holds at once.
    let halt = json!({ "reason": "test" });
    app.post(
        Who::OPERATOR,
        &crate::support::at("waiting", "dev", "halt"),
        &halt,
    )
    .expect(200);
    eventually("the halt is seen", SOON, || {
        (value() == false).then_some(())
    });
}

/// The stream's ticket ends; the client asks again, is given another, and hears on.
#[test]
fn a_page_hears_on_when_its_ticket_has_ended() {
    let (app, key) = house();
    let client = Client::of(Kind::Web("events"), &app, &key);
    let ask = |flag: &str| client.ask(flag, json!(false), Some("user-1"))["value"].clone();
    eventually("it listens", SOON, || {
        (ask("asked")["streams"] == 1).then_some(())
    });
    app.advance(chrono::Duration::hours(13));
    // A beat until the server ends the stream, and what the client waits before it comes back.
    eventually("it listens again", Duration::from_secs(30), || {
        (ask("asked")["streams"] == 2).then_some(())
    });
    let bulk = ask("asked")["bulk"].clone();
    app.promote(Who::OPERATOR, "waiting", "dev", "opt_in")
        .expect(201);
    eventually("the promotion is seen", SOON, || {
        (ask("waiting") == true).then_some(())
    });
    assert!(ask("asked")["bulk"].as_u64() > bulk.as_u64());
}

macro_rules! clients {
    ($($name:ident: $kind:expr),* $(,)?) => {$(
        mod $name {
            use super::Kind;

            #[test]
            fn evaluates() {
                super::evaluates($kind);
            }

            #[test]
            fn is_told_of_a_bad_key() {
                super::is_told_of_a_bad_key($kind);
            }

            #[test]
            fn sees_a_promotion() {
                super::sees_a_promotion($kind);
            }
        }
    )*};
}

clients! {
    node: Kind::Node,
    web_events: Kind::Web("events"),
    web_polling: Kind::Web("polling"),
    python: Kind::Python,
    rust: Kind::Rust,
}
