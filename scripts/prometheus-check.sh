#!/usr/bin/env bash
# Checks the metrics in a real Prometheus. Starts Debian's Prometheus and node_exporter on loopback,
# runs psm-uring as its service does, and queries the values with PromQL. They must equal those of
# the file and, for recorded processes, those of table and JSON. Takes some ten seconds and ends all
# processes it started. Prints SKIPPED and the reason if packages are missing and cannot be
# installed.
#
#     scripts/prometheus-check.sh
#
# PSM_URING names the program to check instead of the one that cargo builds.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

unit=packaging/systemd/psm-uring.service
fixture=$PWD/tests/data/procfs/ordinary
program=${PSM_URING:-}
started=()
work=

die() {
    echo "prometheus-check.sh: $*" >&2
    [ -z "$work" ] || tail -n 5 "$work"/*.log >&2 || true
    exit 1
}

clean_up() {
    if [ ${#started[@]} -gt 0 ]; then
        kill -KILL "${started[@]}" 2>/dev/null || true
        wait "${started[@]}" 2>/dev/null || true
    fi
    [ -z "$work" ] || rm -rf "$work"
}

# missing [install]: prints the missing packages, after an attempt to install them if asked to.
missing() {
    local tool packages=()
    for tool in prometheus:prometheus prometheus-node-exporter:prometheus-node-exporter \
        curl:curl jq:jq setpriv:util-linux; do
        command -v "${tool%:*}" >/dev/null || packages+=("${tool#*:}")
    done
    [ ${#packages[@]} -gt 0 ] || return 0
    if [ "${1:-}" = install ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 120 apt-get install -qq \
            --no-install-recommends -y "${packages[@]}"; } >/dev/null 2>&1 || true
        missing
    else
        echo "${packages[@]}"
    fi
}

# Prints a free port of loopback.
free_port() {
    local port
    for port in $(shuf -i 20000-32000 -n 50); do
        (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
    die "no port of 127.0.0.1 is free"
}

# in_time WHAT COMMAND...: repeats the command until it succeeds, for at most 30 s.
in_time() {
    local what=$1 end=$((SECONDS + 30))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || die "$what: not within 30 s"
        sleep 0.2
    done
}

start() {
    local node prometheus
    node=127.0.0.1:$(free_port)
    prometheus=127.0.0.1:$(free_port)
    printf '%s\n' "global: {scrape_interval: 1s}" "scrape_configs:" \
        "  - {job_name: node, static_configs: [{targets: ['$node']}]}" >"$work/prometheus.yml"
    prometheus-node-exporter --web.listen-address="$node" --collector.disable-defaults \
        --collector.textfile --collector.textfile.directory="$work/textfile" \
        >"$work/node.log" 2>&1 &
    started+=($!)
    prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
        --web.listen-address="$prometheus" >"$work/prometheus.log" 2>&1 &
    started+=($!)
    api=http://$prometheus/api/v1/query
    in_time "Prometheus answers" curl -sf "http://$prometheus/-/ready"
}

# query PROMQL: prints one line per sample, in the format of the file.
query() {
    curl -sf --max-time 10 --data-urlencode "query=$1" "$api" | jq -r '
        .data.result[] | (.metric | del(.__name__, .instance, .job)) as $labels
        | ($labels | to_entries | map("\(.key)=\(.value | tojson)") | join(",")) as $inner
        | "\(.metric.__name__ // "")\(if $inner == "" then "" else "{\($inner)}" end) \(.value[1])"'
}

# Runs the command of the unit with the unit's capability, for this program and directory.
run_service() {
    local line command as=()
    line=$(sed -n 's/^ExecStart=//p' "$unit")
    read -ra command <<<"${line//\/var\/lib\/psm-uring/$work/textfile}"
    command[0]=$program
    if [ "$(id -u)" = 0 ]; then
        chown 65534:65534 "$work/textfile"
        as=(setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs
            --inh-caps=-all,+sys_ptrace --ambient-caps=-all,+sys_ptrace
            --bounding-set=-all,+sys_ptrace)
        # Root of a container may lack the capability. Then the program measures fewer processes,
        # still with correct figures.
        if ! "${as[@]}" true 2>/dev/null; then
            echo "SKIPPED the capability of the service: this user cannot grant it"
            as=(setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs)
        fi
    fi
    "${as[@]}" "${command[@]}" "$@" || die "the command of $unit failed"
    # A new file has a new start time. Wait for the scrape that returns it.
    began=$(grep '^psm_uring_start_time_seconds ' "$work/textfile/psm-uring.prom" | plain)
    in_time "the file is scraped" is_scraped
}

# Removes trailing zeros after the decimal point.
plain() {
    sed -E 's/(\.[0-9]*[1-9])0+$/\1/; s/\.0+$//'
}

is_scraped() {
    [ "$(query psm_uring_start_time_seconds)" = "$began" ]
}

# same WHAT ONE OTHER: compares two texts, whose lines may be in any order.
same() {
    [ -n "$2" ] || die "$1: no values to compare"
    diff <(sort <<<"$2") <(sort <<<"$3") || die "$1: not the same"
    echo "ok      $1: $(wc -l <<<"$2") values"
}

compare_with_file() {
    local of_file
    # run_info has its labels in another order.
    of_file=$(grep -v -e '^#' -e run_info "$work/textfile/psm-uring.prom" | plain)
    same "PromQL and the file" "$of_file" \
        "$(query '{__name__=~"psm_uring_.*",__name__!="psm_uring_run_info"}')"
    same "node_exporter reports no error" "node_textfile_scrape_error 0" \
        "$(query node_textfile_scrape_error)"
}

# Prints the sum of RAM for each key of a report.
sums_by_key() {
    jq -r '.programs | group_by(.key)[] | "\(.[0].key | tojson) \(map(.ram) | add)"'
}

compare_with_reports() {
    local asked
    asked=$(query 'psm_uring_ram_bytes{program!="other"}' |
        sed -E 's/^psm_uring_ram_bytes\{program=(".*")\} (.*)/\1 \2/')
    same "PromQL and JSON" "$("$program" --proc-root "$fixture" --json | sums_by_key)" "$asked"
    same "PromQL and the table" "$("$program" --proc-root "$fixture" --unit B --no-header \
        --columns ram,count,name | sed -nE 's/^ *([0-9]+) +[0-9]+  (.*)/\1 \2/p' |
        jq -R 'capture("(?<ram>[0-9]+) (?<name>.*)") | {name, ram: (.ram | tonumber)}' |
        jq -s --slurpfile json <("$program" --proc-root "$fixture" --json) '
            ($json[0].programs | map({(.name): .key}) | add) as $keys
            | {programs: map(. + {key: $keys[.name]})}' | sums_by_key)" "$asked"
    same "the sum by PromQL and --total" "$("$program" --proc-root "$fixture" --total)" \
        "$(query 'sum(psm_uring_ram_bytes)' | tr -d ' ')"
}

lacking=$(missing install)
if [ -n "$lacking" ]; then
    echo "SKIPPED prometheus-check.sh: missing, and not installable: $lacking"
    exit 0
fi
if [ -z "$program" ]; then
    program=$(cargo build --locked --quiet --bin psm-uring \
        --message-format json-render-diagnostics |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
fi
trap clean_up EXIT
work=$(mktemp -d)
chmod 755 "$work"
mkdir "$work/textfile"
# An unprivileged user may have no access to the directory of the program.
install -m 755 "$program" "$work/psm-uring"
program=$work/psm-uring
start
run_service
compare_with_file
run_service --proc-root "$fixture"
compare_with_file
compare_with_reports
