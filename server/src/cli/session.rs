//! A command's conversation with the server: as whom, and how the answers are shown.

use std::io::{self, Write as _};

use chrono::{Duration, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::api::{Api, Change, Reply, is_on_this_machine, roots};
use crate::cli::error::CliError;
use crate::cli::output::{Screen, say};
use crate::cli::problem::Problem;
use crate::cli::wire::{Environment, Page};
use crate::config::{self, ClientArgs, Config, FileArgs};
use crate::domain::actor::{Actor, Role};

/// How long a token lives that a command signs for itself.
const OWN_TOKEN_MINUTES: i64 = 5;

/// After so long, a command that goes on opens its session anew: a token that it signs for itself ends.
pub(crate) const SESSION_AGE: std::time::Duration = std::time::Duration::from_secs(60);

/// Where a token may be left for commands.
const TOKEN: &str = "SWITCHOVER_TOKEN";

/// A server, and a screen for its answers.
pub(crate) struct Session {
    api: Api,
    screen: Screen,
    json: bool,
    /// Without the token in the environment, commands would sign for themselves.
    could_sign: bool,
}

impl Session {
    pub(crate) fn open(file: &FileArgs, args: &ClientArgs) -> Result<Session, CliError> {
        let config = Config::for_client(file, args)?;
        let token = match &config.token {
            Some(token) => token.clone(),
            None => own_token(&config)?.ok_or_else(|| no_token(&config))?,
        };
        let is_from_environment = config::variable(TOKEN).as_ref() == Some(&token);
        Ok(Session {
            could_sign: is_from_environment
                && config.has_token_keys()
                && is_on_this_machine(&config.url),
            ..Session::with_token(&config, args.json, &token)?
        })
    }

    pub(crate) fn with_token(
        config: &Config,
        json: bool,
        token: &str,
    ) -> Result<Session, CliError> {
        Ok(Session {
            api: Api::new(&config.url, token, roots(config)?),
            screen: Screen::new(config.no_color),
            json,
            could_sign: false,
        })
    }

    pub(crate) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Reply, CliError> {
        self.checked(self.api.get(path, query))
    }

    /// An answer of which a refusal is not printed, because the command goes on.
    pub(crate) fn ask(&self, path: &str, query: &[(&str, String)]) -> Result<Reply, CliError> {
        self.api.get(path, query)
    }

    /// An answer that is read as it arrives.
    pub(crate) fn stream(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<impl io::Read + use<>, CliError> {
        self.checked(self.api.stream(path, query))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Reply, CliError> {
        self.checked(self.api.post(path, body.to_string()))
    }

    /// Posts JSON as it is.
    pub(crate) fn post_text(&self, path: &str, body: String) -> Result<Reply, CliError> {
        self.checked(self.api.post(path, body))
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Reply, CliError> {
        self.checked(self.api.put(path, body.to_string()))
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Result<Reply, CliError> {
        self.checked(self.api.patch(path, body.to_string()))
    }

    /// Puts Markdown as it is.
    pub(crate) fn put_markdown(
        &self,
        path: &str,
        query: &[(&str, String)],
        text: String,
    ) -> Result<Reply, CliError> {
        self.checked(self.api.put_markdown(path, query, text))
    }

    pub(crate) fn delete(&self, path: &str, query: &[(&str, String)]) -> Result<Reply, CliError> {
        self.checked(self.api.delete(path, query))
    }

    /// Sends a change with its conditions. A refusal is not printed, because the command goes on.
    pub(crate) fn change(&self, change: &Change) -> Result<Reply, CliError> {
        self.api.change(change)
    }

    /// All of a list, or its first `limit` items, as one page.
    pub(crate) fn list(
        &self,
        path: &str,
        query: &[(&str, String)],
        limit: Option<usize>,
    ) -> Result<Reply, CliError> {
        self.checked(self.api.list(path, query, limit))
    }

    /// Whether the answers are for programs.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Shows an answer: as it came, or as text for people.
    pub(crate) fn show<T: DeserializeOwned>(
        &self,
        reply: &Reply,
        for_people: impl FnOnce(&Screen, T) -> String,
    ) -> Result<(), CliError> {
        if self.json {
            say(reply.text())
        } else {
            say(for_people(&self.screen, reply.read()?))
        }
    }

    /// Where answers for people are shown.
    pub(crate) fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Programs that want JSON get refusals as JSON too.
    fn checked<T>(&self, answered: Result<T, CliError>) -> Result<T, CliError> {
        let mut problem = match answered {
            Err(CliError::Refused(problem)) => problem,
            other => return other,
        };
        if self.json {
            say(&problem.raw)?;
        }
        problem.hint = self.next_step(&problem);
        Err(CliError::Refused(problem))
    }

    /// What helps after a refusal, where this program knows more than the server.
    fn next_step(&self, problem: &Problem) -> Option<String> {
        if problem.is_missing("route") {
            return Some("see what there is: switchover route list".to_owned());
        }
        if problem.is_missing("plan") {
            return Some("give it one: switchover plan put ROUTE FILE --reason …".to_owned());
        }
        for (what, listed_by) in [
            ("policy", "policy list"),
            ("freeze", "freeze list --past"),
            ("cohort", "cohort list"),
        ] {
            if problem.is_missing(what) {
                return Some(format!("see what there is: switchover {listed_by}"));
            }
        }
        if problem.is_missing("environment") {
            return Some(self.environments());
        }
        (self.could_sign && problem.is_expired()).then(|| {
            "or unset SWITCHOVER_TOKEN: on the server's own machine commands sign for themselves"
                .to_owned()
        })
    }

    /// The environments that there are, or how to see them.
    fn environments(&self) -> String {
        let listed = self.api.get("/environments", &[]);
        match listed.and_then(|reply| reply.read::<Page<Environment>>()) {
            Ok(page) => {
                let keys: Vec<String> = page.items.into_iter().map(|each| each.key).collect();
                format!("there are: {}", keys.join(", "))
            }
            Err(_) => "see what there is: switchover environment list".to_owned(),
        }
    }
}

/// The actor that a command is when it signs its own token.
pub(crate) fn local_admin(config: &Config) -> Actor {
    Actor {
        subject: format!("local:{}", config.user),
        role: Role::Admin,
    }
}

/// A token signed with the key at hand; `None` when there is no key, or when the server is not on
/// this machine: an admin's token is not sent to a stranger.
pub(crate) fn own_token(config: &Config) -> Result<Option<String>, CliError> {
    if !config.has_token_keys() || !is_on_this_machine(&config.url) {
        return Ok(None);
    }
    let life = Duration::minutes(OWN_TOKEN_MINUTES);
    let token = config
        .token_keys()?
        .sign(&local_admin(config), Utc::now(), life)?;
    Ok(Some(token))
}

/// Says something that is no answer, to standard error.
pub(crate) fn note(line: &str) {
    // Standard error may be closed; nothing depends on what is said there.
    let _ = writeln!(io::stderr(), "{line}");
}

/// There is no way to say who this is.
pub(crate) fn no_token(config: &Config) -> CliError {
    let (url, data_dir) = (&config.url, config.data_dir.display());
    let why = if is_on_this_machine(url) {
        format!("and there is no signing key in {data_dir} to make one with (--data-dir)")
    } else {
        format!("and {url} is not on this machine, so none is made for it")
    };
    CliError::new(format!(
        "no token is given, {why}\n  pass one with --token or SWITCHOVER_TOKEN (make one where the \
         server runs, with `switchover token create`)"
    ))
}
