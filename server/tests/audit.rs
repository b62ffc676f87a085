//! The record: any change of it shows, its end is signed, and it can be taken away in a file.

mod checkpoints;
mod export;
mod report;

use serde_json::{Value, json};

use crate::support::{App, Engine, Who, at, on_both_engines};

on_both_engines!(
    any_byte_that_is_changed_is_named,
    what_was_done_to_the_rows_is_named,
);

/// A server with some entries on record, of several kinds.
fn with_entries(engine: Engine) -> App {
    let app = App::start(engine);
    for route in ["count_commits", "find_commit"] {
        app.route(route);
        app.promote(Who::OPERATOR, route, "dev", "opt_in")
            .expect(201);
        let body = json!({ "reason": "a drill | with \"everything\", é" });
        app.post(Who::OPERATOR, &at(route, "dev", "halt"), &body)
            .expect(200);
        app.post(Who::OPERATOR, &at(route, "dev", "resume"), &body)
            .expect(200);
    }
    app.sdk_key("dev");
    assert_eq!(app.audit_count(), 9);
    app
}

fn verify(app: &App, body: &Value) -> Value {
    app.post(Who::VIEWER, "audit/verify", body)
        .expect(200)
        .json()
}

fn broken_at(app: &App) -> (u64, String) {
    let found = verify(app, &json!({}));
    assert_eq!(found["intact"], false, "{found}");
    let seq = found["broken_at"].as_u64().unwrap();
    assert_eq!(found["entries"], seq - 1, "{found}");
    (seq, found["detail"].as_str().unwrap().to_owned())
}

/// As random as a test needs, and the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

fn any_byte_that_is_changed_is_named(engine: Engine) {
    let app = with_entries(engine);
    app.assert_audit_intact();
    let database = app.database();
    database.run("CREATE TABLE kept AS SELECT * FROM audit");
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut flips = 0;
    let columns = [
        "at",
        "subject",
        "action",
        "route",
        "environment",
        "entry",
        "hash",
    ];
    for column in columns {
        for seq in [1, 2, 5, 8, 9] {
            for _ in 0..6 {
                let change = flip(engine, &app, (column, seq), &mut dice);
                database.run(&format!(
                    "UPDATE audit SET {column} = {change} WHERE seq = {seq}"
                ));
                let (named, detail) = broken_at(&app);
                assert_eq!(named, seq, "{column} := {change}: {detail}");
                database.run(&format!(
                    "UPDATE audit SET {column} = (SELECT {column} FROM kept WHERE seq = {seq}) \
                     WHERE seq = {seq}"
                ));
                flips += 1;
            }
        }
    }
    for seq in [1, 4, 9] {
        for other in [-seq, 0, 10 + seq, 1_000_000_007] {
            database.run(&format!("UPDATE audit SET seq = {other} WHERE seq = {seq}"));
            let (named, detail) = broken_at_any(&app);
            assert_eq!(named, seq, "seq := {other}: {detail}");
            database.run(&format!("UPDATE audit SET seq = {seq} WHERE seq = {other}"));
            flips += 1;
        }
    }
    assert_eq!(flips, 7 * 5 * 6 + 12);
    app.assert_audit_intact();
}

/// An entry that stands before all others is named by what it says it is.
fn broken_at_any(app: &App) -> (i64, String) {
    let found = verify(app, &json!({}));
    assert_eq!(found["intact"], false, "{found}");
    let detail = found["detail"].as_str().unwrap().to_owned();
    (found["broken_at"].as_i64().unwrap(), detail)
}

/// SQL for a value of this column in which one byte differs; or something for nothing, and the
/// other way round.
fn flip(engine: Engine, app: &App, (column, seq): (&str, u64), dice: &mut Dice) -> String {
    let is_optional = ["route", "environment"].contains(&column);
    let hex = match engine {
        Engine::Sqlite => format!("hex(CAST({column} AS BLOB))"),
        Engine::Postgres => format!("encode(convert_to(CAST({column} AS TEXT), 'UTF8'), 'hex')"),
    };
    let hex = app.database().texts(&format!(
        "SELECT COALESCE({hex}, '') AS value FROM audit WHERE seq = {seq}"
    ));
    let mut bytes: Vec<u8> = (0..hex[0].len() / 2)
        .map(|at| u8::from_str_radix(&hex[0][2 * at..2 * at + 2], 16).unwrap())
        .collect();
    if bytes.is_empty() {
        return "'x'".to_owned();
    }
    if is_optional && dice.below(3) == 0 {
        return "NULL".to_owned();
    }
    let at = dice.below(bytes.len());
    match engine {
        Engine::Sqlite => bytes[at] ^= 1 << dice.below(8),
        // It takes times and UTF-8 alone.
        Engine::Postgres if column == "at" => {
            let by = ["1 microsecond", "1 second", "-1 day", "1000 years"][dice.below(4)];
            return format!("at + interval '{by}'");
        }
        Engine::Postgres => {
            let text = String::from_utf8(bytes).unwrap();
            let mut chars: Vec<char> = text.chars().collect();
            let at = dice.below(chars.len());
            chars[at] = if chars[at] == 'a' { 'b' } else { 'a' };
            let text: String = chars.into_iter().collect();
            return format!("'{}'", text.replace('\'', "''"));
        }
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("CAST(X'{hex}' AS TEXT)")
}

fn what_was_done_to_the_rows_is_named(engine: Engine) {
    let app = with_entries(engine);
    let database = app.database();
    database.run("CREATE TABLE kept AS SELECT * FROM audit");
    let last = "(SELECT hash FROM kept WHERE seq = 8)";
    for (done, named, says) in [
        (
            "DELETE FROM audit WHERE seq = 4".to_owned(),
            4,
            "entry 4 is missing: after 3 comes 5",
        ),
        (
            "DELETE FROM audit WHERE seq = 1".to_owned(),
            1,
            "entry 1 is missing",
        ),
        (
            "DELETE FROM audit".to_owned(),
            1,
            "the chain ends at 0, but its head says 9",
        ),
        (
            "DELETE FROM audit WHERE seq > 7".to_owned(),
            8,
            "the chain ends at 7, but its head says 9",
        ),
        (
            "UPDATE audit SET seq = 99 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5; \
             UPDATE audit SET seq = 5 WHERE seq = 99"
                .to_owned(),
            4,
            "what stands here says that it is entry 5",
        ),
        (
            "INSERT INTO audit (seq, at, subject, action, route, environment, entry, hash) SELECT \
             10, at, subject, action, route, environment, entry, hash FROM kept WHERE seq = 9"
                .to_owned(),
            10,
            "what stands here says that it is entry 9",
        ),
        (
            "UPDATE audit_head SET seq = 8".to_owned(),
            10,
            "the chain ends at 9, but its head says 8",
        ),
        (
            format!("UPDATE audit_head SET hash = {last}"),
            10,
            "another hash than its last entry, 9",
        ),
        (
            "DELETE FROM audit_head".to_owned(),
            10,
            "the head of the chain is missing",
        ),
    ] {
        database.run(&done);
        let (seq, detail) = broken_at(&app);
        assert_eq!(seq, named, "{done}: {detail}");
        assert!(detail.contains(says), "{done}: {detail}");
        database.run(
            "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept; DELETE FROM audit_head; \
             INSERT INTO audit_head SELECT 1, seq, hash FROM kept WHERE seq = 9",
        );
        app.assert_audit_intact();
    }
}
