//! Releases, forecasts, censuses and keys from the command line.

use serde_json::{Value, json};
use switchover::{Client, ManifestStatus, Overrides, Path, Reason, Source};

use crate::support::{Done, Place};

const FLAG: &str = "GITALY_COUNT_COMMITS";

/// A server with one route, and its first release on disk.
fn prepared() -> Place {
    let place = Place::serving();
    place.well(&[
        "route",
        "add",
        "gitaly.CommitService/CountCommits",
        "--operation=read",
        "--owner=gitaly",
        "--policy=open",
    ]);
    place
}

fn advance(place: &Place) {
    for environment in ["dev", "staging", "production", "on-prem"] {
        place.well(&["promote", "count_commits", environment, "--reason=x"]);
    }
}

/// Freezes, publishes and writes a release; gives the file.
fn release(place: &Place, name: &str, more: &[&str]) -> String {
    place.well(&[&["release", "create", name, "--reason=x"], more].concat());
    place.well(&["release", "publish", name, "--reason=x"]);
    manifest(place, name)
}

fn manifest(place: &Place, name: &str) -> String {
    let file = place.file(&format!("{name}.manifest.json"));
    place.well(&["release", "manifest", name, "-o", &file]);
    file
}

fn keys(place: &Place) -> Vec<(String, String)> {
    let shown: Value =
        serde_json::from_str(&place.well(&["release", "key", "show", "--json"])).unwrap();
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    let keys = shown["keys"].as_array().unwrap().iter();
    keys.map(|key| (text(key, "key"), text(key, "id")))
        .collect()
}

fn env_file(place: &Place, text: &str) -> String {
    let file = place.file("app.env");
    std::fs::write(&file, text).unwrap();
    file
}

fn forecast(place: &Place, (from, to): (&str, &str), more: &[&str]) -> Done {
    place.run(&[&["forecast", "--from", from, "--to", to], more].concat())
}

#[test]
fn a_forecast_says_which_override_dies_and_exits_1() {
    let mut place = prepared();
    advance(&place);
    advance(&place);
    let from = release(&place, "12", &[]);
    advance(&place);
    let to = release(&place, "13", &["--after=12"]);
    let listed = place.well(&["release", "list"]);
    assert!(
        listed.contains("| 13 ") && listed.contains("published"),
        "{listed}"
    );
    let shown = place.well(&["release", "show", "13"]);
    assert!(shown.contains("after        12"), "{shown}");
    let key = keys(&place).remove(0).0;
    // Nothing of the rest asks the server.
    place.stop();
    let both = (from.as_str(), to.as_str());
    let off = env_file(
        &place,
        &format!("# ours\nexport {FLAG}='0' # not yet\nSECRET=x\n"),
    );
    let verified = format!("--manifest-key={key}");
    let dies = forecast(&place, both, &["--env-file", &off, &verified]);
    assert_eq!((dies.status, dies.err.as_str()), (1, ""), "{}", dies.out);
    for part in [
        "opt_out → mandatory",
        "old → new",
        "GITALY_COUNT_COMMITS=0",
        "STOPS WORKING",
        "signatures: good",
    ] {
        assert!(dies.out.contains(part), "{part}: {}", dies.out);
    }
    let told = forecast(&place, both, &["--env-file", &off, "--json"]);
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(
        (&told["overrides_that_stop"], &told["verified"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(told["routes"][0]["variable"]["fate"], "stops");
    assert_eq!(told["routes"][0]["from"]["reason"], "env_off");

    // Without overrides there is nothing to lose; going back gives it its say again.
    let none = forecast(&place, both, &[]);
    assert_eq!(none.status, 0, "{}", none.err);
    assert!(none.out.contains("NOT CHECKED"), "{}", none.out);
    let back = forecast(&place, (&to, &from), &["--env-file", &off]);
    assert_eq!(back.status, 0, "{}", back.out);

    // What is not believed is no answer, and neither is what cannot be read.
    let text = std::fs::read_to_string(&to).unwrap();
    let tampered = place.file("tampered.json");
    std::fs::write(&tampered, text.replace("mandatory", "opt_out")).unwrap();
    let refused = forecast(&place, (&from, &tampered), &[&verified]);
    assert_eq!((refused.status, refused.out.as_str()), (2, ""));
    assert!(
        refused.err.contains("refused: not signed"),
        "{}",
        refused.err
    );
    assert_eq!(
        forecast(&place, (&from, &place.file("none")), &[]).status,
        2
    );
    let garbage = env_file(&place, "A=1\nsecret text\n");
    let refused = forecast(&place, both, &["--env-file", &garbage]);
    assert_eq!(refused.status, 2);
    assert!(refused.err.contains("line 2"), "{}", refused.err);
    assert!(!refused.err.contains("secret"), "{}", refused.err);
    assert_eq!(forecast(&place, both, &["--manifest-key=x"]).status, 2);
}

#[test]
fn drafts_are_made_again_and_deleted() {
    let place = prepared();
    let created = place.well(&["release", "create", "12", "--reason=x"]);
    assert_eq!(
        created,
        "12 build 1 is a draft: 1 route of on-prem frozen\n"
    );
    let again = place.well(&["release", "create", "12", "--reason=x"]);
    assert!(again.starts_with("12 build 2 "), "{again}");
    let printed = place.well(&["release", "manifest", "12"]);
    assert_eq!(
        printed,
        std::fs::read_to_string(manifest(&place, "12")).unwrap()
    );
    place.well(&["release", "create", "13", "--after=12", "--reason=x"]);
    let early = place.run(&["release", "publish", "13", "--reason=x"]);
    assert_eq!(early.status, 1);
    assert!(early.err.contains("publish that first"), "{}", early.err);
    assert_eq!(place.run(&["release", "delete", "12"]).status, 1);
    place.well(&["release", "delete", "13"]);
    place.well(&["release", "delete", "12"]);
    place.well(&[
        "environment",
        "add",
        "edge",
        "--kind=on_prem",
        "--position=9",
    ]);
    let which = place.run(&["release", "create", "12", "--reason=x"]);
    assert!(which.err.contains("on-prem, edge"), "{}", which.err);
}

/// On the server's files, while it runs: the next release is signed with what is there then.
#[test]
fn a_key_is_added_and_the_old_one_retired_while_the_server_runs() {
    let place = prepared();
    advance(&place);
    let old = keys(&place);
    assert_eq!(old.len(), 1);
    let first = release(&place, "12", &[]);
    let file = place.data().join("manifest-key.pem");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    place.well(&["release", "key", "add"]);
    let both = keys(&place);
    assert_eq!(both[..1], old);
    let second = release(&place, "13", &["--after=12"]);
    place.well(&["release", "key", "retire", &old[0].1]);
    assert_eq!(keys(&place), both[1..]);
    let third = release(&place, "14", &["--after=13"]);
    let last = place.run(&["release", "key", "retire", &both[1].0]);
    assert_eq!(last.status, 1);
    assert!(last.err.contains("add another first"), "{}", last.err);
    assert_eq!(place.run(&["release", "key", "retire", "none"]).status, 1);

    let accepts = |file: &str, key: &str| {
        let overrides: Overrides = [("GITALY_FEATURE_DEFAULT_ON", "1")].into_iter().collect();
        let client = Client::builder()
            .manifest(std::fs::read_to_string(file).unwrap())
            .manifest_key(key)
            .overrides(overrides)
            .start()
            .unwrap();
        let decision = client.route("count_commits").decide("a");
        let is_good = matches!(client.status().manifest, ManifestStatus::Accepted { .. });
        let expected = match is_good {
            true => (Path::New, Reason::EnvDefaultOn, Some(Source::Bundled)),
            false => (Path::Old, Reason::UnknownRoute, None),
        };
        assert_eq!((decision.path, decision.reason, decision.source), expected);
        is_good
    };
    let table = [
        (first, true, false),
        (second, true, true),
        (third, false, true),
    ];
    for (file, by_old, by_new) in &table {
        assert_eq!(accepts(file, &old[0].0), *by_old, "{file}");
        assert_eq!(accepts(file, &both[1].0), *by_new, "{file}");
    }
}

/// Several nodes would each make their own key, and builds pin one.
#[test]
fn keys_that_are_given_stay_where_they_are() {
    let place = Place::new();
    let run = |what: &[&str], more: &[&str]| place.run(&[&["release", "key"], what, more].concat());
    let shared = "--database=postgres://switchover@db.example.com/switchover";
    for what in [&["show"][..], &["add"], &["retire", "x"]] {
        let refused = run(what, &[shared]);
        assert_eq!(refused.status, 1);
        assert!(
            refused.err.contains("SWITCHOVER_MANIFEST_KEY"),
            "{}",
            refused.err
        );
    }
    let made = run(&["add"], &[]);
    assert_eq!(
        (made.status, made.out.lines().count()),
        (0, 1),
        "{}",
        made.err
    );
    let file = place.file("manifest-key.pem");
    let config = place.file("switchover.toml");
    let with = format!("--config={config}");
    std::fs::write(&config, format!("manifest_key = {file:?}\n")).unwrap();
    let added = run(&["add"], &[shared, &with]);
    assert_eq!(added.out.lines().count(), 2, "{}", added.err);
    let keys = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&config, format!("manifest_key = {keys:?}\n")).unwrap();
    assert_eq!(run(&["show"], &[shared, &with]).out, added.out);
    let refused = run(&["add"], &[&with]);
    assert!(refused.err.contains("PEM blocks there"), "{}", refused.err);
}

#[test]
fn a_census_is_taken_without_a_network_and_brought_to_the_server() {
    let mut place = prepared();
    advance(&place);
    let manifest = release(&place, "17.5.0", &[]);
    let key = keys(&place).remove(0).0;
    let variables = format!(
        "{FLAG}=0\nGITALY_FEATURE_DEFAULT_ON=1\nDATABASE_PASSWORD=hunter2\nGITALY_TOKEN=1\n"
    );
    let variables = env_file(&place, &variables);
    let census = place.file("census.json");
    place.stop();
    let verified = format!("--manifest-key={key}");
    let take = |site: &str, more: &[&str]| {
        let taken = ["census", "--manifest", &manifest, "--site", site, &verified];
        place.run(&[&taken[..], more].concat())
    };
    let taken = take("acme", &["--env-file", &variables, "-o", &census]);
    assert_eq!(taken.status, 0, "{}", taken.err);
    let text = std::fs::read_to_string(&census).unwrap();
    for secret in ["hunter2", "PASSWORD", "TOKEN"] {
        assert!(!text.contains(secret), "{text}");
    }
    let written: Value = serde_json::from_str(&text).unwrap();
    let overrides = json!({ FLAG: false, "GITALY_FEATURE_DEFAULT_ON": true });
    assert_eq!(written["overrides"], overrides);
    assert_eq!(
        (&written["release"], &written["environment"]),
        (&json!("17.5.0"), &json!("on-prem"))
    );
    assert_eq!(take("acme", &[]).status, 1, "of what?");
    assert_eq!(take("a/b", &["--env"]).status, 2);
    assert_eq!(place.run(&["census", "--site=a", "--env"]).status, 2);
    let own = take("acme", &["--env"]);
    let own: Value = serde_json::from_str(&own.out).unwrap();
    assert_eq!(own["overrides"], json!({}));

    place.start();
    let import = |file: &str, environment: &str| {
        place.run(&[
            "census",
            "import",
            file,
            "--environment",
            environment,
            "--reason=x",
        ])
    };
    assert_eq!(
        import(&census, "production").status,
        1,
        "of another environment"
    );
    for _ in 0..2 {
        assert_eq!(import(&census, "on-prem").status, 0);
    }
    assert_eq!(import(&manifest, "on-prem").status, 1, "no census");
    let listed = place.well(&["census", "list", "--environment=on-prem"]);
    let shown = "GITALY_COUNT_COMMITS=0, GITALY_FEATURE_DEFAULT_ON=1";
    assert!(listed.contains(shown), "{listed}");

    // Where there is no manifest, the server knows the flags.
    let hosted = ["census", "--environment=production", "--site=web-1"];
    place.well(&[&hosted[..], &["--env-file", &variables, "-o", &census]].concat());
    assert_eq!(import(&census, "production").status, 0);
    let listed: Value = serde_json::from_str(&place.well(&["census", "list", "--json"])).unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(listed["items"][1]["overrides"], overrides);
    place.well(&["census", "delete", "on-prem", "acme"]);
    assert_eq!(
        place.run(&["census", "delete", "on-prem", "acme"]).status,
        1
    );
}
