//! `webhook`: who is told of what is put on record.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::api::{Reply, encode};
use crate::cli::args::ReasonArgs;
use crate::cli::error::CliError;
use crate::cli::output::{Field, moment, one_line, say};
use crate::cli::session::{Session, note};
use crate::cli::wire::{Delivery, Page, Webhook};
use crate::config::{ClientArgs, FileArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Make a webhook and print its secret, alone, on standard output: the only time that it is shown
    Add(AddArgs),
    /// List webhooks
    List(ListArgs),
    /// What a webhook hears of, and how it fares
    Show(OneArgs),
    /// Change a webhook; what is not given stays
    Change(ChangeArgs),
    /// Make a new secret and print it, alone, on standard output
    Rotate(RotateArgs),
    /// Send a test message
    Test(OneArgs),
    /// What a webhook was sent, and what came of it
    Deliveries(DeliveriesArgs),
    /// Send a message again
    Redeliver(RedeliverArgs),
    /// Delete a webhook, with the log of what it was sent
    Remove(RemoveArgs),
}

/// What a webhook hears of.
#[derive(Args, Debug)]
pub(crate) struct FilterArgs {
    /// Kinds of events (release) or single ones (rollout.halted); all when left out
    #[arg(long = "event", value_name = "EVENT")]
    events: Vec<String>,
    /// Only what happens in these environments
    #[arg(long = "environment", value_name = "ENV")]
    environments: Vec<String>,
    /// Only what happens to routes of these owners
    #[arg(long = "owner", value_name = "OWNER")]
    owners: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// What it is for
    name: String,
    /// Where messages are posted to: https, and a public address unless the operator allows others
    receiver: String,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct OneArgs {
    /// Its id; `switchover webhook list` shows it
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ChangeArgs {
    /// Its id; `switchover webhook list` shows it
    id: String,
    /// What it is for
    #[arg(long)]
    name: Option<String>,
    /// Where messages are posted to
    #[arg(long)]
    receiver: Option<String>,
    #[command(flatten)]
    filters: FilterArgs,
    /// Hear of everything, whatever it asked for before
    #[arg(long, conflicts_with_all = ["events", "environments", "owners"])]
    everything: bool,
    /// Send it messages again, from now on
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Send it nothing more
    #[arg(long)]
    disable: bool,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// Its id; `switchover webhook list` shows it
    id: String,
    /// For so many hours messages are signed with the secret before, too
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    overlap: u32,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeliveriesArgs {
    /// Its id; `switchover webhook list` shows it
    id: String,
    /// Only those that are pending, delivered, failed or given_up
    #[arg(long)]
    state: Option<String>,
    /// The latest so many
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RedeliverArgs {
    /// The webhook's id
    id: String,
    /// The message's id; `switchover webhook deliveries` shows it
    delivery: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// Its id; `switchover webhook list` shows it
    id: String,
    #[command(flatten)]
    reason: ReasonArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(file: &FileArgs, command: &WebhookCommand) -> Result<(), CliError> {
    match command {
        WebhookCommand::Add(args) => add(file, args),
        WebhookCommand::List(args) => list(file, args),
        WebhookCommand::Show(args) => show(file, args),
        WebhookCommand::Change(args) => change(file, args),
        WebhookCommand::Rotate(args) => rotate(file, args),
        WebhookCommand::Test(args) => test(file, args),
        WebhookCommand::Deliveries(args) => deliveries(file, args),
        WebhookCommand::Redeliver(args) => redeliver(file, args),
        WebhookCommand::Remove(args) => remove(file, args),
    }
}

fn add(file: &FileArgs, args: &AddArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.post(
        "/webhooks",
        &json!({
            "name": args.name,
            "url": args.receiver,
            "events": args.filters.events,
            "environments": args.filters.environments,
            "owners": args.filters.owners,
            "reason": args.reason.reason,
        }),
    )?;
    show_secret(&session, &reply, |webhook| {
        format!(
            "webhook {} hears {}\n  its secret is shown this once; to try it out: switchover webhook test {}",
            webhook.id,
            heard(webhook),
            webhook.id
        )
    })
}

fn rotate(file: &FileArgs, args: &RotateArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let body = json!({ "overlap_hours": args.overlap, "reason": args.reason.reason });
    let reply = session.post(&path(&args.id, "/rotate"), &body)?;
    show_secret(&session, &reply, |webhook| {
        format!(
            "webhook {} has a new secret, shown this once; for {} h messages are signed with the one \
             before, too",
            webhook.id, args.overlap
        )
    })
}

/// The secret alone, so that it can be put into a file; what there is to know goes to standard error.
fn show_secret(
    session: &Session,
    reply: &Reply,
    told: impl FnOnce(&Webhook) -> String,
) -> Result<(), CliError> {
    if session.is_json() {
        return say(reply.text());
    }
    let webhook: Webhook = serde_json::from_str(reply.text())
        .map_err(|error| CliError::new(format!("the answer cannot be understood: {error}")))?;
    note(&told(&webhook));
    say(webhook.secret.unwrap_or_default())
}

fn list(file: &FileArgs, args: &ListArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.get("/webhooks", &[])?;
    session.show(&reply, |_, page: Page<Webhook>| {
        let lines: Vec<String> = page.items.iter().map(listed).collect();
        if lines.is_empty() {
            "there are no webhooks; to make one: switchover webhook add NAME URL --reason …"
                .to_owned()
        } else {
            lines.join("\n\n")
        }
    })
}

/// Not a row of a table: its id must be copied from a narrow terminal.
fn listed(webhook: &Webhook) -> String {
    format!(
        "{}  {}\n  {}: {}\n  hears {}",
        webhook.id,
        state(webhook),
        one_line(&webhook.name),
        one_line(&webhook.url),
        heard(webhook)
    )
}

fn state(webhook: &Webhook) -> String {
    match webhook.failing_since {
        Some(since) if webhook.state == "active" => {
            format!("failing since {}", moment(since))
        }
        _ => webhook.state.replace('_', " "),
    }
}

fn heard(webhook: &Webhook) -> String {
    let of = |names: &[String], word: &str| {
        let names: Vec<String> = names.iter().map(|name| one_line(name)).collect();
        (!names.is_empty()).then(|| format!("{word}{}", names.join(", ")))
    };
    let parts = [
        of(&webhook.events, "").or_else(|| Some("everything".to_owned())),
        of(&webhook.environments, "in "),
        of(&webhook.owners, "on routes of "),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(" ")
}

fn show(file: &FileArgs, args: &OneArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.get(&path(&args.id, ""), &[])?;
    session.show(&reply, |_, webhook: Webhook| {
        let mut lines = vec![listed(&webhook)];
        if let Some(why) = &webhook.why {
            lines.push(format!("  {}", one_line(why)));
        }
        lines.push(webhook.delivered_at.map_or_else(
            || "  nothing has arrived yet".to_owned(),
            |at| format!("  the last message arrived {}", moment(at)),
        ));
        lines.push(format!(
            "  made {} by {}",
            moment(webhook.created_at),
            one_line(&webhook.created_by)
        ));
        lines.join("\n")
    })
}

fn change(file: &FileArgs, args: &ChangeArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let mut body = json!({ "reason": args.reason.reason });
    let mut set = |name: &str, value: Option<Value>| {
        if let (Value::Object(fields), Some(value)) = (&mut body, value) {
            fields.insert(name.to_owned(), value);
        }
    };
    let named = |names: &[String]| (args.everything || !names.is_empty()).then(|| json!(names));
    set("name", args.name.as_ref().map(|name| json!(name)));
    set("url", args.receiver.as_ref().map(|url| json!(url)));
    set("events", named(&args.filters.events));
    set("environments", named(&args.filters.environments));
    set("owners", named(&args.filters.owners));
    let enabled = (args.enable || args.disable).then(|| json!(args.enable));
    set("enabled", enabled);
    let reply = session.patch(&path(&args.id, ""), &body)?;
    session.show(&reply, |_, webhook: Webhook| listed(&webhook))
}

fn test(file: &FileArgs, args: &OneArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let reply = session.post(&path(&args.id, "/test"), &json!({}))?;
    session.show(&reply, |_, _: Delivery| {
        format!(
            "a test message is on its way; what came of it: switchover webhook deliveries {}",
            args.id
        )
    })
}

fn deliveries(file: &FileArgs, args: &DeliveriesArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let state = args.state.clone().map(|state| ("state", state));
    let query: Vec<(&str, String)> = state.into_iter().collect();
    let reply = session.list(&path(&args.id, "/deliveries"), &query, Some(args.limit))?;
    session.show(&reply, |screen, page: Page<Delivery>| {
        let header = ["id", "event", "where", "happened", "state", "last attempt"];
        screen.table(&header, page.items.iter().map(row).collect())
    })
}

fn row(delivery: &Delivery) -> Vec<Field> {
    let place = [&delivery.route, &delivery.environment];
    let place: Vec<&str> = place.into_iter().flatten().map(String::as_str).collect();
    let state = match (delivery.state.as_str(), delivery.due_at) {
        ("delivered", _) => Field::good("delivered"),
        ("failed", Some(due)) => Field::bad(format!("failed, again {}", moment(due))),
        ("pending", _) => Field::faint("pending"),
        (other, _) => Field::bad(other.replace('_', " ")),
    };
    vec![
        delivery.id.clone().into(),
        delivery.r#type.clone().into(),
        place.join(" in ").into(),
        moment(delivery.at).into(),
        state,
        attempted(delivery).into(),
    ]
}

fn attempted(delivery: &Delivery) -> String {
    let Some(last) = delivery.attempts.last() else {
        return String::new();
    };
    let said = match (last.status, &last.error) {
        (Some(status), None) => status.to_string(),
        (Some(status), Some(_)) if !last.answer.is_empty() => {
            let answer: String = last.answer.chars().take(60).collect();
            format!("{status}: {}", one_line(&answer))
        }
        (Some(status), Some(error)) => format!("{status}: {}", one_line(error)),
        (None, error) => one_line(error.as_deref().unwrap_or_default()),
    };
    format!("{said} ({} ms)", last.took_ms)
}

fn redeliver(file: &FileArgs, args: &RedeliverArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let below = format!("/deliveries/{}/redeliver", encode(&args.delivery));
    let reply = session.post(&path(&args.id, &below), &json!({}))?;
    session.show(&reply, |_, delivery: Delivery| {
        format!("{} is on its way again", delivery.r#type)
    })
}

fn remove(file: &FileArgs, args: &RemoveArgs) -> Result<(), CliError> {
    let session = Session::open(file, &args.client)?;
    let query = [("reason", args.reason.reason.clone())];
    session.delete(&path(&args.id, ""), &query)?;
    if session.is_json() {
        return Ok(());
    }
    say(format!("webhook {} is deleted", args.id))
}

fn path(id: &str, below: &str) -> String {
    format!("/webhooks/{}{below}", encode(id))
}
