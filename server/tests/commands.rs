//! The command line as its users meet it: the program itself, its exit status, its two outputs.

use std::path::Path;

use serde_json::Value;

use crate::support::Place;

fn with_a_route(place: &Place, policy: &str) {
    place.well(&[
        "route",
        "add",
        "gitaly.CommitService/CountCommits",
        "--operation=read",
        "--owner=gitaly",
        "--policy",
        policy,
    ]);
}

#[test]
fn a_refusal_is_told_to_people_and_to_programs() {
    let place = Place::serving();
    with_a_route(&place, "gitaly");
    let promote = ["promote", "count_commits", "production", "--reason=x"];
    let refused = place.run(&promote);
    assert_eq!(refused.status, 1);
    assert_eq!(refused.out, "");
    for part in [
        "order: fail",
        "approval: fail",
        "by maintainers other than local:tester",
    ] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
    let refused = place.run(&[&promote[..], &["--json"]].concat());
    assert_eq!(refused.status, 1);
    let problem: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(problem["code"], "gates_not_met");
}

#[test]
fn what_cannot_be_meant_is_status_2_and_no_server_is_1() {
    let place = Place::new();
    for wrong in [
        &["promote", "count_commits", "dev"][..],
        &["setting", "count_commits", "dev", "ramp", "--reason=x"],
        &["halt", "count_commits", "--reason=x"],
        &["halt", "--reason=x"],
        &["token", "create", "--role=boss", "--subject=x"],
        &["restore"],
    ] {
        assert_eq!(place.run(wrong).status, 2, "{wrong:?}");
    }
    let nowhere = place.run(&["status", "--token=x"]);
    assert_eq!(nowhere.status, 1);
    assert!(
        nowhere.err.contains("http://127.0.0.1:1"),
        "{}",
        nowhere.err
    );
    assert!(nowhere.err.contains("switchover serve"), "{}", nowhere.err);
}

#[test]
fn an_own_token_never_leaves_this_machine() {
    let place = Place::new();
    place.well(&["token", "create", "--role=admin", "--subject=x"]);
    let refused = place.run(&["status", "--url=http://switchover.example.com"]);
    assert_eq!(refused.status, 1);
    assert!(
        refused.err.contains("not on this machine"),
        "{}",
        refused.err
    );
}

#[test]
fn keys_are_made_with_and_without_a_server() {
    let mut place = Place::new();
    let create = ["sdk-key", "create", "--environment=dev", "--name=web"];
    let alone = place.well(&create);
    assert!(alone.starts_with("swk_") && alone.lines().count() == 1);
    place.start();
    let served = place.well(&create);
    assert!(served.starts_with("swk_") && served.lines().count() == 1);
    let listed: Value = serde_json::from_str(&place.well(&["sdk-key", "list", "--json"])).unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[test]
fn keys_for_pages_are_made_with_and_without_a_server() {
    let mut place = Place::new();
    let create = [
        "sdk-key",
        "create",
        "--environment=dev",
        "--name=shop",
        "--kind=page",
    ];
    let refused = place.run(&[
        "sdk-key",
        "create",
        "--environment=dev",
        "--name=x",
        "--kind=web",
    ]);
    assert!(
        refused.status != 0 && refused.err.contains("`server` or `page`"),
        "{}",
        refused.err
    );
    place.well(&create);
    place.start();
    place.well(&create);
    let listed: Value = serde_json::from_str(&place.well(&["sdk-key", "list", "--json"])).unwrap();
    let kinds: Vec<&Value> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["kind"])
        .collect();
    assert_eq!(kinds, ["page", "page"]);
    assert!(place.well(&["sdk-key", "list"]).contains("page"));
}

#[test]
fn a_backup_comes_back_under_a_new_epoch() {
    let mut place = Place::serving();
    with_a_route(&place, "open");
    place.well(&["promote", "count_commits", "dev", "--reason=before"]);
    let backup = place.file("backup.db");
    place.well(&["backup", &backup]);
    assert_eq!(place.run(&["backup", &backup]).status, 1, "it exists");
    place.well(&["promote", "count_commits", "dev", "--reason=after"]);

    let in_use = place.run(&["restore", &backup]);
    assert_eq!(in_use.status, 1);
    assert!(
        in_use.err.contains("stop the server first"),
        "{}",
        in_use.err
    );
    let version = |place: &Place| {
        let explained = place.well(&["explain", "count_commits", "dev", "--json"]);
        let explained: Value = serde_json::from_str(&explained).unwrap();
        explained["version"].as_str().unwrap().to_owned()
    };
    let before = version(&place);
    place.stop();

    let garbage = place.file("garbage.db");
    std::fs::write(&garbage, "no database").unwrap();
    assert_eq!(place.run(&["restore", &garbage]).status, 1);
    place.well(&["restore", &backup]);
    let kept = std::fs::read_dir(place.data())
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().contains(".replaced-")
        })
        .count();
    assert_eq!(kept, 1, "the database that was replaced is kept");

    place.start();
    let after = version(&place);
    assert!(after.ends_with(".2"), "the backup's revision: {after}");
    assert_ne!(before.split('.').next(), after.split('.').next());
    place.well(&["audit", "verify"]);
    assert!(place.well(&["audit"]).contains("new_epoch"));
}

#[test]
fn all_of_gitalys_routes_are_imported() {
    let place = Place::serving();
    let routes = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/examples/gitaly/routes.json"
    );
    assert_eq!(
        place.well(&["route", "import", routes]),
        "imported 115 routes\n"
    );
    let status = place.well(&["status"]);
    assert!(status.ends_with("115 routes, 0 halted rollouts\n"));
    assert!(!status.contains('\x1b'), "no colours on a pipe");
}

#[test]
fn the_demo_ends_well() {
    let done = Place::new().run(&["demo"]);
    assert_eq!(done.status, 0, "{}{}", done.out, done.err);
}

#[test]
fn refusals_say_the_next_step() {
    let place = Place::serving();
    with_a_route(&place, "open");
    let says = |arguments: &[&str], hint: &str| {
        let refused = place.run(arguments);
        assert_eq!(refused.status, 1, "{arguments:?}");
        assert!(refused.err.contains(hint), "{arguments:?}: {}", refused.err);
    };
    says(&["gates", "nope", "dev"], "switchover route list");
    says(&["gates", "count_commits", "nope"], "there are: dev, ");
    for _ in 0..3 {
        place.well(&["promote", "count_commits", "dev", "--reason=x"]);
    }
    let demote = ["demote", "count_commits", "dev", "--to=opt_out"];
    says(
        &[&demote[..], &["--reason=x"]].concat(),
        "pass --break-glass",
    );
    let history = place.well(&["history", "count_commits"]);
    assert!(history.contains("ready_for_testing → opt_in"), "{history}");
}

#[test]
fn who_is_ahead_of_an_earlier_environment_shows() {
    let place = Place::serving();
    with_a_route(&place, "open");
    for environment in ["dev", "staging"] {
        place.well(&["promote", "count_commits", environment, "--reason=x"]);
    }
    assert!(!place.well(&["status"]).contains("drift"));
    let demote = ["demote", "count_commits", "dev", "--to=ready_for_testing"];
    place.well(&[&demote[..], &["--reason=x"]].concat());
    for of in [&["status"][..], &["status", "--environment=staging"]] {
        let status = place.well(of);
        assert!(status.contains("drift"), "{status}");
        assert!(
            status.contains("1 ahead of an earlier environment"),
            "{status}"
        );
    }
}

#[cfg(unix)]
#[test]
fn databases_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &str| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let place = Place::new();
    place.well(&["sdk-key", "create", "--environment=dev", "--name=web"]);
    let (database, backup) = (place.file("switchover.db"), place.file("backup.db"));
    assert_eq!(mode(&database), 0o600);
    place.well(&["backup", &backup]);
    // As an earlier version made it.
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o644)).unwrap();
    let restored: Value =
        serde_json::from_str(&place.well(&["restore", &backup, "--json"])).unwrap();
    assert_eq!(mode(&database), 0o600);
    assert_eq!(mode(restored["replaced"].as_str().unwrap()), 0o600);
}

#[test]
fn commands_without_a_server_answer_programs_too() {
    let place = Place::new();
    let json = |arguments: &[&str]| -> Value {
        let arguments = [arguments, &["--json"]].concat();
        serde_json::from_str(&place.well(&arguments)).unwrap()
    };
    let token = json(&["token", "create", "--role=admin", "--subject=ann"]);
    assert!(token["token"].as_str().unwrap().starts_with("ey"));
    place.well(&["sdk-key", "create", "--environment=dev", "--name=web"]);
    assert_eq!(json(&["migrate"])["ran"], serde_json::json!([]));
    let backup = place.file("backup.db");
    assert_eq!(json(&["backup", &backup])["backup"], backup.as_str());
    let restored = json(&["restore", &backup]);
    assert_eq!(restored["restored"], backup.as_str());
    let replaced = restored["replaced"].as_str().unwrap();
    assert!(Path::new(replaced).exists(), "{replaced}");
    let epoch = json(&["restore", "--new-epoch"])["epoch"].clone();
    assert!(epoch.is_string() && epoch != restored["epoch"]);
    assert!(json(&["openapi"])["paths"].is_object());
    assert!(json(&["completions", "bash"])["script"].is_string());
    let changes = json(&["demo"])["changes"].clone();
    assert_eq!(changes.as_array().unwrap().len(), 7);
    assert!(changes[0]["ms_after_sending"].is_number());
}
