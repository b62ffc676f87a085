//! The decision vectors: those of the project, and those of the file that `SWITCHOVER_VECTORS` names.

use std::collections::BTreeMap;

use serde::Deserialize;
use switchover::{EnvironmentKind, Path, Reason, Rollout, RouteKey};

#[derive(Deserialize)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) environment_kind: EnvironmentKind,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) key: Option<String>,
    pub(crate) route: String,
    pub(crate) routes: BTreeMap<RouteKey, Rollout>,
    pub(crate) expect: Expect,
}

#[derive(Deserialize)]
pub(crate) struct Expect {
    pub(crate) path: Path,
    pub(crate) reason: Reason,
}

pub(crate) fn all() -> Vec<Vector> {
    let mut vectors: Vec<Vector> =
        serde_json::from_str(include_str!("decision_vectors.json")).unwrap();
    assert!(vectors.len() >= 178, "{} vectors", vectors.len());
    if let Some(path) = std::env::var_os("SWITCHOVER_VECTORS") {
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("SWITCHOVER_VECTORS: {}: {error}", path.display()));
        let more: Vec<Vector> = serde_json::from_str(&text).unwrap();
        assert!(
            !more.is_empty(),
            "SWITCHOVER_VECTORS names a file without vectors"
        );
        vectors.extend(more);
    }
    vectors
}
