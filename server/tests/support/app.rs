//! A server in this process, over a database and a clock of its own.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use chrono::{DateTime, Duration, TimeZone as _, Utc};
use serde_json::{Value, json};
use switchover_server::courier::Delivering;
use switchover_server::domain::actor::{Actor, Role};
use switchover_server::http::{Front, Running, Server, ServerConfig, UNREAD};
use switchover_server::manifest_key::ManifestKeys;
use switchover_server::outbound::{Outbound, Rules};
use switchover_server::prometheus::{Prometheus, Settings};
use switchover_server::service::{Clock, ManifestSigner, Services};
use switchover_server::token::{KEY_FILE, TokenKeys, WEBHOOK_SECRETS};
use tempfile::TempDir;

use super::client::{Remote, Reply};
use super::database::{Engine, TestDatabase};
use super::sse::Events;

/// Somebody with a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Who(pub(crate) Role, pub(crate) &'static str);

impl Who {
    pub(crate) const VIEWER: Who = Who(Role::Viewer, "vera@example.com");
    pub(crate) const OPERATOR: Who = Who(Role::Operator, "otto@example.com");
    pub(crate) const MAINTAINER: Who = Who(Role::Maintainer, "mia@example.com");
    /// Approves what the others promote.
    pub(crate) const APPROVER: Who = Who(Role::Maintainer, "max@example.com");
    pub(crate) const ADMIN: Who = Who(Role::Admin, "ada@example.com");

    pub(crate) fn of(role: Role) -> Who {
        match role {
            Role::Viewer => Who::VIEWER,
            Role::Operator => Who::OPERATOR,
            Role::Maintainer => Who::MAINTAINER,
            Role::Admin => Who::ADMIN,
        }
    }

    pub(crate) fn actor(self) -> Actor {
        Actor {
            subject: self.1.to_owned(),
            role: self.0,
        }
    }

    /// A token of theirs, good for an hour.
    pub(crate) fn token(self) -> String {
        static TOKENS: OnceLock<Mutex<HashMap<Who, String>>> = OnceLock::new();
        let mut tokens = TOKENS.get_or_init(Mutex::default).lock().unwrap();
        let made = tokens.entry(self).or_insert_with(|| {
            let actor = self.actor();
            signing()
                .keys
                .sign(&actor, Utc::now(), Duration::hours(1))
                .unwrap()
        });
        made.clone()
    }
}

struct Signing {
    keys: Arc<TokenKeys>,
    pem: String,
}

/// One signing key for every server of these tests.
fn signing() -> &'static Signing {
    static SIGNING: OnceLock<Signing> = OnceLock::new();
    SIGNING.get_or_init(|| {
        let directory: TempDir = tempfile::tempdir().unwrap();
        Signing {
            keys: Arc::new(TokenKeys::from_data_dir(directory.path()).unwrap()),
            pem: std::fs::read_to_string(directory.path().join(KEY_FILE)).unwrap(),
        }
    })
}

/// A server that serves.
pub(crate) struct App {
    running: Option<Running>,
    remote: Remote,
    database: Arc<TestDatabase>,
    clock: Arc<AtomicI64>,
    manifest_keys: Arc<Mutex<Option<String>>>,
}

impl App {
    pub(crate) fn start(engine: Engine) -> App {
        App::over(Arc::new(TestDatabase::new(engine)))
    }

    /// A server over a database that others may use too.
    pub(crate) fn over(database: Arc<TestDatabase>) -> App {
        App::with_patience(database, UNREAD)
    }

    /// A server that waits so long for who does not read.
    pub(crate) fn with_patience(database: Arc<TestDatabase>, unread: std::time::Duration) -> App {
        App::with(database, unread, None, Front::default(), None)
    }

    /// A server that brings messages to webhooks on this machine.
    pub(crate) fn delivering(database: Arc<TestDatabase>) -> App {
        App::reaching(database, Outbound::new(rules()))
    }

    /// A server that brings messages to webhooks in this way.
    pub(crate) fn reaching(database: Arc<TestDatabase>, outbound: Outbound) -> App {
        let delivering = Delivering {
            every: std::time::Duration::from_millis(20),
            outbound,
        };
        App::with(database, UNREAD, None, Front::default(), Some(delivering))
    }

    /// A server that looks at guards and ramps in this interval.
    pub(crate) fn conducting(database: Arc<TestDatabase>, every: std::time::Duration) -> App {
        App::with(database, UNREAD, Some(every), Front::default(), None)
    }

    /// A server that clients reach in this manner.
    pub(crate) fn behind(front: Front) -> App {
        let database = Arc::new(TestDatabase::new(Engine::Sqlite));
        App::with(database, UNREAD, None, front, None)
    }

    /// A server whose gates and guards ask a Prometheus.
    pub(crate) fn asking(engine: Engine, prometheus: Settings) -> App {
        let database = Arc::new(TestDatabase::new(engine));
        let asking =
            |services: Services| services.with_prometheus(Prometheus::new(Some(prometheus)));
        App::with_services(database, (UNREAD, None), Front::default(), (asking, None))
    }

    fn with(
        database: Arc<TestDatabase>,
        unread: std::time::Duration,
        conduct_every: Option<std::time::Duration>,
        front: Front,
        delivering: Option<Delivering>,
    ) -> App {
        let as_it_is = |services: Services| services;
        let more = (as_it_is, delivering);
        App::with_services(database, (unread, conduct_every), front, more)
    }

    fn with_services(
        database: Arc<TestDatabase>,
        (unread, conduct_every): (std::time::Duration, Option<std::time::Duration>),
        front: Front,
        (more, delivering): (impl FnOnce(Services) -> Services, Option<Delivering>),
    ) -> App {
        let start = Utc.with_ymd_and_hms(2026, 1, 5, 10, 0, 0).unwrap();
        let clock = Arc::new(AtomicI64::new(start.timestamp_micros()));
        let manifest_keys = Arc::new(Mutex::new(Some(ManifestKeys::new().unwrap().to_pem())));
        let services = Services::start(database.open(), reading(&clock))
            .unwrap()
            .with_manifest_signer(signer(&manifest_keys))
            .with_webhooks(signing().keys.seal(WEBHOOK_SECRETS).unwrap(), rules());
        let services = more(services);
        let config = ServerConfig {
            listen: "127.0.0.1:0".to_owned(),
            signals: false,
            unread,
            conduct_every,
            front,
        };
        let keys = Arc::clone(&signing().keys);
        let server = Server::new(config, Arc::new(services), keys);
        let server = match delivering {
            Some(delivering) => server.delivering(delivering),
            None => server,
        };
        let running = server.start().unwrap();
        App {
            remote: Remote::at(&running.address().to_string()),
            running: Some(running),
            database,
            clock,
            manifest_keys,
        }
    }

    /// The keys that sign manifests from now on, in PEM; none when the operator has set up none.
    pub(crate) fn sign_manifests_with(&self, keys: Option<&str>) {
        *self.manifest_keys.lock().unwrap() = keys.map(str::to_owned);
    }
    pub(crate) fn manifest_keys(&self) -> ManifestKeys {
        signer(&self.manifest_keys)().unwrap()
    }

    /// The key that the servers of these tests sign with.
    pub(crate) fn keys() -> &'static TokenKeys {
        &signing().keys
    }

    /// The key that the servers of these tests trust, in PEM.
    pub(crate) fn signing_key() -> &'static str {
        &signing().pem
    }

    pub(crate) fn database(&self) -> &Arc<TestDatabase> {
        &self.database
    }

    pub(crate) fn services(&self) -> &Arc<Services> {
        self.running.as_ref().unwrap().services()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock
            .fetch_add(by.num_microseconds().unwrap(), Ordering::SeqCst);
    }

    /// Stops it as an operator would.
    pub(crate) fn stop(mut self) {
        self.running.take().unwrap().stop().unwrap();
    }

    /// A route under the policy `open`, named by its key alone.
    pub(crate) fn route(&self, key: &str) {
        self.route_with(key, json!({}));
    }

    pub(crate) fn route_with(&self, key: &str, more: Value) {
        let mut body = json!({
            "endpoint": format!("gitaly.Service/{key}"),
            "key": key,
            "operation": "read",
            "owner": "gitaly",
            "policy": "open",
        });
        let fields = body.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        self.post(Who::OPERATOR, "routes", &body).expect(201);
    }

    pub(crate) fn promote(&self, who: Who, route: &str, environment: &str, to: &str) -> Reply {
        let body = json!({ "to": to, "reason": "test" });
        self.post(who, &at(route, environment, "promotions"), &body)
    }

    /// Promotes, environment by environment, until the route has this stage in all of these.
    pub(crate) fn bring(&self, route: &str, environments: &[&str], to: &str) {
        for environment in environments {
            for stage in ["opt_in", "opt_out", "mandatory"] {
                let body = json!({ "to": stage, "comment": "test" });
                let path = at(route, environment, "approvals");
                self.post(Who::APPROVER, &path, &body).expect(201);
                self.promote(Who::MAINTAINER, route, environment, stage)
                    .expect(201);
                if stage == to {
                    break;
                }
            }
        }
    }

    /// A scan that has looked for these routes, and found none of them.
    pub(crate) fn scanned(&self, routes: &[&str]) {
        let routes: serde_json::Map<String, Value> = routes
            .iter()
            .map(|route| ((*route).to_owned(), json!(0)))
            .collect();
        let body = json!({ "repository": "group/project", "revision": "4f1c2d9", "files": 7, "routes": routes });
        self.post(Who::OPERATOR, "references", &body).expect(201);
    }

    pub(crate) fn set(&self, route: &str, environment: &str, setting: Value) -> Reply {
        let mut body = json!({ "reason": "test" });
        let fields = body.as_object_mut().unwrap();
        fields.extend(setting.as_object().unwrap().clone());
        self.put(Who::OPERATOR, &at(route, environment, "setting"), &body)
    }

    pub(crate) fn rollout(&self, route: &str, environment: &str) -> Value {
        self.get(&at(route, environment, "")).expect(200).json()
    }

    pub(crate) fn sdk_key(&self, environment: &str) -> String {
        let body = json!({ "environment": environment, "name": "test" });
        let made = self.post(Who::MAINTAINER, "sdk-keys", &body).expect(201);
        made.json()["key"].as_str().unwrap().to_owned()
    }

    pub(crate) fn snapshot(&self, sdk_key: &str) -> Reply {
        self.request("GET", "/sdk/v1/snapshot")
            .bearer(sdk_key)
            .send()
    }

    pub(crate) fn stream(&self, sdk_key: &str, last_event_id: Option<&str>) -> Events {
        Events::open(self.remote.address(), sdk_key, last_event_id)
    }

    pub(crate) fn audit_count(&self) -> i64 {
        self.database.number("SELECT COUNT(*) FROM audit")
    }

    pub(crate) fn assert_audit_intact(&self) {
        let verified = self
            .post(Who::VIEWER, "audit/verify", &json!({}))
            .expect(200);
        assert_eq!(verified.json()["intact"], true, "{}", verified.body);
    }
}

/// Webhooks of these tests are on this machine.
fn rules() -> Arc<Rules> {
    Arc::new(Rules::allowing(vec!["127.0.0.0/8".parse().unwrap()]))
}

/// A server can be asked without saying how.
impl Deref for App {
    type Target = Remote;

    fn deref(&self) -> &Remote {
        &self.remote
    }
}

/// The address of a rollout, or of something about it.
pub(crate) fn at(route: &str, environment: &str, what: &str) -> String {
    let path = format!("routes/{route}/environments/{environment}/{what}");
    path.trim_end_matches('/').to_owned()
}

fn signer(keys: &Arc<Mutex<Option<String>>>) -> ManifestSigner {
    let keys = Arc::clone(keys);
    Arc::new(move || {
        let pem = keys.lock().unwrap().clone().ok_or("set one up")?;
        ManifestKeys::from_pem(&pem).map_err(|error| error.to_string())
    })
}

fn reading(clock: &Arc<AtomicI64>) -> Clock {
    let clock = Arc::clone(clock);
    Arc::new(move || DateTime::from_timestamp_micros(clock.load(Ordering::SeqCst)).unwrap())
}
