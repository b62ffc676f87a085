//! Before it begins: a server, people, two stores, and an application that uses the old one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use switchover::{Client, Overrides};

use super::{ENVIRONMENT, ROUTE, Story};
use crate::database::Database;
use crate::faults::Faults;
use crate::gear::{Gear, id};
use crate::house::House;
use crate::stores::{Equipment, NEW, OLD};
use crate::traffic::{Application, Traffic};
use crate::{Failed, Options, Summary};

/// What has to be done besides, with the stages that wait for it.
const PLAN: &str = include_str!("../../plan.md");

pub(super) fn prepare<'a>(
    options: &'a Options,
    say: &'a mut dyn FnMut(&str),
) -> Result<Story<'a>, Failed> {
    let directory = tempfile::Builder::new()
        .prefix("gear-operations-")
        .tempdir()?;
    let house = House::open(&program(options)?, directory.path())?;
    let people = [
        ("ann", "viewer"),
        ("otto", "operator"),
        ("mia", "maintainer"),
        ("max", "maintainer"),
        ("ada", "admin"),
    ];
    for (who, role) in people {
        house.introduce(who, role)?;
    }
    let added = [
        "route",
        "add",
        "gear.GearOperations/WriteItem",
        "--key",
        ROUTE,
        "--flag",
        "GEAR_ITEMS",
        "--operation",
        "write",
        "--owner",
        "gear",
        "--policy",
        "data_migration",
    ];
    house.ask("mia", &added)?;
    let key = house.ask(
        "ada",
        &[
            "sdk-key",
            "create",
            "--environment",
            ENVIRONMENT,
            "--name",
            "gear",
        ],
    )?;
    let key = key.lines().last().unwrap_or_default().trim();
    let plan = directory.path().join("plan.md");
    std::fs::write(&plan, PLAN)?;
    let put = [
        "plan",
        "put",
        ROUTE,
        &plan.display().to_string(),
        "--reason",
        "how it goes",
    ];
    house.ask("mia", &put)?;

    let faults = Arc::new(Faults::default());
    let (old, new) = databases(options, directory.path())?;
    let old = Equipment::create(ROUTE, old, &OLD, Arc::default())?;
    let new = Equipment::create(ROUTE, new, &NEW, Arc::clone(&faults))?;
    let pieces = (0..options.items).map(|n| (id(n), Gear::of_write(n, options.users)));
    old.fill(pieces)?;

    let client = Client::builder()
        .server(house.url(), key)
        .cache_dir(directory.path().join("application"))
        .application("gear", env!("CARGO_PKG_VERSION"))
        .overrides(Overrides::none())
        .start()?;
    if !client.wait_ready(Duration::from_secs(10)) {
        return Err(Failed(
            "the application does not reach the server".to_owned(),
        ));
    }
    let data = client.route(ROUTE).stores(old.clone(), new.clone())?;
    let sizes = (options.users, options.items);
    let application = Application::new(data, (old, new), faults, sizes);
    let application = Arc::new(application);
    let traffic = Traffic::start(&application, options.writers, options.readers)?;
    let mut story = Story {
        options,
        say,
        application,
        traffic: Some(traffic),
        client,
        house,
        summary: Summary::default(),
        directory,
    };
    story.title("An old system, with everything in it");
    let (users, items) = sizes;
    story.tell(&format!(
        "{items} pieces of equipment of {users} users are in the old table. An application writes \
         them on {} threads and reads them on {} all the time: it enters, changes and deletes, \
         several at once the same piece.",
        options.writers, options.readers
    ));
    story.tell(
        "The route gear_items is under the policy data_migration. Both tables are registered with \
         the SDK; every write goes to the old one.",
    );
    Ok(story)
}

/// The two databases: what was given, or files.
fn databases(options: &Options, directory: &Path) -> Result<(Database, Database), Failed> {
    Ok(match (&options.old, &options.new) {
        (Some(old), Some(new)) => (Database::open(old)?, Database::open(new)?),
        _ => (
            Database::in_directory(directory, "old.db")?,
            Database::in_directory(directory, "new.db")?,
        ),
    })
}

/// What was given; else what is beside this program; else whatever the system finds.
fn program(options: &Options) -> Result<PathBuf, Failed> {
    if let Some(program) = &options.switchover {
        return Ok(program.clone());
    }
    let name = format!("switchover{}", std::env::consts::EXE_SUFFIX);
    let beside = std::env::current_exe()?.with_file_name(&name);
    Ok(match beside.exists() {
        true => beside,
        false => PathBuf::from(name),
    })
}
