//! The program itself, on a data directory of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::app::Who;

/// A data directory, and the server on it while there is one.
pub(crate) struct Place {
    data: TempDir,
    server: Option<(Child, String)>,
    elsewhere: Option<(String, Who)>,
}

/// What a command left behind.
pub(crate) struct Done {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place {
            data: TempDir::new().unwrap(),
            server: None,
            elsewhere: None,
        }
    }

    /// Where commands talk to a server at an address, as somebody.
    pub(crate) fn with_server_at(address: &str, who: Who) -> Place {
        let mut place = Place::new();
        place.elsewhere = Some((format!("http://{address}"), who));
        place
    }

    pub(crate) fn serving() -> Place {
        let mut place = Place::new();
        place.start();
        place
    }

    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    pub(crate) fn start_with(&mut self, more: &[&str]) {
        let mut child = program(self.data.path())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut url = None;
        for line in lines {
            let line = line.unwrap();
            if let Some(page) = line.strip_prefix("page ") {
                url = Some(page.trim().trim_end_matches('/').to_owned());
            }
            if line == "ready" {
                break;
            }
        }
        self.server = Some((child, url.expect("the server says where it is")));
    }

    pub(crate) fn stop(&mut self) {
        if let Some((mut child, _)) = self.server.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // Nobody listens on port 1.
        let url = match &self.server {
            Some((_, url)) => url.as_str(),
            None => "http://127.0.0.1:1",
        };
        let mut command = program(self.data.path());
        command.args(arguments).env("SWITCHOVER_URL", url);
        if let Some((url, who)) = &self.elsewhere {
            command.env("SWITCHOVER_URL", url);
            command.env("SWITCHOVER_TOKEN", who.token());
        }
        command
    }

    /// A command that goes on by itself, and says more and more.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        let output = self.command(arguments).output().unwrap();
        Done {
            status: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn well(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.status, 0, "{arguments:?}: {}", done.err);
        done.out
    }

    /// Where its server listens.
    pub(crate) fn address(&self) -> String {
        let (_, url) = self.server.as_ref().unwrap();
        url.split_once("://").unwrap().1.to_owned()
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.data.path().join(name).display().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The program, with nothing of this machine's settings.
pub(crate) fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchover"));
    command
        .stdin(Stdio::null())
        .env_remove("SWITCHOVER_CONFIG")
        .env_remove("SWITCHOVER_DATABASE_URL")
        .env_remove("SWITCHOVER_CA_FILE")
        .env_remove("SWITCHOVER_LISTEN")
        .env_remove("SWITCHOVER_PATH_PREFIX")
        .env_remove("SWITCHOVER_TLS_CERT")
        .env_remove("SWITCHOVER_TLS_KEY")
        .env_remove("SWITCHOVER_TRUSTED_PROXIES")
        .env_remove("SWITCHOVER_MANIFEST_KEY")
        .env_remove("SWITCHOVER_SIGNING_KEY")
        .env_remove("SWITCHOVER_TOKEN")
        .env("USER", "tester")
        .env("SWITCHOVER_DATA_DIR", data);
    command
}
