//! The manifest in the binary: whose it is, when it decides, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path as FilePath;

use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair};
use switchover::{
    Client, ClientBuilder, MAX_MANIFEST_BYTES, Manifest, ManifestError, ManifestHead, ManifestKey,
    ManifestStatus, Overrides, Path, Reason, RouteKey, RouteSpec, Source, Stage, StartError,
    write_manifest, write_payload,
};
use tracing::Level;

use crate::server::{Answer, Server, builder, eventually, nobody};
use crate::{ON, PATIENCE, logs};

const OPT_IN: &str = r#"{"flag":"GITALY_BLAME","stage":"opt_in"}"#;
const OPT_OUT: &str = r#"{"flag":"GITALY_BLAME","stage":"opt_out"}"#;
const MANDATORY: &str = r#"{"flag":"GITALY_BLAME","stage":"mandatory"}"#;

/// A pair of keys of its own for each number.
struct Key(Ed25519KeyPair);

impl Key {
    fn new(number: u8) -> Key {
        Key(Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap())
    }

    fn public(&self) -> ManifestKey {
        ManifestKey::from_bytes(self.0.public_key().as_ref().try_into().unwrap())
    }
}

fn payload(release: &str, entry: &str) -> String {
    let head = ManifestHead {
        release: release.parse().unwrap(),
        environment: "production".into(),
        build: 1,
        after: None,
        based_on: None,
        frozen_at: "2026-01-05T10:00:00Z".into(),
    };
    let routes: BTreeMap<RouteKey, &str> = BTreeMap::from([("blame".parse().unwrap(), entry)]);
    write_payload(&head, routes.iter().map(|(route, entry)| (route, *entry)))
}

fn signed(payload: &str, keys: &[&Key]) -> String {
    let sign = |key: &&Key| {
        let signature = key.0.sign(payload.as_bytes());
        (key.public(), signature.as_ref().to_vec())
    };
    write_manifest(payload, &keys.iter().map(sign).collect::<Vec<_>>())
}

/// A good manifest of a release, by the first key.
fn manifest(release: &str, entry: &str) -> String {
    signed(&payload(release, entry), &[&Key::new(1)])
}

fn with(builder: ClientBuilder, manifest: &str) -> ClientBuilder {
    builder
        .manifest(manifest)
        .manifest_key(Key::new(1).public().to_string())
}

/// A build without a server, with these variables.
fn alone(manifest: &str, variables: &[(&str, &str)]) -> Client {
    let overrides: Overrides = variables.iter().copied().collect();
    let builder = Client::builder().overrides(overrides);
    with(builder, manifest).start().unwrap()
}

fn refused(client: &Client) -> ManifestError {
    match client.status().manifest {
        ManifestStatus::Refused(error) => error,
        other => panic!("{other:?}"),
    }
}

fn decides(client: &Client) -> (Path, Reason, Option<Source>) {
    let decision = client.route("blame").decide("a");
    (decision.path, decision.reason, decision.source)
}

/// Runs a client until the server's state is the last good one.
fn fill(server: &Server, directory: &FilePath, manifest: Option<&str>) {
    let mut builder = server.builder().cache_dir(directory);
    if let Some(manifest) = manifest {
        builder = with(builder, manifest);
    }
    let client = builder.start().unwrap();
    assert!(client.wait_ready(PATIENCE));
    let status = client.status();
    let (environment, version) = (status.environment.unwrap(), status.version.unwrap());
    let head = match status.manifest {
        ManifestStatus::Accepted { release, build } => {
            format!(" 2 {release}:{build} {environment} {version} ")
        }
        ManifestStatus::Refused(ManifestError::Foreign { .. }) => {
            format!(":1 {environment} {version} ")
        }
        _ => format!(" 1 {environment} {version} "),
    };
    eventually("it is kept", || {
        let kept = fs::read_to_string(directory.join("switchover.snapshot"));
        kept.is_ok_and(|kept| kept.contains(&head))
    });
    assert!(client.flush(PATIENCE));
}

#[test]
fn alone_it_decides_as_on_premises_with_the_variables() {
    let (on, off) = (("GITALY_BLAME", "1"), ("GITALY_BLAME", "0"));
    let all = ("GITALY_FEATURE_DEFAULT_ON", "1");
    for (entry, variables, path, reason) in [
        (OPT_IN, vec![], Path::Old, Reason::DefaultOff),
        (OPT_IN, vec![all], Path::New, Reason::EnvDefaultOn),
        (OPT_IN, vec![all, off], Path::Old, Reason::EnvOff),
        (OPT_IN, vec![on], Path::New, Reason::EnvOn),
        (OPT_OUT, vec![], Path::New, Reason::DefaultOn),
        (OPT_OUT, vec![off], Path::Old, Reason::EnvOff),
        (MANDATORY, vec![off], Path::New, Reason::Mandatory),
    ] {
        let client = alone(&manifest("12", entry), &variables);
        let expected = (path, reason, Some(Source::Bundled));
        assert_eq!(decides(&client), expected, "{entry} {variables:?}");
        let status = client.status();
        assert_eq!(status.source, Source::Bundled);
        assert_eq!(status.environment.as_deref(), Some("production"));
        assert!(matches!(
            status.manifest,
            ManifestStatus::Accepted { release, build: 1 } if release.as_str() == "12"
        ));
    }
    // What it does not know, the code may.
    let client = alone(&manifest("12", OPT_IN), &[]);
    let other = client.route(RouteSpec::new("other").stage(Stage::OptOut));
    assert_eq!(other.decide("a").source, Some(Source::Compiled));
    let newer = r#"{"flag":"GITALY_BLAME","stage":"beyond"}"#;
    let client = alone(&manifest("12", newer), &[("GITALY_BLAME", "1")]);
    assert_eq!(decides(&client), (Path::Old, Reason::UnknownRoute, None));
}

/// Every combination of the four layers: the best that is there decides.
#[test]
fn live_then_cache_then_bundled_then_compiled() {
    let filled = tempfile::tempdir().unwrap();
    let filled_bare = tempfile::tempdir().unwrap();
    let bundled = manifest("12", OPT_IN);
    let server = Server::start();
    server.set("blame", ON);
    fill(&server, filled.path(), Some(&bundled));
    fill(&server, filled_bare.path(), None);
    for combination in 0..16_u8 {
        let has = |layer: u8| combination & (1 << layer) != 0;
        let (live, cached, has_manifest, compiled) = (has(3), has(2), has(1), has(0));
        let empty = tempfile::tempdir().unwrap();
        let directory = match (cached, has_manifest) {
            (false, _) => empty.path(),
            (true, true) => filled.path(),
            (true, false) => filled_bare.path(),
        };
        let url = if live { server.url() } else { nobody() };
        let mut builder = builder(&url).cache_dir(directory);
        if has_manifest {
            builder = with(builder, &bundled);
        }
        let client = builder.start().unwrap();
        assert_eq!(
            client.wait_ready(if live { PATIENCE } else { Default::default() }),
            live
        );
        let spec = RouteSpec::new("blame").flag("GITALY_BLAME");
        let spec = if compiled {
            spec.stage(Stage::OptOut)
        } else {
            spec
        };
        let expected = [
            (live, Source::Live),
            (cached, Source::Cache),
            (has_manifest, Source::Bundled),
            (compiled, Source::Compiled),
        ];
        let expected = expected.into_iter().find(|(is_there, _)| *is_there);
        let source = client.route(spec).decide("a").source;
        assert_eq!(
            source,
            expected.map(|(_, source)| source),
            "{combination:04b}"
        );
    }
}

#[test]
fn another_release_voids_the_cache_and_a_downgrade_brings_its_own_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.set("blame", ON);
    let (old, new) = (manifest("12", OPT_IN), manifest("13", OPT_OUT));
    fill(&server, directory.path(), Some(&old));
    let start = |manifest: Option<&str>| {
        let builder = builder(&nobody()).cache_dir(directory.path());
        let builder = match manifest {
            Some(manifest) => with(builder, manifest),
            None => builder,
        };
        decides(&builder.start().unwrap())
    };
    assert_eq!(start(Some(&old)).2, Some(Source::Cache));
    let upgraded = (Path::New, Reason::DefaultOn, Some(Source::Bundled));
    assert_eq!(start(Some(&new)), upgraded);
    assert_eq!(
        start(None).2,
        None,
        "a build without a manifest is no release"
    );
    fill(&server, directory.path(), Some(&new));
    assert_eq!(start(Some(&new)).2, Some(Source::Cache));
    let downgraded = (Path::Old, Reason::DefaultOff, Some(Source::Bundled));
    assert_eq!(start(Some(&old)), downgraded);
    // A manifest that is not believed takes nothing from what was good before.
    let tampered = new.replace("opt_out", "opt_in ");
    assert_eq!(start(Some(&tampered)).2, Some(Source::Cache));
}

#[test]
fn halts_outlive_a_release() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.set("blame", &OPT_OUT.replace('}', r#","halted":true}"#));
    fill(&server, directory.path(), Some(&manifest("12", OPT_OUT)));
    let start = |entry: &str| {
        let builder = builder(&nobody()).cache_dir(directory.path());
        decides(&with(builder, &manifest("13", entry)).start().unwrap())
    };
    assert_eq!(
        start(OPT_OUT),
        (Path::Old, Reason::Halted, Some(Source::Bundled))
    );
    assert_eq!(
        start(MANDATORY),
        (Path::New, Reason::Mandatory, Some(Source::Bundled))
    );
}

#[test]
fn a_manifest_of_another_environment_than_the_servers_has_no_say() {
    logs::listen();
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.restore("staging", "e1", 1);
    server.set("other", &ON.replace("BLAME", "OTHER"));
    let bundled = manifest("12", OPT_OUT);
    let client = with(server.builder(), &bundled).start().unwrap();
    assert!(client.wait_ready(PATIENCE));
    let unknown = (Path::Old, Reason::UnknownRoute, None);
    assert_eq!(decides(&client), unknown);
    let foreign = ManifestError::Foreign {
        manifest: "production".to_owned(),
        own: "staging".to_owned(),
    };
    assert_eq!(refused(&client), foreign);
    drop(client);
    // What is on disk says where it is too, until the server does.
    fill(&server, directory.path(), Some(&bundled));
    let start = |url: &str| {
        let builder = with(builder(url), &bundled).cache_dir(directory.path());
        builder.start().unwrap()
    };
    let cached = start(&nobody());
    assert_eq!((decides(&cached), refused(&cached)), (unknown, foreign));
    server.restore("production", "e2", 1);
    let client = start(&server.url());
    let is_back = || decides(&client).2 == Some(Source::Bundled);
    eventually("it has its say again", is_back);
    assert!(matches!(
        client.status().manifest,
        ManifestStatus::Accepted { .. }
    ));
}

#[test]
fn what_cannot_be_believed_is_refused_and_the_code_decides() {
    logs::listen();
    let good = manifest("12", MANDATORY);
    let text = payload("12", MANDATORY);
    let key = Key::new(1);
    let of_format_9 = text.replace("\"format\": 1", "\"format\": 9");
    let chain =
        |requires: &str| MANDATORY.replace('}', &format!(r#","requires":["{requires}"]}}"#));
    let many = vec![(key.public(), vec![0; 64]); 17];
    type Expect = fn(&ManifestError) -> bool;
    let cases: [(String, Expect); 12] = [
        (String::new(), |e| matches!(e, ManifestError::Malformed(_))),
        ("null".to_owned(), |e| {
            matches!(e, ManifestError::Malformed(_))
        }),
        (good[..good.len() / 2].to_owned(), |e| {
            matches!(e, ManifestError::Malformed(_))
        }),
        (format!("\u{feff}{good}"), |e| {
            matches!(e, ManifestError::Malformed(_))
        }),
        (" ".repeat(MAX_MANIFEST_BYTES) + &good, |e| {
            matches!(e, ManifestError::TooLarge)
        }),
        (write_manifest(&text, &many), |e| {
            matches!(e, ManifestError::TooLarge)
        }),
        (good.replace("mandatory", "opt_out"), |e| {
            matches!(e, ManifestError::NotSigned { .. })
        }),
        (write_manifest(&text, &[]), |e| {
            matches!(e, ManifestError::NotSigned { .. })
        }),
        (signed(&text, &[&Key::new(2)]), |e| {
            matches!(e, ManifestError::NotSigned { .. })
        }),
        (signed(&of_format_9, &[&key]), |e| {
            matches!(e, ManifestError::UnknownFormat(9))
        }),
        (signed(&payload("12", &chain("blame")), &[&key]), |e| {
            matches!(e, ManifestError::Requirements(_))
        }),
        (signed(&text.replace("\"12\"", "\"1 2\""), &[&key]), |e| {
            matches!(e, ManifestError::Malformed(_))
        }),
    ];
    for (number, (text, expected)) in cases.iter().enumerate() {
        let client = alone(text, &[]);
        let error = refused(&client);
        assert!(expected(&error), "{number}: {error:?}");
        assert!(!error.to_string().is_empty() && error.to_string().len() < 400);
        let route = client.route(RouteSpec::new("blame").stage(Stage::OptOut));
        assert_eq!(route.decide("a").source, Some(Source::Compiled), "{number}");
    }
    let unpinned = Client::builder().manifest(good.as_str()).start().unwrap();
    assert_eq!(refused(&unpinned), ManifestError::NoKey);
    for wrong in ["", "ed25519:", "ed25519:AAAA", "AAAA", "rsa:AAAA"] {
        let started = Client::builder().manifest_key(wrong).start();
        assert!(
            matches!(started, Err(StartError::InvalidManifestKey)),
            "{wrong}"
        );
    }
    assert!(!logs::with(Level::ERROR, "of format 9").is_empty());
}

/// A new key is pinned beside the old one, and signs beside it, until the old one is retired.
#[test]
fn any_pinned_key_may_verify_any_signature() {
    let (old, new, other) = (Key::new(1), Key::new(2), Key::new(3));
    let text = payload("12", OPT_IN);
    let by = |keys: &[&Key]| signed(&text, keys);
    let accepts = |manifest: &str, pinned: &[&Key]| {
        let pinned: Vec<ManifestKey> = pinned.iter().map(|key| key.public()).collect();
        Manifest::verify(manifest, &pinned).is_ok()
    };
    let both = by(&[&old, &new]);
    assert!(accepts(&both, &[&old]) && accepts(&both, &[&new]));
    assert!(accepts(&by(&[&new]), &[&old, &new]) && accepts(&by(&[&old]), &[&new, &old]));
    assert!(!accepts(&by(&[&new]), &[&old]) && !accepts(&both, &[&other]));
    let text = new.public().to_string();
    assert_eq!(text.parse::<ManifestKey>().unwrap(), new.public());
}

#[test]
fn line_ends_that_a_work_tree_turned_do_no_harm() {
    let turned = manifest("12", OPT_IN).replace('\n', "\r\n");
    assert!(Manifest::verify(&turned, &[Key::new(1).public()]).is_ok());
}

/// The file that the example embeds, made by a server.
#[test]
fn a_file_of_a_real_server_is_good() {
    let text = include_str!("../../examples/switchover.manifest.json");
    let example = include_str!("../../examples/on_prem.rs");
    let key = example.split('"').find(|part| part.starts_with("ed25519:"));
    let key: ManifestKey = key.unwrap().parse().unwrap();
    let manifest = Manifest::verify(text, &[key]).unwrap();
    let stages = manifest.table().entries().keys();
    let stages = stages.filter_map(|route| manifest.table().rollout(route.as_str()));
    let stages: Vec<Stage> = stages.map(|rollout| rollout.stage).collect();
    assert_eq!(
        stages,
        [
            Stage::OptIn,
            Stage::OptOut,
            Stage::Mandatory,
            Stage::ReadyForTesting
        ]
    );
    // What the SDK would write is the same file, byte for byte.
    let payload = write_payload(manifest.head(), manifest.entries());
    assert!(text.contains(&payload));
}

/// The server's answer is a snapshot; a manifest is none, and the other way round.
#[test]
fn a_manifest_is_no_snapshot() {
    let server = Server::start();
    server.answer_polls(Answer::Body(manifest("12", MANDATORY)));
    let client = server.builder().polling_only().start().unwrap();
    eventually("it is refused", || client.status().last_error.is_some());
    assert_eq!(decides(&client).1, Reason::UnknownRoute);
}

#[test]
fn any_changed_byte_fails_or_leaves_what_was_signed() {
    let good = signed(&payload("12", OPT_IN), &[&Key::new(1), &Key::new(2)]);
    let keys = [Key::new(1).public()];
    let read = |text: &str| Manifest::verify(text, &keys);
    let content = |manifest: &Manifest| {
        let entries = manifest.entries();
        let entries: Vec<_> = entries.map(|(r, e)| (r.clone(), e.to_owned())).collect();
        (manifest.head().clone(), entries)
    };
    let expected = content(&read(&good).unwrap());
    let (mut refused, mut kept) = (0, 0);
    for position in 0..good.len() {
        for byte in [b'0', b'a', b' ', b'"', b'}', b'\r', b'\n', b'\\', 0] {
            let mut bytes = good.clone().into_bytes();
            if std::mem::replace(&mut bytes[position], byte) == byte {
                continue;
            }
            match read(&String::from_utf8(bytes).unwrap()) {
                Ok(manifest) => {
                    assert_eq!(content(&manifest), expected, "{position}");
                    kept += 1;
                }
                Err(_) => refused += 1,
            }
        }
        let mut shorter = good.clone();
        shorter.remove(position);
        assert!(
            read(&shorter).is_ok_and(|found| content(&found) == expected)
                || read(&shorter).is_err()
        );
    }
    assert!(refused > 1_000 && kept > 100, "{refused} {kept}");
}

proptest! {
    #[test]
    fn rubbish_is_no_panic(text in ".{0,300}", at in any::<prop::sample::Index>()) {
        let keys = [Key::new(1).public()];
        prop_assert!(Manifest::verify(&text, &keys).is_err());
        prop_assert!(Manifest::read_unverified(&text).is_err());
        let mut good = manifest("12", OPT_IN);
        let place = at.index(good.len());
        good.insert_str(place, &text);
        if let Ok(manifest) = Manifest::verify(&good, &keys) {
            prop_assert_eq!(manifest.head().release.as_str(), "12");
        }
    }
}
