//! The tables, as both engines have them.

diesel::table! {
    meta (name) { name -> Text, value -> Text, }
}
diesel::table! {
    environments (key) {
        key -> Text, kind -> Text, position -> Integer, production -> Bool, revision -> BigInt,
        generation -> BigInt, created_at -> Timestamp,
    }
}
diesel::table! {
    routes (key) {
        key -> Text, flag -> Text, endpoint -> Text, operation -> Text, owner -> Text,
        policy -> Text, ramp_group -> Nullable<Text>, labels -> Text, contacts -> Text,
        description -> Text, links -> Text, retired_at -> Nullable<Timestamp>,
        revision -> BigInt, created_at -> Timestamp, preparation -> Nullable<Text>,
        phase -> Text, priority -> Nullable<Integer>, schedule -> Text,
        policy_numbers -> Text,
    }
}
diesel::table! {
    requirements (route, required) { route -> Text, required -> Text, }
}
diesel::table! {
    rollouts (route, environment) {
        route -> Text, environment -> Text, stage -> Text, stage_since -> Timestamp,
        setting_mode -> Text, setting_thousandths -> Nullable<Integer>, include -> Text,
        exclude -> Text, halt -> Nullable<Text>, acceptance -> Nullable<Text>,
        acceptance_until -> Nullable<Timestamp>, revision -> BigInt, published_at -> BigInt,
        changed_at -> Timestamp, demoted_at -> Nullable<Timestamp>, drill -> Text,
        ramp -> Nullable<Text>, ramp_due -> Nullable<Timestamp>, guard_halts -> Text,
        mirror -> Nullable<Text>, uses -> Nullable<Text>, data -> Nullable<Text>,
        flip_until -> Nullable<Timestamp>,
    }
}
diesel::table! {
    cohorts (name) {
        name -> Text, keys -> Text, description -> Text, revision -> BigInt,
        changed_at -> Timestamp,
    }
}
diesel::table! {
    ramp_groups (name) { name -> Text, keys -> Text, description -> Text, }
}
diesel::table! {
    approvals (id) {
        id -> Text, route -> Text, environment -> Text, to_stage -> Text, approver -> Text,
        digest -> Text, comment -> Text, created_at -> Timestamp,
        withdrawn_at -> Nullable<Timestamp>,
    }
}
diesel::table! {
    plans (route) {
        route -> Text, source -> Nullable<Text>, ordered -> Nullable<Bool>, revision -> BigInt,
        put_by -> Text, put_at -> Timestamp,
    }
}
diesel::table! {
    plan_gates (route, section) { route -> Text, section -> Text, gate -> Nullable<Text>, }
}
diesel::table! {
    plan_steps (route, step) {
        route -> Text, step -> Text, done -> Nullable<Bool>, done_by -> Nullable<Text>,
        done_at -> Nullable<Timestamp>, note -> Nullable<Text>, waits_for -> Nullable<Text>,
    }
}
diesel::table! {
    stage_history (route, environment, revision) {
        route -> Text, environment -> Text, revision -> BigInt, stage -> Text,
        entered_at -> Timestamp, entered_by -> Text,
    }
}
diesel::table! {
    runbooks (route) { route -> Text, text -> Text, put_by -> Text, put_at -> Timestamp, }
}
diesel::table! {
    externals (route, name) {
        route -> Text, name -> Text, owner -> Text, description -> Text,
        stage -> Nullable<Text>, confirmed -> Nullable<Text>,
    }
}
diesel::table! {
    policies (name, version) {
        name -> Text, version -> Integer, document -> Text, created_by -> Text,
        created_at -> Timestamp, deleted_at -> Nullable<Timestamp>,
    }
}
diesel::table! {
    evidence (id) {
        id -> Text, route -> Text, environment -> Text, kind -> Text, verdict -> Text,
        url -> Nullable<Text>, summary -> Text, created_by -> Text, created_at -> Timestamp,
    }
}
diesel::table! {
    freezes (id) {
        id -> Text, environments -> Text, starts_at -> Timestamp, ends_at -> Nullable<Timestamp>,
        reason -> Text, opened_by -> Text, opened_at -> Timestamp,
        closed_at -> Nullable<Timestamp>,
    }
}
diesel::table! {
    promotions (id) {
        id -> Text, route -> Text, environment -> Text, to_stage -> Text, promoter -> Text,
        break_glass -> Bool, created_at -> Timestamp,
    }
}
diesel::table! {
    promotion_approvals (promotion, approval) {
        promotion -> Text, promoter -> Text, approval -> Text, approver -> Text,
    }
}
diesel::table! {
    audit_head (id) { id -> Integer, seq -> BigInt, hash -> Text, }
}
diesel::table! {
    audit (seq) {
        seq -> BigInt, at -> Timestamp, subject -> Text, action -> Text, route -> Nullable<Text>,
        environment -> Nullable<Text>, entry -> Text, hash -> Text,
    }
}
diesel::table! {
    audit_checkpoints (seq) { seq -> BigInt, hash -> Text, at -> Timestamp, signed -> Text, }
}
diesel::table! {
    sdk_keys (id) {
        id -> Text, environment -> Text, name -> Text, hash -> Text, created_by -> Text,
        created_at -> Timestamp, revoked_at -> Nullable<Timestamp>, kind -> Text,
    }
}
diesel::table! {
    revoked_tokens (jti) {
        jti -> Text, revoked_by -> Text, reason -> Text, revoked_at -> Timestamp,
    }
}
diesel::table! {
    idempotency (subject, method, path, key) {
        subject -> Text, method -> Text, path -> Text, key -> Text, body_hash -> Text,
        status -> Integer, etag -> Nullable<Text>, body -> Text, created_at -> Timestamp,
    }
}
diesel::table! {
    releases (environment, name) {
        environment -> Text, name -> Text, build -> BigInt, state -> Text,
        follows -> Nullable<Text>, based_on -> Nullable<Text>, routes -> BigInt, digest -> Text,
        manifest -> Text, frozen_at -> Timestamp, built_at -> Timestamp, built_by -> Text,
        published_at -> Nullable<Timestamp>, published_by -> Nullable<Text>,
    }
}
diesel::table! {
    release_stages (environment, route, release) {
        environment -> Text, route -> Text, release -> Text, stage -> Text,
    }
}
diesel::table! {
    release_builds (environment, name) { environment -> Text, name -> Text, build -> BigInt, }
}
diesel::table! {
    censuses (environment, site) {
        environment -> Text, site -> Text, release -> Nullable<Text>, taken_at -> Timestamp,
        imported_at -> Timestamp, imported_by -> Text, overrides -> Text, ignored -> Text,
    }
}
diesel::table! {
    writers (environment, route, instance) {
        environment -> Text, route -> Text, instance -> Text, name -> Text, joined_at -> BigInt,
        seen_at -> BigInt, generation -> BigInt, drained -> Nullable<BigInt>, fenced -> BigInt,
        unverified -> Nullable<Text>, open_repairs -> BigInt, gone -> Nullable<Text>,
        gone_at -> Nullable<BigInt>, returned_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    stores (environment, route) {
        environment -> Text, route -> Text, state -> Text, due_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    repairs (environment, route, key, instance) {
        environment -> Text, route -> Text, key -> Text, instance -> Text, written -> Text,
        generation -> BigInt, cause -> Text, state -> Text, attempts -> BigInt,
        failed_at -> Nullable<Text>, first_at -> BigInt, last_at -> BigInt,
        settled_at -> Nullable<BigInt>, settled_by -> Nullable<Text>,
        settled_why -> Nullable<Text>, ordered -> Nullable<Text>, leased_to -> Nullable<Text>,
        leased_until -> Nullable<BigInt>,
    }
}
diesel::table! {
    backfills (id) {
        id -> Text, environment -> Text, route -> Text, begun_at -> BigInt, document -> Text,
    }
}
diesel::table! {
    consistency_runs (id) {
        id -> Text, environment -> Text, route -> Text, state -> Text, due -> BigInt,
        document -> Text,
    }
}
diesel::table! {
    code_scans (repository) {
        repository -> Text, revision -> Text, scanned_at -> BigInt, posted_at -> BigInt,
        posted_by -> Text, files -> BigInt, routes -> BigInt, uses -> BigInt,
    }
}
diesel::table! {
    code_references (repository, route) {
        repository -> Text, route -> Text, uses -> BigInt, places -> Text,
    }
}
diesel::table! {
    webhooks (id) {
        id -> Text, document -> Text, url -> Text, secrets -> Text, position -> BigInt,
        failing_since -> Nullable<BigInt>, delivered_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    webhook_deliveries (id) {
        id -> Text, webhook -> Text, message -> Text, state -> Text, due_at -> Nullable<BigInt>,
        document -> Text,
    }
}
diesel::joinable!(rollouts -> routes (route));
diesel::allow_tables_to_appear_in_same_query!(rollouts, routes, requirements);
diesel::allow_tables_to_appear_in_same_query!(releases, release_stages);
