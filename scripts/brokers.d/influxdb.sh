# Sourced by scripts/brokers: InfluxDB 2, built from its sources, and nginx in front of it for TLS.
# shellcheck shell=bash disable=SC2154 # its variables are set there
#
# +86 (to $port_base) plain; +446 TLS; +447 mutual TLS. It has one organization, bucket and token, and needs no account.
#
# There is no package of it. Go's module proxy has the sources, at the versions and checksums of influxdb/go.mod and
# influxdb/go.sum; the library for its query language, libflux, is Rust and is built by InfluxData's own pkg-config.

influxdb_port=$((port_base + 86)) influxdb_tls_port=$((port_base + 446)) influxdb_mtls_port=$((port_base + 447))
influxdb_org=tapline influxdb_bucket=telemetry
influxdb_module=scripts/brokers.d/influxdb
influxdb_built=$PWD/target/brokers/influxdb

influxdb_needs() {
    need curl:curl nginx:nginx-light
    cat "$influxdb_module"/go.{mod,sum} | cmp -s - "$influxdb_built/sources" && return
    local log=$influxdb_built/build.log
    influxdb_build_tools
    echo "brokers: building InfluxDB from its sources, which takes several minutes the first time …" >&2
    rm -rf "$influxdb_built"
    mkdir -p "$influxdb_built/bin"
    (influxdb_build) >"$log" 2>&1 ||
        fail "influxdb: the build failed: $(tail -5 "$log") (all of it: $log)"
    # Last: with it, all is there.
    cat "$influxdb_module"/go.{mod,sum} >"$influxdb_built/sources"
}

influxdb_build_tools() {
    local want have
    need cc:gcc
    command -v cargo >/dev/null || fail "influxdb: missing: cargo. Install Rust (https://rustup.rs) and run this again."
    want=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' "$influxdb_module/go.mod")
    # Debian 12 has an older one, so that apt-get is no help.
    command -v go >/dev/null ||
        fail "influxdb: missing: go. Install Go $want or newer (https://go.dev/dl) and run this again."
    have=$(GOTOOLCHAIN=local go env GOVERSION)
    [ "$(printf '%s\n%s\n' "go$want" "$have" | sort -V | head -1)" = "go$want" ] ||
        fail "influxdb: Go ${have#go} is too old: $want or newer is needed (https://go.dev/dl)"
}

# Builds in the folder of the module, for pkg-config looks for libflux there. It builds that in Go's cache, where other
# checkouts may be doing the same, and takes a copy of the sources that was interrupted for a whole one.
influxdb_build() {
    set -e
    local sources=$PWD/$influxdb_module cache flux
    cd "$sources"
    cache=$(go env GOCACHE)
    flux=$cache/pkgconfig/$(go list -m -f '{{.Path}}@{{.Version}}' github.com/influxdata/flux)
    mkdir -p "$cache"
    exec 8>"$cache/tapline-influxdb.lock"
    flock 8
    [ -f "$flux/tapline-built" ] || rm -rf "$flux"
    PATH=$influxdb_built/bin:$PATH
    nice go build -o "$influxdb_built/bin/pkg-config" github.com/influxdata/pkg-config
    # pkg-config expects cargo's own folder. Warnings of a newer compiler are errors in libflux, and RUSTFLAGS don't
    # reach what is built for the build.
    export CARGO_TARGET_DIR=target RUSTC_WRAPPER=$sources/rustc
    unset CARGO_BUILD_TARGET CARGO_BUILD_RUSTC_WRAPPER RUSTFLAGS
    # libflux names a toolchain of its own, which rustup would fetch.
    if command -v rustup >/dev/null; then
        RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN:-$(cd / && rustup show active-toolchain | cut -d' ' -f1)}
        export RUSTUP_TOOLCHAIN
    fi
    nice go build -tags sqlite_foreign_keys,sqlite_json -o "$influxdb_built/bin/influxd" \
        -ldflags "-s -w -X main.version=$(go list -m -f '{{.Version}}' github.com/influxdata/influxdb/v2)" \
        github.com/influxdata/influxdb/v2/cmd/influxd
    ! [ -d "$flux" ] || touch "$flux/tapline-built"
}

influxdb_prepare() {
    [ -f "$state/influxdb/nginx.conf" ] && return
    mkdir -p "$state/influxdb/temp"
    cat >"$state/influxdb/nginx.conf" <<CONFIGURATION
$(nginx_head influxdb)
    client_max_body_size 0;
    proxy_set_header Host \$http_host;
    server {
        listen 127.0.0.1:$influxdb_tls_port ssl;
        location / {
            proxy_pass http://127.0.0.1:$influxdb_port;
        }
    }
    server {
        listen 127.0.0.1:$influxdb_mtls_port ssl;
        ssl_client_certificate $certs/ca.crt;
        ssl_verify_client on;
        location / {
            proxy_pass http://127.0.0.1:$influxdb_port;
        }
    }
}
CONFIGURATION
}

influxdb_start() {
    start influxdb "$influxdb_built/bin/influxd" --http-bind-address "127.0.0.1:$influxdb_port" --reporting-disabled \
        --log-level error --bolt-path "$state/influxdb/influxd.bolt" --sqlite-path "$state/influxdb/influxd.sqlite" \
        --engine-path "$state/influxdb/engine"
    start influxdb-tls nginx -p "$state/influxdb" -c "$state/influxdb/nginx.conf"
}

influxdb_answers() {
    curl -fsS -m 2 -o /dev/null "http://127.0.0.1:$influxdb_port/ready" 2>/dev/null &&
        curl -fsS -m 2 -o /dev/null --cacert "$certs/ca.crt" "https://127.0.0.1:$influxdb_tls_port/ready" 2>/dev/null
}

# What is done once when it first answers: organization, bucket and token.
influxdb_ready() {
    local url=http://127.0.0.1:$influxdb_port/api/v2/setup answer
    answer=$(curl -sS -m 60 "$url") || fail "influxdb: it does not say whether it is set up"
    case $answer in *'"allowed": false'* | *'"allowed":false'*) return ;; esac
    answer=$(printf '{"username":"%s","password":"%s","org":"%s","bucket":"%s","token":"%s"}' \
        "$user" "$password" "$influxdb_org" "$influxdb_bucket" "$token" |
        curl -sS -m 60 -w '%{http_code}' -H 'Content-Type: application/json' --data-binary @- "$url")
    [ "${answer: -3}" = 201 ] || fail "influxdb: the setup was refused: $answer"
}

influxdb_env() {
    assign INFLUX_URL "influx://127.0.0.1:$influxdb_port/$influxdb_bucket"
    assign INFLUX_TLS_URL "influxs://127.0.0.1:$influxdb_tls_port/$influxdb_bucket"
    assign INFLUX_MTLS_URL "influxs://127.0.0.1:$influxdb_mtls_port/$influxdb_bucket"
    assign INFLUX_ORG "$influxdb_org"
    assign INFLUX_TOKEN "$token"
    # For tests that start one of their own.
    assign INFLUXD "$influxdb_built/bin/influxd"
}
