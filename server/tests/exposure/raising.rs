//! What can raise exposure, tried in every way that somebody thought of.

use super::Scene::Untested;
use super::operations::{OPERATOR, REASON, Row, TO_OPT_IN, frozen, probe, raises, ramp, untested};

const ON: &str = r#"{"mode":"on","reason":"test"}"#;
const DEFAULT: &str = r#"{"mode":"stage_default","reason":"test"}"#;
const MORE: &str = r#"{"mode":"ramp","percent":10.001,"reason":"test"}"#;
const LEAST: &str = r#"{"mode":"ramp","percent":0.001,"reason":"test"}"#;
const INCLUDED: &str = r#"{"include":["k2"],"exclude":["k0"],"reason":"test"}"#;
const BY_NAME: &str =
    r#"{"include":[],"exclude":["k0"],"include_cohorts":["few"],"reason":"test"}"#;
const NOT_EXCLUDED: &str = r#"{"include":[],"exclude":[],"reason":"test"}"#;
const WINDOW: &str = r#"{"until":"2026-01-06T00:00:00Z","percent":5,"reason":"test"}"#;
const WINDOW_OF_KEYS: &str = r#"{"until":"2026-01-06T00:00:00Z","cohort":["k3"],"reason":"test"}"#;
const TO_OPT_OUT: &str = r#"{"to":"opt_out","reason":"test"}"#;

pub(super) const TABLE: &[Row] = &[
    raises(
        "PUT routes/{route}/environments/{environment}/setting",
        &[
            frozen("routes/offered/environments/dev/setting", ON),
            frozen("routes/offered/environments/dev/setting", DEFAULT),
            frozen("routes/offered/environments/production/setting", MORE),
            frozen("routes/last/environments/on-prem/setting", LEAST),
            frozen("routes/last/environments/production/setting", DEFAULT),
            frozen("routes/tested/environments/dev/setting", ON),
            frozen("routes/windowed/environments/dev/setting", ON),
            // What requires it would be exposed with it.
            frozen("routes/base/environments/dev/setting", DEFAULT),
            ramp("routes/offered/environments/dev/setting", ON),
            ramp("routes/offered/environments/staging/setting", DEFAULT),
            ramp("routes/offered/environments/production/setting", MORE),
            ramp("routes/planned/environments/dev/setting", LEAST),
            ramp("routes/last/environments/on-prem/setting", DEFAULT),
            untested("routes/base/environments/production/setting", ON),
            untested("routes/base/environments/production/setting", LEAST),
            untested("routes/base/environments/on-prem/setting", ON),
        ],
    ),
    raises(
        "PUT routes/{route}/environments/{environment}/cohorts",
        &[
            frozen("routes/offered/environments/dev/cohorts", INCLUDED),
            frozen("routes/offered/environments/dev/cohorts", NOT_EXCLUDED),
            frozen("routes/tested/environments/dev/cohorts", INCLUDED),
            frozen("routes/offered/environments/dev/cohorts", BY_NAME),
            ramp("routes/offered/environments/dev/cohorts", BY_NAME),
            ramp("routes/offered/environments/dev/cohorts", INCLUDED),
            ramp("routes/offered/environments/dev/cohorts", NOT_EXCLUDED),
            ramp("routes/planned/environments/dev/cohorts", INCLUDED),
            untested("routes/base/environments/production/cohorts", INCLUDED),
            untested("routes/base/environments/on-prem/cohorts", INCLUDED),
        ],
    ),
    raises(
        "POST routes/{route}/environments/{environment}/resume",
        &[
            frozen("routes/halted/environments/dev/resume", REASON),
            frozen("routes/tested/environments/production/resume", REASON),
            ramp("routes/halted/environments/dev/resume", REASON),
            untested("routes/tested/environments/production/resume", REASON),
        ],
    ),
    raises(
        "POST routes/{route}/environments/{environment}/ramp/start",
        &[frozen(
            "routes/offered/environments/staging/ramp/start",
            REASON,
        )],
    ),
    raises(
        "POST routes/{route}/environments/{environment}/ramp/resume",
        &[frozen("routes/last/environments/dev/ramp/resume", REASON)],
    ),
    raises(
        "PUT cohorts/{cohort}",
        &[
            frozen("cohorts/few", r#"{"keys":["k1","k2"],"reason":"test"}"#),
            frozen("cohorts/kept", r#"{"keys":[],"reason":"test"}"#),
            ramp("cohorts/few", r#"{"keys":["k1","k2"],"reason":"test"}"#),
            ramp("cohorts/kept", r#"{"keys":[],"reason":"test"}"#),
        ],
    ),
    raises(
        "POST resumes",
        &[
            frozen("resumes", r#"{"environment":"dev","reason":"test"}"#),
            frozen("resumes", r#"{"environment":"production","reason":"test"}"#),
            ramp(
                "resumes",
                r#"{"environment":"dev","label":"wave=one","reason":"test"}"#,
            ),
            untested("resumes", r#"{"environment":"production","reason":"test"}"#),
        ],
    ),
    raises(
        "POST routes/{route}/environments/{environment}/promotions",
        &[
            frozen("routes/tested/environments/dev/promotions", TO_OPT_IN),
            frozen("routes/offered/environments/dev/promotions", TO_OPT_OUT),
            frozen("routes/offered/environments/on-prem/promotions", TO_OPT_OUT),
            frozen(
                "routes/child/environments/dev/promotions",
                r#"{"to":"opt_in","cascade":true,"reason":"test"}"#,
            ),
            ramp("routes/tested/environments/dev/promotions", TO_OPT_IN),
            ramp("routes/offered/environments/dev/promotions", TO_OPT_OUT),
            ramp(
                "routes/child/environments/dev/promotions",
                r#"{"to":"opt_in","cascade":true,"reason":"test"}"#,
            ),
            untested("routes/base/environments/production/promotions", TO_OPT_IN),
            untested(
                "routes/child/environments/production/promotions",
                r#"{"to":"opt_in","cascade":true,"reason":"test"}"#,
            ),
        ],
    ),
    raises(
        "POST routes/{route}/environments/{environment}/acceptance",
        &[
            frozen("routes/tested/environments/dev/acceptance", WINDOW),
            frozen("routes/base/environments/production/acceptance", WINDOW),
            frozen(
                "routes/base/environments/production/acceptance",
                WINDOW_OF_KEYS,
            ),
            ramp("routes/tested/environments/dev/acceptance", WINDOW),
            probe(
                Untested,
                OPERATOR,
                "routes/base/environments/production/acceptance",
                WINDOW,
            ),
            untested("routes/tested/environments/production/acceptance", WINDOW),
        ],
    ),
    raises(
        "PATCH routes/{route}",
        &[
            frozen("routes/dependent", r#"{"requires":[],"reason":"test"}"#),
            ramp("routes/dependent", r#"{"requires":[],"reason":"test"}"#),
            ramp("routes/offered", r#"{"policy":"open","reason":"test"}"#),
            ramp(
                "routes/planned",
                r#"{"ramp_group":"together","reason":"test"}"#,
            ),
        ],
    ),
];
