//! What was found, for people.

use std::collections::BTreeSet;

use crate::cli::output::{Field, Screen, count, one_line};
use crate::cli::session::note;
use crate::config;
use crate::refs::{Findings, Kind, RouteUses, Scanned, Standing, Use};

/// Everything, or what there is to do.
pub(super) fn told(scanned: &Scanned, findings: &Findings, all: bool, is_posted: bool) -> String {
    let mut lines = Vec::new();
    if all {
        lines.push(table(findings));
    }
    for (kind, title) in [
        (Kind::Retired, "retired, and still asked for: take it out"),
        (
            Kind::Mandatory,
            "mandatory everywhere, and still asked for: take it out, then retire the route",
        ),
    ] {
        let mut routes = findings.of(kind).peekable();
        if routes.peek().is_some() {
            lines.push(title.to_owned());
        }
        for route in routes {
            lines.push(format!("  {} ({})", route.route, route.flag));
            lines.extend(
                route
                    .uses
                    .iter()
                    .map(|found| format!("    {}", place(found))),
            );
        }
    }
    if !findings.unknown.is_empty() {
        lines.push("no route has this flag or key".to_owned());
        let places = findings.unknown.iter();
        lines.extend(places.map(|found| format!("  {}", place(found))));
    }
    let unreferenced: Vec<&str> = findings
        .of(Kind::Unreferenced)
        .map(|route| route.route.as_str())
        .collect();
    if !unreferenced.is_empty() {
        lines.push("nothing here asks for".to_owned());
        lines.extend(unreferenced.iter().map(|route| format!("  {route}")));
    }
    if all {
        let moving = findings.routes.iter().filter(|route| {
            !matches!(route.standing, Standing::Mandatory | Standing::Retired)
                && !route.uses.is_empty()
        });
        for route in moving {
            lines.push(format!("{} ({})", route.route, route.flag));
            lines.extend(route.uses.iter().map(|found| format!("  {}", place(found))));
        }
    }
    for large in &scanned.too_large {
        note(&format!("too large, so not searched: {}", one_line(large)));
    }
    for unread in &scanned.unread {
        let (file, why) = (one_line(&unread.file), one_line(&unread.why));
        note(&format!("cannot be read: {file}: {why}"));
    }
    lines.push(summed(scanned, findings, is_posted));
    lines.join("\n")
}

fn summed(scanned: &Scanned, findings: &Findings, is_posted: bool) -> String {
    let uses: usize = findings.routes.iter().map(|route| route.uses.len()).sum();
    let used = findings
        .routes
        .iter()
        .filter(|route| !route.uses.is_empty());
    let files: BTreeSet<&str> = scanned
        .uses
        .iter()
        .map(|found| found.file.as_str())
        .collect();
    let posted = if is_posted { "; posted" } else { "" };
    format!(
        "{} of {} of {} in {} of {}{posted}",
        count(uses, "use"),
        used.count(),
        count(findings.routes.len(), "route"),
        files.len(),
        count(scanned.files, "file")
    )
}

fn table(findings: &Findings) -> String {
    let rows = findings.routes.iter().map(row).collect();
    let header = ["route", "flag", "stage", "uses", "files"];
    Screen::new(config::no_color()).table(&header, rows)
}

fn row(route: &RouteUses) -> Vec<Field> {
    let files: BTreeSet<&str> = route.uses.iter().map(|found| found.file.as_str()).collect();
    let is_used = !route.uses.is_empty();
    let standing = match route.standing {
        Standing::Unready => Field::faint("not ready"),
        Standing::Moving => Field::from("on its way"),
        Standing::Mandatory if is_used => Field::bad("mandatory"),
        Standing::Retired if is_used => Field::bad("retired"),
        Standing::Mandatory => Field::good("mandatory"),
        Standing::Retired => Field::faint("retired"),
    };
    vec![
        route.route.as_str().into(),
        route.flag.as_str().into(),
        standing,
        route.uses.len().to_string().into(),
        files.len().to_string().into(),
    ]
}

/// As compilers write it, so that editors jump there.
fn place(found: &Use) -> String {
    let file = one_line(&found.file);
    format!("{file}:{}:{}: {}", found.line, found.column, found.name)
}
