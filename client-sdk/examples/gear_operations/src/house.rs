//! The server of the story, the people in it, and its clock.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Failed;

/// How long the server may take to start.
const START: Duration = Duration::from_secs(60);
/// Settings for other servers, which have no say here.
const FOREIGN: [&str; 9] = [
    "SWITCHOVER_CONFIG",
    "SWITCHOVER_DATABASE_URL",
    "SWITCHOVER_LISTEN",
    "SWITCHOVER_MANIFEST_KEY",
    "SWITCHOVER_SIGNING_KEY",
    "SWITCHOVER_TOKEN",
    "SWITCHOVER_URL",
    "SWITCHOVER_SDK_KEY",
    "RUST_LOG",
];

/// A server on a temporary directory, gone with it when this is dropped.
pub(crate) struct House {
    program: PathBuf,
    directory: PathBuf,
    server: Child,
    url: String,
    began: Instant,
    /// How far its clock is ahead of this machine's.
    ahead: Duration,
}

impl House {
    /// Starts the server of this program, with its data below a directory.
    ///
    /// # Errors
    /// When it does not start; the text says what it complained of.
    pub(crate) fn open(program: &Path, directory: &Path) -> Result<House, Failed> {
        let clock = directory.join("clock");
        fs::write(&clock, "0\n")?;
        let log = directory.join("server.log");
        let mut command = command(program, directory);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--clock-file"])
            .arg(&clock)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?);
        let mut server = command.spawn().map_err(|error| {
            Failed(format!(
                "{} cannot be started: {error}. Build it with `cargo build -p switchover-server \
                 --features test-clock`, or say where it is with --switchover",
                program.display()
            ))
        })?;
        let url = page(&mut server);
        let mut house = House {
            program: program.to_owned(),
            directory: directory.to_owned(),
            server,
            url: url.unwrap_or_default(),
            began: Instant::now(),
            ahead: Duration::ZERO,
        };
        if house.url.is_empty() {
            let _ = house.server.kill();
            let log = fs::read_to_string(log).unwrap_or_default();
            return Err(Failed(format!(
                "the server does not start. It must be built with its feature test-clock, so that \
                 days pass in seconds. It says:\n{log}"
            )));
        }
        Ok(house)
    }

    /// Where it is.
    #[must_use]
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Makes a token for somebody.
    ///
    /// # Errors
    /// When the program says no.
    pub(crate) fn introduce(&self, who: &str, role: &str) -> Result<(), Failed> {
        let subject = format!("{who}@example.com");
        let arguments = ["token", "create", "--role", role, "--subject", &subject];
        let token = output(command(&self.program, &self.directory).args(arguments))?;
        Ok(fs::write(self.token(who), token)?)
    }

    /// What a command answers that somebody gives.
    ///
    /// # Errors
    /// When it ends with another status than 0; the text is what it says then.
    pub(crate) fn ask(&self, who: &str, arguments: &[&str]) -> Result<String, Failed> {
        let token = fs::read_to_string(self.token(who))?;
        let mut command = command(&self.program, &self.directory);
        output(
            command
                .args(arguments)
                .env("SWITCHOVER_URL", &self.url)
                .env("SWITCHOVER_TOKEN", token.trim()),
        )
    }

    /// The same for a program.
    ///
    /// # Errors
    /// As [`House::ask`], and when the answer is no JSON.
    pub(crate) fn look(&self, arguments: &[&str]) -> Result<Value, Failed> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let said = self.ask("ann", &arguments)?;
        serde_json::from_str(&said).map_err(|error| Failed(format!("no JSON: {error}: {said}")))
    }

    /// Moves the server's clock.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub(crate) fn pass(&mut self, time: Duration) -> Result<(), Failed> {
        self.ahead = self.ahead.saturating_add(time);
        // In one piece: the server may look at any moment.
        let next = self.directory.join("clock.new");
        fs::write(&next, format!("{}\n", self.ahead.as_secs()))?;
        Ok(fs::rename(next, self.directory.join("clock"))?)
    }

    /// How long it has run, and how long it believes to have.
    #[must_use]
    pub(crate) fn times(&self) -> [Duration; 2] {
        let real = self.began.elapsed();
        [real, real.saturating_add(self.ahead)]
    }

    /// What it complained of.
    #[must_use]
    pub(crate) fn complaints(&self) -> String {
        let log = fs::read_to_string(self.directory.join("server.log")).unwrap_or_default();
        let is_one = |line: &&str| line.contains("WARN") || line.contains("ERROR");
        let lines: Vec<&str> = log.lines().filter(is_one).collect();
        let first = lines.len().saturating_sub(10);
        lines.get(first..).unwrap_or_default().join("\n")
    }

    fn token(&self, who: &str) -> PathBuf {
        self.directory.join(format!("{who}.token"))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn command(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    for name in FOREIGN {
        command.env_remove(name);
    }
    command
        .env("SWITCHOVER_DATA_DIR", directory.join("data"))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> Result<String, Failed> {
    let done = command.output()?;
    let said = String::from_utf8_lossy(&done.stdout).trim_end().to_owned();
    match done.status.success() {
        true => Ok(said),
        false => {
            let error = String::from_utf8_lossy(&done.stderr);
            Err(Failed(format!("{said}{error}").trim_end().to_owned()))
        }
    }
}

/// The address that the server says it is at, once it is ready. What it says after that is not read, so
/// its output is kept open by nobody: it has no more to say.
fn page(server: &mut Child) -> Option<String> {
    let mut lines = BufReader::new(server.stdout.take()?).lines();
    let until = Instant::now() + START;
    let mut url = None;
    while let Some(Ok(line)) = lines.next() {
        if let Some(page) = line.strip_prefix("page") {
            url = Some(page.trim().trim_end_matches('/').to_owned());
        }
        if line.starts_with("ready") || Instant::now() > until {
            break;
        }
    }
    url
}
