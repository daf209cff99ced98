# Sourced by scripts/peers: Telegraf with the three plugins that the measurements need, built from Go's module proxy.
# shellcheck shell=bash

telegraf_version=v1.37.2
telegraf_directory=$PWD/target/telegraf

install_telegraf() {
    local log=$telegraf_directory/build.log
    [ "$(cat "$telegraf_directory/version" 2>/dev/null)" = "$telegraf_version" ] && return
    command -v go >/dev/null || fail "missing: go, for Telegraf. Install Go 1.25.5 or newer (https://go.dev/dl) and run this again."
    echo "peers: building Telegraf $telegraf_version into $telegraf_directory …" >&2
    rm -rf "$telegraf_directory"
    mkdir -p "$telegraf_directory"
    GOBIN=$telegraf_directory nice go install -tags custom,inputs.kafka_consumer,outputs.influxdb_v2,parsers.json_v2 \
        "github.com/influxdata/telegraf/cmd/telegraf@$telegraf_version" >"$log" 2>&1 ||
        fail "Telegraf could not be built: $(tail -1 "$log") (all of it: $log)"
    # Last: with it, all is there.
    echo "$telegraf_version" >"$telegraf_directory/version"
}
