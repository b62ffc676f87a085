//! One PostgreSQL cluster for the whole test process, which goes when the process goes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};

const MISSING: &str = "these tests need PostgreSQL's server programs (initdb, pg_ctl), on the PATH \
                       or below /usr/lib/postgresql: apt-get install postgresql";

struct Cluster {
    socket: PathBuf,
    /// Reads a pipe that only this process holds: when it ends, in whatever way, the cluster is
    /// stopped and its directory removed.
    _guard: Child,
}

/// The address of a new, empty database.
pub(super) fn new_database() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let cluster = CLUSTER.get_or_init(start);
    let name = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
    PgConnection::establish(&url(&cluster.socket, "postgres"))
        .expect("the test cluster answers")
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .unwrap();
    url(&cluster.socket, &name)
}

/// The address of the cluster's own database, to do things to another from.
pub(super) fn administration(url: &str) -> String {
    let (server, socket) = url.split_once('?').unwrap();
    let (server, _) = server.rsplit_once('/').unwrap();
    format!("{server}/postgres?{socket}")
}

fn url(socket: &Path, database: &str) -> String {
    format!(
        "postgres://postgres@localhost/{database}?host={}",
        socket.display()
    )
}

fn start() -> Cluster {
    let programs = find_programs();
    let directory = tempfile::Builder::new()
        .prefix("switchover-pg-")
        .tempdir()
        .unwrap()
        .keep();
    // PostgreSQL does not run as root.
    let root = output(Command::new("id").arg("-u")).trim() == "0";
    if root {
        output(Command::new("chown").arg("postgres").arg(&directory));
    }
    let guard = guard(&programs, &directory, root);
    let as_owner = |program: &str| {
        let program = programs.join(program);
        let mut command = if root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // The owner may not be allowed to enter the directory that the tests were started in.
        command.current_dir("/");
        command
    };
    let data = directory.join("data");
    output(
        as_owner("initdb")
            .args(["-A", "trust", "-U", "postgres", "--no-sync"])
            .args(["--locale=C", "-E", "UTF8", "-D"])
            .arg(&data),
    );
    let settings = format!(
        "-k {} -c listen_addresses='' -c max_connections=300 -c fsync=off \
         -c synchronous_commit=off -c full_page_writes=off",
        directory.display()
    );
    let log = directory.join("log");
    let started = as_owner("pg_ctl")
        .args(["-w", "-o", &settings, "-D"])
        .arg(&data)
        .arg("-l")
        .arg(&log)
        .arg("start")
        .stdin(Stdio::null())
        // The server inherits them, and a pipe would stay open as long as it runs.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let why = || std::fs::read_to_string(&log).unwrap_or_default();
    assert!(started.success(), "PostgreSQL does not start: {}", why());
    Cluster {
        socket: directory,
        _guard: guard,
    }
}

fn find_programs() -> PathBuf {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    let mut packaged: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    packaged.sort();
    places.extend(packaged.into_iter().rev());
    places
        .into_iter()
        .find(|place| place.join("initdb").exists() && place.join("pg_ctl").exists())
        .expect(MISSING)
}

fn guard(programs: &Path, directory: &Path, root: bool) -> Child {
    let as_owner = if root { "runuser -u postgres --" } else { "" };
    let script = format!(
        "trap '' INT TERM HUP; cat >/dev/null; cd /; \
         {as_owner} '{0}/pg_ctl' -D '{1}/data' -m immediate stop; rm -rf '{1}'",
        programs.display(),
        directory.display()
    );
    Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}");
    });
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
