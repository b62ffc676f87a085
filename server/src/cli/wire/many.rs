//! What was done to many rollouts, as far as it is shown.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct HaltedMany {
    pub(crate) environment: String,
    pub(crate) halted: Vec<String>,
    pub(crate) already_halted: Vec<String>,
    pub(crate) mandatory: Vec<String>,
    pub(crate) at_risk: Vec<StillHalted>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ResumedMany {
    pub(crate) environment: String,
    pub(crate) resumed: Vec<String>,
    #[serde(default)]
    pub(crate) announced: Vec<String>,
    pub(crate) still_halted: Vec<StillHalted>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StillHalted {
    pub(crate) route: String,
    pub(crate) detail: String,
}
