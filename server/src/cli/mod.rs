//! The command line: one command, one file. Commands that talk to a server are plain users of the
//! REST interface.

mod acceptance;
mod alerts;
mod api;
mod apply;
mod approve;
mod args;
mod audit;
mod backfill;
mod backlog;
mod backup;
mod census;
mod cohort;
mod cohorts;
mod completions;
mod consistency;
mod dashboard;
mod declared;
mod demo;
mod demote;
mod diff;
mod env_file;
mod environment;
mod error;
mod evidence;
mod explain;
mod export;
mod external;
mod files;
mod flip;
mod forecast;
mod freeze;
mod gates;
mod guards;
mod halt;
mod history;
mod import;
mod instances;
mod manifests;
mod migrate;
mod mirror;
mod openapi;
mod output;
mod pairs;
mod plan;
mod policy;
mod prepare;
mod problem;
mod promote;
mod ramp;
mod ramp_group;
mod refs;
mod release;
mod repairs;
mod report;
mod restore;
mod resume;
mod rollout;
mod route;
mod runbook;
mod schedule;
mod sdk_key;
mod selection;
mod serve;
mod session;
mod setting;
mod status;
mod telemetry;
mod token;
mod ttl;
mod watch;
mod webhook;
mod wire;
mod writers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{FileArgs, ServeArgs};

/// Moves traffic from an old implementation to a new one, one route at a time.
#[derive(Debug, Parser)]
#[command(name = "switchover", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    file: FileArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(ServeArgs),
    /// A whole migration in seconds, on a server of its own
    Demo(demo::DemoArgs),
    /// Every route in every environment: stage, share of the new path, halts
    Status(status::StatusArgs),
    /// Add, import, list, show and retire routes
    #[command(subcommand)]
    Route(route::RouteCommand),
    /// The routes that are not ready, by priority
    Backlog(backlog::BacklogArgs),
    /// Take the preparation of a route a step further
    Prepare(prepare::PrepareArgs),
    /// Keep, show and remove the runbook of a route
    #[command(subcommand)]
    Runbook(runbook::RunbookCommand),
    /// State and confirm what promotions wait for outside
    #[command(subcommand)]
    External(external::ExternalCommand),
    /// Take a route one stage forward
    Promote(promote::PromoteArgs),
    /// Take a route any number of stages back
    Demote(demote::DemoteArgs),
    /// The kill switch: everything takes the old path until resumed
    Halt(halt::HaltArgs),
    /// Undo a halt
    Resume(resume::ResumeArgs),
    /// Set off, on or a ramp on top of the stage
    Setting(setting::SettingArgs),
    /// Raise exposure step by step, each held for a while
    Ramp(ramp::RampArgs),
    /// Set what also runs on the other path: shadow reads and dual writes
    Mirror(mirror::MirrorArgs),
    /// Name the keys that are treated apart from the ramp
    Cohorts(cohorts::CohortsArgs),
    /// Make, show, edit and delete cohorts: keys with a name, which several rollouts use
    #[command(subcommand)]
    Cohort(cohort::CohortCommand),
    /// State what the keys of ramp groups are
    #[command(subcommand)]
    RampGroup(ramp_group::RampGroupCommand),
    /// Open or close an acceptance window
    Acceptance(acceptance::AcceptanceArgs),
    /// What a promotion needs, gate by gate
    Gates(gates::GatesArgs),
    /// What the limits on errors, latency and mismatches say of a rollout now
    Guards(guards::GuardsArgs),
    /// Write alerting rules for Prometheus
    Alerts(alerts::AlertsArgs),
    /// Write a row of a Grafana dashboard, or a dashboard
    Dashboard(dashboard::DashboardArgs),
    /// Approve the promotion of a route as it is now
    Approve(approve::ApproveArgs),
    /// Freeze the stages of on-prem environments into releases, publish them, hand out manifests
    #[command(subcommand)]
    Release(release::ReleaseCommand),
    /// What an upgrade changes for an installation: needs no server
    ///
    /// Exit status 0: every override goes on working; 1: one stops; 2: something cannot be read, or is
    /// not believed.
    Forecast(forecast::ForecastArgs),
    /// Write down which overrides are in force at a site, and bring that to the server
    Census(census::CensusArgs),
    /// Give, show, tick and bind the plan of a route
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    /// What callers report of a route, both paths side by side
    Telemetry(telemetry::TelemetryArgs),
    /// Who runs an older revision, has an override, or lacks the code
    Instances(instances::InstancesArgs),
    /// The processes that write a data route, and who of them is gone
    #[command(subcommand)]
    Writers(writers::WritersCommand),
    /// How far the backfill of a route is; pause, resume and reset it
    #[command(subcommand)]
    Backfill(backfill::BackfillCommand),
    /// Have the rows of two stores compared
    #[command(subcommand)]
    Consistency(consistency::ConsistencyCommand),
    /// Keys whose two rows may differ: list them, have them tried again, take them for settled
    #[command(subcommand)]
    Repairs(repairs::RepairsCommand),
    /// Put what was seen in a test on record
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// For a while, nothing raises exposure
    #[command(subcommand)]
    Freeze(freeze::FreezeCommand),
    /// Which gates a promotion needs
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Why a caller gets what it gets
    Explain(explain::ExplainArgs),
    /// Follow a rollout as it happens
    ///
    /// Exit status with --until: 0: the ramp is finished, or the stage is reached; 3: it is halted.
    Watch(watch::WatchArgs),
    /// What happened to a route
    History(history::HistoryArgs),
    /// The whole migration of a route, as Markdown
    Report(report::ReportArgs),
    /// Where the code asks for routes: uses that are due to go, unknown names, routes that nothing uses
    ///
    /// Exit status 0: nothing that --fail-on names; 1: something; 2: not everything could be read, or
    /// there is no answer.
    Refs(refs::RefsArgs),
    /// Who changed what, when and why
    Audit(audit::AuditArgs),
    /// Write all that can be declared into one file
    ///
    /// Policies, cohorts, ramp groups, environments, routes, and what is wanted of each rollout: the
    /// same state gives the same bytes.
    Export(export::ExportArgs),
    /// Show what a file would change
    ///
    /// Exit status 0: nothing; 1: something; 2: it cannot be said.
    Diff(diff::DiffArgs),
    /// Bring about what a file says, through the same gates as everybody
    ///
    /// Exit status 0: everything is as the file says; 1: something was refused, held back or changed in
    /// between; 2: nothing could be tried, or not all.
    Apply(apply::ApplyArgs),
    /// Read flags of LaunchDarkly, Unleash or GitLab as routes, and say what cannot be carried
    ///
    /// Changes nothing without --apply.
    Import(import::ImportArgs),
    /// List and add environments
    #[command(subcommand)]
    Environment(environment::EnvironmentCommand),
    /// Tell chat rooms and pipelines what is put on record
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Make, list and revoke the keys of SDKs
    #[command(subcommand)]
    SdkKey(sdk_key::SdkKeyCommand),
    /// Make tokens for people and CI, and revoke them
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Bring the database up to this version
    Migrate(migrate::MigrateArgs),
    /// Copy a SQLite database, in use or not, into a new file
    Backup(backup::BackupArgs),
    /// Put a backup in the place of the database, or begin a new epoch after doing that by hand
    Restore(restore::RestoreArgs),
    /// Print the description of the REST interface (OpenAPI)
    Openapi(openapi::OpenapiArgs),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
}

/// Does what the arguments say; gives the exit status.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let file = &cli.file;
    let done = match cli.command {
        Command::Serve(args) => serve::run(file, &args),
        Command::Demo(args) => demo::run(&args),
        Command::Status(args) => status::run(file, &args),
        Command::Route(command) => route::run(file, command),
        Command::Backlog(args) => backlog::run(file, &args),
        Command::Prepare(args) => prepare::run(file, &args),
        Command::Runbook(command) => runbook::run(file, command),
        Command::External(command) => external::run(file, command),
        Command::Promote(args) => promote::run(file, &args),
        Command::Demote(args) => demote::run(file, &args),
        Command::Halt(args) => halt::run(file, &args),
        Command::Resume(args) => resume::run(file, &args),
        Command::Setting(args) => setting::run(file, &args),
        Command::Ramp(args) => ramp::run(file, args),
        Command::Mirror(args) => mirror::run(file, &args),
        Command::Cohorts(args) => cohorts::run(file, &args),
        Command::Cohort(command) => cohort::run(file, &command),
        Command::RampGroup(command) => ramp_group::run(file, &command),
        Command::Acceptance(args) => acceptance::run(file, &args),
        Command::Gates(args) => gates::run(file, &args),
        Command::Guards(args) => guards::run(file, &args),
        Command::Alerts(args) => alerts::run(file, &args),
        Command::Dashboard(args) => dashboard::run(file, &args),
        Command::Approve(args) => approve::run(file, &args),
        Command::Release(command) => release::run(file, &command),
        Command::Forecast(args) => forecast::run(&args),
        Command::Census(args) => census::run(file, &args),
        Command::Plan(command) => plan::run(file, command),
        Command::Telemetry(args) => telemetry::run(file, &args),
        Command::Instances(args) => instances::run(file, &args),
        Command::Writers(command) => writers::run(file, &command),
        Command::Backfill(command) => backfill::run(file, &command),
        Command::Consistency(command) => consistency::run(file, &command),
        Command::Repairs(command) => repairs::run(file, &command),
        Command::Evidence(command) => evidence::run(file, &command),
        Command::Freeze(command) => freeze::run(file, &command),
        Command::Policy(command) => policy::run(file, &command),
        Command::Explain(args) => explain::run(file, &args),
        Command::Watch(args) => watch::run(file, &args),
        Command::History(args) => history::run(file, &args),
        Command::Report(args) => report::run(file, &args),
        Command::Refs(args) => refs::run(file, &args),
        Command::Audit(args) => audit::run(file, &args),
        Command::Export(args) => export::run(file, &args),
        Command::Diff(args) => diff::run(file, &args),
        Command::Apply(args) => apply::run(file, &args),
        Command::Import(args) => import::run(file, &args),
        Command::Environment(command) => environment::run(file, &command),
        Command::Webhook(command) => webhook::run(file, &command),
        Command::SdkKey(command) => sdk_key::run(file, command),
        Command::Token(command) => token::run(file, command),
        Command::Migrate(args) => migrate::run(file, &args),
        Command::Backup(args) => backup::run(file, &args),
        Command::Restore(args) => restore::run(file, &args),
        Command::Openapi(args) => openapi::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    #[test]
    fn the_arguments_fit_together() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn only_a_build_for_tests_has_a_clock_that_moves() {
        let serve = ["switchover", "serve", "--clock-file", "clock"];
        let parsed = super::Cli::try_parse_from(serve);
        assert_eq!(parsed.is_ok(), cfg!(feature = "test-clock"));
    }
}
