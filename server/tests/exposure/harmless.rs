//! What raises nothing: it is carried out, and nobody takes the new path who did not before.

use super::Scene::{Ramp, Untested};
use super::operations::{
    ADMIN, OPERATOR, REASON, Row, TO_OPT_IN, frozen, markdown, never, probe, ramp,
};

const STEPS: &str = r#"{"steps":[{"percent":100,"hold":"1h"}],"reason":"test"}"#;
const MIRROR: &str = r#"{"read_percent":100,"write_percent":100,"reason":"test"}"#;

pub(super) const TABLE: &[Row] = &[
    // What takes exposure away, or leaves it.
    never(
        "DELETE routes/{route}/environments/{environment}/acceptance",
        &[
            frozen(
                "routes/windowed/environments/dev/acceptance?reason=test",
                "",
            ),
            probe(
                Untested,
                ADMIN,
                "routes/base/environments/production/acceptance",
                "",
            ),
        ],
    ),
    never(
        "POST routes/{route}/environments/{environment}/halt",
        &[frozen("routes/planned/environments/dev/halt", REASON)],
    ),
    // What is done about the rows of two stores moves no key.
    never(
        "POST routes/{route}/environments/{environment}/repairs/settle",
        &[frozen(
            "routes/saved/environments/dev/repairs/settle",
            r#"{"action":"resolve","all":true,"reason":"test"}"#,
        )],
    ),
    never(
        "POST routes/{route}/environments/{environment}/backfills/{id}/pause",
        &[frozen(
            "routes/saved/environments/dev/backfills/BACKFILL/pause",
            REASON,
        )],
    ),
    never(
        "POST routes/{route}/environments/{environment}/backfills/{id}/resume",
        &[frozen(
            "routes/saved/environments/dev/backfills/BACKFILL/resume",
            REASON,
        )],
    ),
    never(
        "POST routes/{route}/environments/{environment}/backfills/{id}/reset",
        &[frozen(
            "routes/saved/environments/dev/backfills/BACKFILL/reset",
            REASON,
        )],
    ),
    never(
        "POST routes/{route}/environments/{environment}/consistency",
        &[frozen(
            "routes/saved/environments/dev/consistency",
            r#"{"kind":"sample","reason":"test"}"#,
        )],
    ),
    never(
        "PUT routes/{route}/environments/{environment}/consistency-schedule",
        &[frozen(
            "routes/saved/environments/dev/consistency-schedule",
            r#"{"every":"hourly","reason":"test"}"#,
        )],
    ),
    // A plan exposes nothing until somebody starts it; who may, goes by its steps.
    never(
        "PUT routes/{route}/environments/{environment}/ramp",
        &[
            frozen("routes/offered/environments/dev/ramp", STEPS),
            probe(Ramp, ADMIN, "routes/offered/environments/dev/ramp", STEPS),
        ],
    ),
    never(
        "POST routes/{route}/environments/{environment}/ramp/pause",
        &[
            frozen("routes/offered/environments/staging/ramp/pause", REASON),
            ramp("routes/last/environments/dev/ramp/pause", REASON),
        ],
    ),
    // A cohort exposes nobody until a rollout uses it, and none is deleted that does.
    never(
        "POST cohorts",
        &[frozen(
            "cohorts",
            r#"{"name":"new","keys":["k1"],"reason":"test"}"#,
        )],
    ),
    never(
        "DELETE cohorts/{cohort}",
        &[frozen("cohorts/unused?reason=test", "")],
    ),
    never(
        "PUT ramp-groups/{group}",
        &[frozen(
            "ramp-groups/commits",
            r#"{"keys":"project","reason":"test"}"#,
        )],
    ),
    never(
        "DELETE ramp-groups/{group}",
        &[frozen("ramp-groups/commits?reason=test", "")],
    ),
    // What a mirror runs besides answers nobody.
    never(
        "PUT routes/{route}/environments/{environment}/mirror",
        &[
            frozen("routes/offered/environments/dev/mirror", MIRROR),
            ramp("routes/offered/environments/production/mirror", MIRROR),
        ],
    ),
    never(
        "POST routes/{route}/environments/{environment}/demotions",
        &[
            frozen(
                "routes/offered/environments/on-prem/demotions",
                r#"{"to":"ready_for_testing","reason":"test"}"#,
            ),
            frozen("routes/last/environments/dev/demotions", TO_OPT_IN),
            frozen("routes/last/environments/on-prem/demotions", TO_OPT_IN),
            probe(
                Ramp,
                OPERATOR,
                "routes/last/environments/dev/demotions",
                TO_OPT_IN,
            ),
            probe(
                Untested,
                ADMIN,
                "routes/offered/environments/production/demotions",
                r#"{"to":"ready_for_testing","reason":"test"}"#,
            ),
        ],
    ),
    // Who is gone writes nothing; what moves keys then is judged by itself.
    never(
        "POST routes/{route}/environments/{environment}/writers/{instance}/gone",
        &[frozen(
            "routes/offered/environments/dev/writers/a/gone",
            REASON,
        )],
    ),
    never(
        "POST halts",
        &[frozen(
            "halts",
            r#"{"environment":"staging","routes":["tested"],"reason":"test"}"#,
        )],
    ),
    // Routes begin at ready_for_testing, which exposes nobody.
    never(
        "POST routes",
        &[
            frozen(
                "routes",
                r#"{"endpoint":"a.B/New","operation":"read","owner":"t","policy":"open"}"#,
            ),
            ramp(
                "routes",
                r#"{"endpoint":"a.B/New","operation":"read","owner":"t"}"#,
            ),
            probe(
                Untested,
                OPERATOR,
                "routes",
                r#"{"endpoint":"a.B/New","operation":"read","owner":"t","policy":"open"}"#,
            ),
        ],
    ),
    never(
        "POST routes:import",
        &[frozen(
            "routes:import",
            r#"[{"endpoint":"a.B/Row","operation":"read","owner":"t","policy":"open"}]"#,
        )],
    ),
    never(
        "POST routes/{route}/preparation",
        &[
            frozen(
                "routes/idea/preparation",
                r#"{"action":"estimate","estimate":"two days","reason":"test"}"#,
            ),
            frozen(
                "routes/idea/preparation",
                r#"{"action":"move_ahead","reason":"test"}"#,
            ),
            frozen(
                "routes/idea/preparation",
                r#"{"action":"complete","phase":"client_implementation","reason":"test"}"#,
            ),
        ],
    ),
    // What promotions are judged by.
    never(
        "POST routes/{route}/environments/{environment}/evidence",
        &[frozen(
            "routes/offered/environments/dev/evidence",
            r#"{"kind":"other","verdict":"pass","summary":"seen"}"#,
        )],
    ),
    never(
        "POST routes/{route}/environments/{environment}/approvals",
        &[frozen(
            "routes/offered/environments/dev/approvals",
            r#"{"to":"opt_out"}"#,
        )],
    ),
    never(
        "DELETE routes/{route}/environments/{environment}/approvals/{id}",
        &[frozen(
            "routes/offered/environments/dev/approvals/APPROVAL?reason=test",
            "",
        )],
    ),
    never(
        "PUT routes/{route}/plan",
        &[markdown(
            "routes/planned/plan?reason=test",
            "# All\n\n- [ ] Look\n",
        )],
    ),
    never(
        "PATCH routes/{route}/plan",
        &[frozen(
            "routes/planned/plan",
            r#"{"ordered":true,"reason":"test"}"#,
        )],
    ),
    never(
        "PATCH routes/{route}/plan/sections/{section}",
        &[frozen(
            "routes/planned/plan/sections/SECTION",
            r#"{"gate":"opt_out","reason":"test"}"#,
        )],
    ),
    never(
        "PATCH routes/{route}/plan/steps/{step}",
        &[frozen(
            "routes/planned/plan/steps/STEP",
            r#"{"done":true,"reason":"test"}"#,
        )],
    ),
    never(
        "DELETE routes/{route}/plan",
        &[frozen("routes/planned/plan?reason=test", "")],
    ),
    never(
        "PUT routes/{route}/runbook",
        &[markdown(
            "routes/planned/runbook?reason=test",
            "switchover halt planned",
        )],
    ),
    never(
        "DELETE routes/{route}/runbook",
        &[frozen("routes/planned/runbook?reason=test", "")],
    ),
    never(
        "PUT routes/{route}/externals/{name}",
        &[frozen(
            "routes/planned/externals/dns",
            r#"{"owner":"ada@example.com","description":"dns","reason":"test"}"#,
        )],
    ),
    never(
        "POST routes/{route}/externals/{name}/confirmation",
        &[frozen("routes/planned/externals/dns/confirmation", "{}")],
    ),
    never(
        "DELETE routes/{route}/externals/{name}/confirmation",
        &[frozen(
            "routes/planned/externals/dns/confirmation?reason=test",
            "",
        )],
    ),
    never(
        "DELETE routes/{route}/externals/{name}",
        &[frozen("routes/planned/externals/dns?reason=test", "")],
    ),
    never(
        "POST censuses",
        &[frozen(
            "censuses",
            r#"{"environment":"dev","site":"acme","taken_at":"2026-01-05T00:00:00Z","overrides":{},"reason":"test"}"#,
        )],
    ),
    never(
        "DELETE censuses/{environment}/{site}",
        &[frozen("censuses/dev/acme?reason=test", "")],
    ),
    never(
        "POST releases",
        &[
            frozen(
                "releases",
                r#"{"environment":"on-prem","name":"17.5.0","reason":"test"}"#,
            ),
            frozen(
                "releases",
                r#"{"environment":"on-prem","name":"17.6.0","reason":"test"}"#,
            ),
        ],
    ),
    never(
        "POST releases/{environment}/{release}/publish",
        &[frozen("releases/on-prem/17.5.0/publish", REASON)],
    ),
    never(
        "DELETE releases/{environment}/{release}",
        &[frozen("releases/on-prem/17.6.0?reason=test", "")],
    ),
    // It is only asked what an SDK would decide.
    never(
        "POST routes/{route}/environments/{environment}/explain",
        &[frozen(
            "routes/offered/environments/dev/explain",
            r#"{"key":"k0"}"#,
        )],
    ),
    never("POST audit/verify", &[frozen("audit/verify", "{}")]),
    never("POST audit/checkpoints", &[frozen("audit/checkpoints", "")]),
    never(
        "POST sdk-keys",
        &[frozen("sdk-keys", r#"{"environment":"dev","name":"web"}"#)],
    ),
    never(
        "DELETE sdk-keys/{id}",
        &[frozen("sdk-keys/KEY?reason=test", "")],
    ),
    // Others are told of what is put on record.
    never(
        "POST webhooks",
        &[frozen(
            "webhooks",
            r#"{"name":"room","url":"https://example.com/","reason":"test"}"#,
        )],
    ),
    never(
        "PATCH webhooks/{id}",
        &[frozen(
            "webhooks/WEBHOOK",
            r#"{"name":"other room","reason":"test"}"#,
        )],
    ),
    never(
        "POST webhooks/{id}/rotate",
        &[frozen("webhooks/WEBHOOK/rotate", r#"{"reason":"test"}"#)],
    ),
    never(
        "POST webhooks/{id}/test",
        &[frozen("webhooks/WEBHOOK/test", "")],
    ),
    never(
        "POST webhooks/{id}/deliveries/{delivery}/redeliver",
        &[frozen("webhooks/WEBHOOK/deliveries/DELIVERY/redeliver", "")],
    ),
    never(
        "DELETE webhooks/{id}",
        &[frozen("webhooks/WEBHOOK?reason=test", "")],
    ),
    never(
        "POST tokens/revocations",
        &[frozen(
            "tokens/revocations",
            r#"{"jti":"0199c0de-0000-7000-8000-000000000000","reason":"test"}"#,
        )],
    ),
    // A retired route was mandatory everywhere before.
    never(
        "POST routes/{route}/retire",
        &[probe(
            Untested,
            ADMIN,
            "routes/over/retire",
            r#"{"reason":"test","break_glass":true}"#,
        )],
    ),
    // Where the code speaks of routes is a note.
    never(
        "POST references",
        &[frozen(
            "references",
            r#"{"repository":"a/b","revision":"1","files":1,"routes":{"over":0}}"#,
        )],
    ),
    never(
        "DELETE references",
        &[frozen("references?repository=a/b&reason=test", "")],
    ),
    // What is decided about policies and environments changes what comes after, and nothing now.
    never(
        "POST policies",
        &[
            frozen("policies", r#"{"policy":{"name":"own"},"reason":"test"}"#),
            probe(
                Ramp,
                ADMIN,
                "policies",
                r#"{"policy":{"name":"own"},"reason":"test"}"#,
            ),
        ],
    ),
    never(
        "DELETE policies/{policy}",
        &[frozen("policies/own?reason=test", "")],
    ),
    never(
        "PATCH environments/{environment}",
        &[
            frozen(
                "environments/production",
                r#"{"production":false,"reason":"test"}"#,
            ),
            frozen("environments/on-prem", r#"{"position":40,"reason":"test"}"#),
            frozen(
                "environments/production",
                r#"{"position":30,"reason":"test"}"#,
            ),
            probe(
                Untested,
                ADMIN,
                "environments/on-prem",
                r#"{"position":40,"reason":"test"}"#,
            ),
            probe(
                Untested,
                ADMIN,
                "environments/production",
                r#"{"production":false,"reason":"test"}"#,
            ),
        ],
    ),
    never(
        "POST environments",
        &[
            frozen(
                "environments",
                r#"{"key":"first","kind":"hosted","position":0}"#,
            ),
            frozen(
                "environments",
                r#"{"key":"sites","kind":"on_prem","position":20}"#,
            ),
            probe(
                Untested,
                ADMIN,
                "environments",
                r#"{"key":"first","kind":"hosted","position":0,"production":true}"#,
            ),
            probe(
                Untested,
                ADMIN,
                "environments",
                r#"{"key":"sites","kind":"on_prem","position":20}"#,
            ),
        ],
    ),
    never(
        "POST freezes",
        &[frozen(
            "freezes",
            r#"{"environments":["dev"],"reason":"another"}"#,
        )],
    ),
    // What is let go again has to be raised by somebody first.
    never(
        "DELETE freezes/{id}",
        &[frozen("freezes/FREEZE?reason=test", "")],
    ),
];
