use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_600_000 + second, 0).unwrap()
}

fn scan(repository: &str, scanned: i64) -> Scan {
    Scan {
        repository: repository.parse().unwrap(),
        revision: "4f1c2d9".to_owned(),
        scanned_at: at(scanned),
        posted_at: at(scanned),
        posted_by: "ci".to_owned(),
        files: 10,
        routes: 3,
        uses: 0,
    }
}

fn of_route(scanned: i64, count: Option<u64>) -> ScanOfRoute {
    let place = |line| Place {
        file: "lib/count.rb".to_owned(),
        line,
        column: 5,
        name: "GITALY_COUNT_COMMITS".to_owned(),
    };
    ScanOfRoute {
        scan: scan("group/project", scanned),
        uses: count.map(|count| Uses {
            count,
            places: (1..=count.min(20)).map(place).collect(),
        }),
    }
}

#[test]
fn a_route_is_gone_where_every_repository_was_scanned_since_and_has_none() {
    let since = Some(at(100));
    let said = |scans: &[ScanOfRoute]| lacking(since, scans).join("\n");
    assert_eq!(said(&[of_route(101, Some(0))]), "");
    insta::assert_snapshot!(said(&[]), @"no repository has been scanned: run `switchover refs --post` in each that uses it");
    insta::assert_snapshot!(said(&[of_route(101, Some(1))]), @"group/project uses it once (lib/count.rb:1): take that out, and run `switchover refs --post` there");
    insta::assert_snapshot!(said(&[of_route(101, Some(4))]), @"group/project uses it 4 times (lib/count.rb:1, lib/count.rb:2, lib/count.rb:3, …): take that out, and run `switchover refs --post` there");
    insta::assert_snapshot!(said(&[of_route(101, None)]), @"the last scan of group/project did not look for it: run `switchover refs --post` there");
    assert_eq!(said(&[of_route(100, Some(0))]), "");
    insta::assert_snapshot!(said(&[of_route(99, Some(0))]), @"group/project was scanned last at 2026-01-05 08:01:39Z, and the route has been as it is since 2026-01-05 08:01:40Z: run `switchover refs --post` there, or forget the repository if it is gone");
    let mut blind = of_route(101, Some(0));
    blind.scan.files = 0;
    insta::assert_snapshot!(said(&[blind]), @"the last scan of group/project searched no file: run `switchover refs --post` there");
    // One that is not clean is enough.
    let both = [of_route(101, Some(0)), of_route(101, Some(1))];
    assert_eq!(lacking(since, &both).len(), 1);
    let refused = check_gone(&"count_commits".parse().unwrap(), since, &both).unwrap_err();
    assert!(refused.to_string().contains("lib/count.rb:1"), "{refused}");
}

#[test]
fn a_later_scan_is_not_replaced() {
    assert!(check_replaces(&scan("a", 7), &scan("a", 7)).is_ok());
    assert!(check_replaces(&scan("a", 8), &scan("a", 7)).is_ok());
    assert!(check_replaces(&scan("a", 6), &scan("a", 7)).is_err());
}

#[test]
fn a_scan_began_when_it_says_unless_its_clock_is_a_little_ahead() {
    for (said, began_at) in [
        (Began::At(at(-3600)), -3600),
        (Began::At(at(0)), 0),
        (Began::At(at(1)), 0),
        (Began::At(at(60)), 0),
        (Began::At(at(61)), 61),
        (Began::Ago(Duration::zero()), 0),
        (Began::Ago(Duration::seconds(90)), -90),
    ] {
        assert_eq!(said.time(at(0)), at(began_at), "{said:?}");
    }
    assert!(check(&scan("a", 61), at(0)).is_err(), "that is the future");
}

#[test]
fn what_is_counted_is_bounded_and_holds_all_places() {
    let of = |count: u64, places: u64| {
        let mut uses = of_route(0, Some(places)).uses.unwrap();
        uses.count = count;
        let checked = check_uses(&"count_commits".parse().unwrap(), &uses);
        checked.map_err(|error| error.field)
    };
    for (count, places) in [(0, 0), (1, 0), (1, 1), (30, 20), (MOST_COUNTED, 1)] {
        assert_eq!(of(count, places), Ok(()), "{count} {places}");
    }
    for (count, places) in [
        (0, 1),
        (1, 2),
        (19, 20),
        (MOST_COUNTED + 1, 0),
        (u64::MAX, 1),
    ] {
        assert_eq!(
            of(count, places),
            Err("routes".to_owned()),
            "{count} {places}"
        );
    }
    for (files, is_right) in [
        (0, false),
        (1, true),
        (MOST_COUNTED, true),
        (u64::MAX, false),
    ] {
        let scan = Scan {
            files,
            ..scan("a", 0)
        };
        assert_eq!(check(&scan, at(0)).is_ok(), is_right, "{files}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    assert_eq!(check(&scan("a", 0), at(0)), Ok(()));
    let fields = |scan: &Scan| {
        let errors = check(scan, at(0)).unwrap_err();
        errors
            .into_iter()
            .map(|error| error.field)
            .collect::<Vec<_>>()
    };
    assert_eq!(fields(&scan("a", 1)), ["scanned_at"]);
    for revision in ["", " a", "a\u{202e}b", &"a".repeat(101)] {
        let scan = Scan {
            revision: revision.to_owned(),
            ..scan("a", 0)
        };
        assert_eq!(fields(&scan), ["revision"], "{revision:?}");
    }
    for bad in ["", "a b", "ä", "a\n", &"a".repeat(201)] {
        assert!(bad.parse::<RepositoryName>().is_err(), "{bad:?}");
    }
    let place = of_route(0, Some(1)).uses.unwrap().places.remove(0);
    assert_eq!(check_place(&place), Ok(()));
    for bad in [
        Place {
            file: String::new(),
            ..place.clone()
        },
        Place {
            file: "a\nb".to_owned(),
            ..place.clone()
        },
        Place {
            name: "a-b".to_owned(),
            ..place.clone()
        },
        Place {
            line: 0,
            ..place.clone()
        },
        Place {
            line: u64::MAX,
            ..place.clone()
        },
        Place { column: 0, ..place },
    ] {
        assert!(check_place(&bad).is_err(), "{bad:?}");
    }
}
