#!/usr/bin/env bash
# The life of one route, from its import until it is retired, by the command line alone.
#
#   docs/examples/gitaly/walk.sh [SWITCHOVER [TRAFFIC]]
#
# SWITCHOVER is the program, built so that its clock can be moved; TRAFFIC is an application that
# calls the route all the time, an example of the SDK:
#
#   cargo build -p switchover-server --features test-clock
#   cargo build -p switchover --example traffic
#
# The walk starts a server of its own on a free port of this machine, on a temporary directory, and
# takes both away at its end. Months pass in it: whenever the policy asks to wait, it moves the
# server's clock.
#
# Every line that begins with a name and a `$` is a command which that person gives; below it
# stands what the program answers. The walk stops where something is not as it must be, and says
# at which step.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
switchover=${1:-$here/../../../target/debug/switchover}
traffic=${2:-$(dirname "$switchover")/examples/traffic}
route=find_commit
flag=GITALY_FIND_COMMIT

# ---------------------------------------------------------------------------------------------
# How the walk speaks, runs commands and looks at what they answer
# ---------------------------------------------------------------------------------------------

work=$(mktemp -d)
server=
applications=
number=0
title="getting ready"

finish() {
    local status=$?
    trap - EXIT
    if [ "$status" -ne 0 ]; then
        printf '\nFAILED at step %s, %s\n' "$number" "$title" >&2
        if grep -q -E 'WARN|ERROR' "$work/log" 2>/dev/null; then
            printf 'what the server has complained of:\n' >&2
            grep -E 'WARN|ERROR' "$work/log" | tail -n 5 >&2
        fi
    fi
    for process in $applications $server; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step() {
    number=$((number + 1))
    title=$1
    printf '\n== %s. %s\n' "$number" "$title"
}

say() { printf '\n-- %s\n' "$*"; }

fail() {
    printf '\nnot as it must be: %s\n' "$*" >&2
    exit 1
}

# run STATUS PERSON ARGUMENT…: gives the command as this person, shows what it answers, and wants
# this exit status. What was answered is in $answer.
run() {
    local wanted=$1 who=$2 status=0 word words=
    shift 2
    for word in "$@"; do
        case $word in
        *[[:space:]]*) words="$words \"$word\"" ;;
        *) words="$words $word" ;;
        esac
    done
    words=${words//$work\//}
    printf '%s$ switchover%s\n' "$who" "${words//$here\//}"
    answer=$(SWITCHOVER_TOKEN=$(cat "$work/$who.token") "$switchover" "$@" 2>&1) || status=$?
    answer=${answer//$work\//}
    [ -z "$answer" ] || printf '%s\n' "$answer" | sed -n "1,${lines:-1000}p"
    [ "$status" -eq "$wanted" ] || fail "exit status $status where $wanted was expected"
}

# as PERSON ARGUMENT…: a command that has to succeed.
as() { run 0 "$@"; }

# refused PERSON ARGUMENT…: a command that the server has to refuse; why stands behind it, as `told`.
refused() { run 1 "$@"; }

# told TEXT…: all of this stands in the last answer.
told() {
    local text
    for text in "$@"; do
        case $answer in
        *"$text"*) ;;
        *) fail "the answer does not say: $text" ;;
        esac
    done
}

# not_told TEXT: this does not stand in the last answer.
not_told() {
    case $answer in
    *"$1"*) fail "the answer says: $1" ;;
    esac
}

# path WANTED ENVIRONMENT ARGUMENT…: which path a caller gets there and why, without the chain of
# rules that leads to it.
path() {
    local wanted=$1
    shift
    lines=1 as ann explain $route "$@"
    told "$wanted"
}

# ask ARGUMENT…: a question of the walk itself, which it does not show.
ask() { "$switchover" "$@" --token "$(cat "$work/ann.token")"; }

# application NAME ENVIRONMENT [VARIABLE=VALUE]: an application that calls the route there all the
# time, until the walk ends; its process is in $process.
application() {
    local name=$1 environment=$2
    shift 2
    as ada sdk-key create --environment "$environment" --name "$name"
    env "$@" SWITCHOVER_SDK_KEY="${answer##*$'\n'}" "$traffic" $route --rate 500 \
        >"$work/$name.says" 2>"$work/$name.log" &
    process=$!
    applications="$applications $process"
    for _ in $(seq 300); do
        if grep -q '^ready' "$work/$name.says"; then return; fi
        kill -0 "$process" 2>/dev/null || fail "$name has not started: $(cat "$work/$name.log")"
        sleep 0.1
    done
    fail "$name does not reach the server"
}

# reported ENVIRONMENT: waits until the applications have reported enough for the gates.
reported() {
    local _
    for _ in $(seq 300); do
        answer=$(ask gates $route "$1" --json)
        case $answer in
        *'"gate":"telemetry","state":"pass"'*) ;;
        *) sleep 0.1 && continue ;;
        esac
        case $answer in
        *'"gate":"code_deployed","state":"pass"'*) return ;;
        esac
        sleep 0.1
    done
    as ann gates $route "$1"
    fail "the applications in $1 have not reported enough"
}

# The server's clock is ahead of this machine's by so many seconds.
ahead=0
move_clock() {
    ahead=$((ahead + $1))
    # In one piece: the server may look at any moment.
    printf '%s\n' "$ahead" >"$work/clock.new"
    mv "$work/clock.new" "$work/clock"
}

hours_pass() {
    if [ "$1" -eq 1 ]; then say "An hour passes"; else say "$1 hours pass"; fi
    move_clock $(($1 * 3600))
}

days_pass() {
    if [ "$1" -eq 1 ]; then say "A day passes"; else say "$1 days pass"; fi
    move_clock $(($1 * 86400))
}

# on FORMAT [DAYS]: the server's time, or that so many days later, as `date` writes it.
on() {
    local at=$(($(date +%s) + ahead + ${2:-0} * 86400))
    # As GNU takes it, or as BSD does.
    date -u -d "@$at" "+$1" 2>/dev/null || date -u -r "$at" "+$1"
}

time_in() { on %Y-%m-%dT%H:%M:%SZ "$1"; }
day_in() { on %Y-%m-%d "$1"; }

# census SITE ARGUMENT…: what the site writes down. Its clock is this machine's, which the walk
# leaves alone, so the time in the file is moved as the server's clock is.
census() {
    local site=$1 file=$work/$1.census.json
    shift
    as otto census --site "$site" "$@" --output "$file"
    sed "s/\"taken_at\": \"[^\"]*\"/\"taken_at\": \"$(time_in 0)\"/" "$file" >"$file.new"
    mv "$file.new" "$file"
}

# ---------------------------------------------------------------------------------------------

step "A server, and five people"

[ -x "$switchover" ] || fail "there is no program $switchover: build it, or say where it is"
# Nothing that is set for another server has a say here.
unset SWITCHOVER_CONFIG SWITCHOVER_DATABASE_URL SWITCHOVER_LISTEN SWITCHOVER_TOKEN \
    SWITCHOVER_SIGNING_KEY SWITCHOVER_MANIFEST_KEY RUST_LOG
export SWITCHOVER_DATA_DIR=$work/data NO_COLOR=1

printf '0\n' >"$work/clock"
"$switchover" serve --listen 127.0.0.1:0 --clock-file "$work/clock" \
    >"$work/says" 2>"$work/log" &
server=$!
for _ in $(seq 300); do
    if grep -q '^ready' "$work/says"; then break; fi
    kill -0 "$server" 2>/dev/null || fail "the server has not started: $(cat "$work/log")"
    sleep 0.1
done
SWITCHOVER_URL=$(sed -n 's/^page *\(.*\)\/$/\1/p' "$work/says")
[ -n "$SWITCHOVER_URL" ] || fail "the server does not say where it is"
export SWITCHOVER_URL
echo "the server listens on this machine alone"

# Each has a token of their own, so the record says who did what.
while read -r who role; do
    "$switchover" token create --role "$role" --subject "$who@example.com" >"$work/$who.token"
    echo "$who is $role"
done <<'PEOPLE'
otto operator
mia maintainer
max maintainer
ada admin
ann viewer
PEOPLE

step "The routes"

as ada route import "$here/routes.json"
told "imported 115 routes"
refused ann halt $route dev --reason "I only look"
told "needs the role operator"

say "One more route, that nobody has built yet, goes through its preparation"
as otto route add gitaly.RepositoryService/ObjectFormat --operation read --owner gitaly --prepare
told "analysis"
refused mia promote object_format dev --reason "too early"
told "is not ready"
as otto prepare object_format estimate --estimate 5 --priority 1 --reason "looked at the callers"
as mia prepare object_format move-ahead --reason "a week is worth it"
as otto backlog
told object_format
as otto prepare object_format complete rpc_design --reason "the proto is merged"
as otto prepare object_format complete server_implementation --reason "in Gitaly 1.90"
as otto prepare object_format complete client_implementation --reason "in the application"
told "is ready for testing"

step "What this route needs: applications, days, a plan"

say "It is under the policy gitaly, as every route that names no other"
as ann policy show gitaly
say "In each hosted environment an application has both paths in its code, and reports"
[ -x "$traffic" ] || fail "there is no program $traffic: build it, or say where it is"
for environment in dev staging production; do
    application "web-$environment" $environment
done
as mia route schedule $route \
    "production.opt_in=$(day_in 4)" "production.opt_out=$(day_in 12)" \
    "on-prem.opt_in=$(day_in 4)" "on-prem.mandatory=$(day_in 40)" --reason "planned with support"
as mia plan put $route "$here/plan.md" --reason "how it goes"
as ann plan show $route
told "0 of 5 steps done"

say "Until something happens, every call takes the old path; the first rule that applies says so"
as ann explain $route production
told "old path, because default_off"
as ann gates $route production
told "gates do not pass" acceptance rollback_drill telemetry runbook dashboard alert approval

# tick PERSON STEP REASON: ticks the step of the plan in whose text this stands.
tick() {
    local id
    id=$(ask plan show $route | sed -n "s/^ *\[.\] \([0-9a-f]*\)  .*$2.*/\1/p")
    as "$1" plan check $route "$id" --reason "$3"
}

# evidence ENVIRONMENT: what the tests there have shown.
evidence() {
    as otto evidence add $route "$1" --kind performance --verdict pass \
        --summary "p99 of 12 ms, as on the old path" --link "https://grafana.example.com/d/$1"
    as otto evidence add $route "$1" --kind resources,error_rate --verdict pass \
        --summary "no more memory, no error in 10,000 calls"
}

# drill ENVIRONMENT: calls take the new path, a halt takes them off it, a resume brings them back.
drill() {
    as otto halt $route "$1" --reason "rollback drill"
    told HALTED
    path "old path, because halted" "$1" --key project-1
    hours_pass 1
    as otto resume $route "$1" --reason "the drill went well"
}

step "Acceptance testing in dev: the route is turned on"

as otto setting $route dev on --reason "acceptance test"
path "new path, because on" dev
say "Who wants out nevertheless, sets the variable"
path "old path, because env_off" dev --env $flag=0
drill dev
evidence dev
as otto setting $route dev stage_default --reason "tested"

step "Acceptance testing in staging: a window for every key"

hours_pass 20
as mia acceptance $route staging --until "$(time_in 1)" --percent 100 --reason "acceptance test"
told "acceptance window"
drill staging
evidence staging
as mia acceptance $route staging --close --reason "tested"
path "old path, because default_off" staging

step "Acceptance testing in production: a window with an end and a share"

hours_pass 20
say "There is no other way in: nobody turns it on here before it is accepted"
refused mia setting $route production on --reason "just a moment"
told "only within an acceptance window"
as mia acceptance $route production --until "$(time_in 1)" --percent 5 --cohort project-1 \
    --reason "a twentieth of the projects, for a day"
path "new path" production --key project-1
drill production
evidence production
tick otto "Compare the answers" "a window each in three environments"
tick otto "Halt it once" "the drill of today"

say "The window closes by itself"
hours_pass 24
for _ in $(seq 100); do
    answer=$(ask route show $route)
    case $answer in
    *window*) sleep 0.1 ;;
    *) break ;;
    esac
done
as ann history $route --environment production --limit 1
told acceptance_close
path "old path, because default_off" production --key project-1

step "Opt-in in dev and staging"

refused otto promote $route production --reason "it was tested there"
told "needs the role maintainer"
refused mia promote $route production --reason "it was tested there"
told "order: fail"
say "What applications report has to be fresh: the calls of the last hour count"
refused otto promote $route dev --to opt_in --reason "tested"
told "telemetry: insufficient"
for environment in dev staging; do
    as otto setting $route $environment on --reason "the hour before opt-in"
    reported $environment
    as ann telemetry $route $environment
    as otto promote $route $environment --reason "tested, and it runs well now"
    as otto setting $route $environment stage_default --reason "the stage says so now"
done
path "new path, because default_on" dev

step "Review, then opt-in in production"

say "A promotion that is refused says all that is missing, and how to get it"
refused mia promote $route production --reason "tested"
told "runbook: fail" "dashboard: fail" "alert: fail" "approval: fail"

say "The runbook is kept here. One that does not say how to turn the route off is none"
printf '# %s\n\nCall Otto.\n' $flag >"$work/note.md"
as mia runbook put $route "$work/note.md" --reason "for whoever is on call"
told "it lacks how to turn it off"
refused mia promote $route production --reason "tested"
told "runbook: fail: the one that is kept here lacks"

say "A good one begins with what the program knows"
as mia runbook template $route
printf '%s\n' "$answer" >"$work/runbook.md"
as mia runbook put $route "$work/runbook.md" --reason "with all commands"
as mia route update $route --dashboard https://grafana.example.com/d/$route \
    --alert https://alerts.example.com/$route --reason "made for this route"
tick otto "Put the route on the dashboard" "it is there"

say "In a freeze nothing goes on"
as mia freeze open production --until "$(time_in 2)" --reason "the weekend"
refused mia promote $route production --reason "tested"
told "incident: fail"
days_pass 2

say "A share of the calls once more, so that what is reported is of today"
as mia acceptance $route production --until "$(time_in 1)" --percent 25 \
    --reason "the hour before opt-in"
reported production

say "Mia promotes, so her own approval does not count; Max has to look"
as mia approve $route production --comment "mine"
refused mia promote $route production --reason "tested"
told "approval: fail"
as max approve $route production --comment "read the evidence and the runbook"

say "An approval is for what was looked at: more evidence, and it has to be given again"
as otto evidence add $route production --kind other --verdict pass --summary "and the logs are quiet"
refused mia promote $route production --reason "tested"
told "approval: fail"
as max approve $route production --comment "read the logs too"

reported production
as mia promote $route production --reason "tested, reviewed"
told "ready_for_testing -> opt_in"
path "new path, because default_on" production

step "Opt-in on premises, and the first release"

# approved ENVIRONMENT REASON: Max approves, Mia promotes to the next stage.
approved() {
    as max approve $route "$1" --comment "looked at it"
    as mia promote $route "$1" --reason "$2"
}

reported on-prem
approved on-prem "accepted in every hosted environment"
path "old path, because default_off" on-prem
path "new path, because env_on" on-prem --env $flag=1
as mia release create 17.5.0 --reason "feature freeze"
told "is a draft"
refused max release create 17.6.0 --after 17.4.0 --reason "after a release that there is not"
told "there is no release 17.4.0"
as mia release publish 17.5.0 --reason "17.5.0 is out"
as mia release manifest 17.5.0 --output "$work/17.5.0.json"

step "Opt-out everywhere, seven days later"

days_pass 6
say "In dev and staging the week is over; in production, where the freeze came between, it is not"
approved dev "a week without a complaint"
approved staging "a week without a complaint"
refused mia promote $route production --reason "it runs well in staging"
told "soak: fail" "leave it as it is until"
days_pass 1
approved production "a week without a complaint"
approved on-prem "17.5.0 was out for a week"
path "new path, because default_on" on-prem
path "old path, because env_off" on-prem --env $flag=0

step "The next release, and what it changes for an installation"

as mia release create 17.6.0 --after 17.5.0 --reason "feature freeze"
as mia release publish 17.6.0 --reason "17.6.0 is out"
as mia release manifest 17.6.0 --output "$work/17.6.0.json"
as ada release key show
key=${answer%% *}

say "This site has opted out. Before it upgrades, it asks what becomes of that; this needs no server"
printf '# Gitaly\n%s=0\n' $flag >"$work/site.env"
as ann forecast --from "$work/17.5.0.json" --to "$work/17.6.0.json" \
    --env-file "$work/site.env" --manifest-key "$key"
told "signatures: good" "overrides that stop working: 0"
echo "exit status 0: every override goes on working"

step "Mandatory in every hosted environment, fourteen days later"

days_pass 14
say "Who still holds it back? Each site says which variables are set there"
: >"$work/quiet.env"
printf 'export %s=0\n' $flag >"$work/web.env"
census dev-1 --environment dev --env-file "$work/quiet.env"
as otto census import "$work/dev-1.census.json" --environment dev --reason "before mandatory"
approved dev "nobody has opted out"
census staging-1 --environment staging --env-file "$work/quiet.env"
as otto census import "$work/staging-1.census.json" --environment staging --reason "before mandatory"
approved staging "nobody has opted out"

census web-1 --environment production --env-file "$work/web.env"
as otto census import "$work/web-1.census.json" --environment production --reason "before mandatory"
as max approve $route production --comment "looked at it"
refused mia promote $route production --reason "nobody has opted out, I think"
told "census: fail" "$flag=0 is set in web-1"

say "The variable is taken away there"
hours_pass 1
census web-1 --environment production --env-file "$work/quiet.env"
as otto census import "$work/web-1.census.json" --environment production --reason "it is gone"
approved production "nobody has opted out"
path "new path, because mandatory" production --env $flag=0

step "Mandatory on premises: installations get a month"

refused mia promote $route on-prem --reason "everybody else has it"
told "soak: fail" "census: insufficient"
days_pass 16
tick otto "Write to the sites" "acme-berlin knows"
tick otto "Remove the old path" "in the branch of 17.7.0"
census acme-berlin --manifest "$work/17.6.0.json" --manifest-key "$key" \
    --env-file "$work/site.env"
as otto census import "$work/acme-berlin.census.json" --environment on-prem --reason "quarterly round"
as max approve $route on-prem --comment "the site knows"
as mia gates $route on-prem
told "every gate passes for you" "1 of 1 sites have $flag=0 and will lose it"
as mia promote $route on-prem --reason "the month is over, and the site knows"
told "opt_out -> mandatory"

step "The third release: the variable of that site dies"

as mia release create 17.7.0 --after 17.6.0 --reason "feature freeze"
as mia release publish 17.7.0 --reason "17.7.0 is out"
as mia release manifest 17.7.0 --output "$work/17.7.0.json"
run 1 ann forecast --from "$work/17.6.0.json" --to "$work/17.7.0.json" \
    --env-file "$work/site.env" --manifest-key "$key"
told "STOPS WORKING" "overrides that stop working: 1"
echo "exit status 1: an override stops working"

step "Retired"

refused otto halt $route production --reason "is there a way back?"
told "where a halt has no effect"
refused mia route retire $route --reason "the old path is gone from the code"
told "no repository has been scanned"
mkdir "$work/code"
echo "the_new_path()" >"$work/code/find_commit.rb"
as otto refs "$work/code" --post --repository group/project --revision 4f1c2d9
told "posted"
as mia route retire $route --reason "the old path is gone from the code"
told "is retired"
path "new path, because mandatory" on-prem --env $flag=0
refused ada demote $route dev --to opt_out --break-glass --reason "and now?"
told "which is final"

step "What is on record"

as ann report $route
told "# Migration of \`$route\`" "Retired on" "## Halts" "3 in all" "## Evidence" "## Approvals"
as ann audit verify
told "intact"
as otto audit checkpoint --output "$work/checkpoint"
as ann audit export --output "$work/record.jsonl"

say "The server is stopped; what was exported is verified without it"
kill "$server"
wait "$server" || true
server=
as ann audit verify --file "$work/record.jsonl" --checkpoint "$work/checkpoint"
told "intact: all" "fits"

printf '\nDONE: %s went from its import to retired in %s days of the clock of the server; all %s steps hold\n' \
    "$route" "$((ahead / 86400))" "$number"
