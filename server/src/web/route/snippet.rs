//! What to write into the application: the handle of a route and its call, ready to be copied.

use crate::domain::route::{Operation, Route};

/// Some code.
pub(super) struct Snippet {
    /// Its name in the page.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) code: String,
}

/// The code of a route: in Rust by what its calls do, and as it is tried out.
pub(super) fn snippets(route: &Route) -> Vec<Snippet> {
    let (key, flag) = (route.spec.key.as_str(), route.spec.flag.as_str());
    let rust = match route.spec.operation {
        Operation::Call => call(key),
        Operation::Read => read(key),
        Operation::Write => write(key),
    };
    let explain = format!(
        "curl -s \"$SWITCHOVER_URL/api/v1/routes/{key}/environments/production/explain\" \\\n  \
         -H \"Authorization: Bearer $SWITCHOVER_TOKEN\" \\\n  \
         -H 'Content-Type: application/json' \\\n  \
         -d '{{\"key\": \"42\"}}'"
    );
    vec![
        Snippet {
            id: "snippet-rust",
            title: "Rust",
            code: rust,
        },
        Snippet {
            id: "snippet-env",
            title: "An installation of others: force the new path, or the old one",
            code: format!("{flag}=1   # the new path\n{flag}=0   # the old path"),
        },
        Snippet {
            id: "snippet-curl",
            title: "Ask which path a key takes, and why",
            code: explain,
        },
    ]
}

fn call(key: &str) -> String {
    format!(
        "let switchover = switchover::Client::from_env()?;\n\
         let {key} = switchover.route(\"{key}\"); // once, and keep it\n\
         \n\
         let answer = {key}\n    \
             .call(id)\n    \
             .old(|| old_way(id))\n    \
             .new(|| new_way(id))\n    \
             .run()?;"
    )
}

fn read(key: &str) -> String {
    format!(
        "let switchover = switchover::Client::from_env()?;\n\
         let {key} = switchover.route(\"{key}\"); // once, and keep it\n\
         \n\
         // The other path runs beside it, as the mirror says; what differs is counted.\n\
         let found = {key}\n    \
             .read(id)\n    \
             .old(move || old_way(id))\n    \
             .new(move || new_way(id))\n    \
             .compare(|old, new| old == new)\n    \
             .run()?;"
    )
}

fn write(key: &str) -> String {
    format!(
        "let switchover = switchover::Client::from_env()?;\n\
         // Both stores, once: each loads a row and saves it, compare and set.\n\
         let {key} = switchover.route(\"{key}\").stores(old_store, new_store)?;\n\
         \n\
         // What is written to the one is copied to the other.\n\
         {key}\n    \
             .write(id)\n    \
             .old(|generation| write_old(id, generation))\n    \
             .new(|generation| write_new(id, generation))\n    \
             .run()?;"
    )
}
