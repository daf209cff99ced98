# shellcheck shell=bash
# Sourced by the other scripts: finds what a step needs and, on Debian or Ubuntu, installs it.

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 2
}

# Can packages be installed here without asking anybody?
can_install() {
    command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# need COMMAND:PACKAGE…: makes sure that each command is there.
need() {
    local pair packages=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || packages+=("${pair##*:}")
    done
    [ ${#packages[@]} = 0 ] && return
    install_packages "${packages[@]}"
}

# install_packages PACKAGE…: has apt-get do it, or says that it is to be done.
install_packages() {
    can_install ||
        fail "missing: $*. Install that (on Debian or Ubuntu: apt-get install $*) and run this again."
    printf '%s: installing %s\n' "${0##*/}" "$*" >&2
    if ! as_root apt-get update -qq >/dev/null ||
        ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null; then
        fail "apt-get could not install $*"
    fi
}

# What a build needs: Rust, and for OpenSSL and librdkafka a C compiler, make and perl.
need_build_tools() {
    need cc:gcc c++:g++ make:make perl:perl
    local want have
    want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    command -v cargo >/dev/null || fail "missing: cargo. Install Rust $want or newer (https://rustup.rs) and run this again."
    have=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -1)" = "$want" ] ||
        fail "Rust $have is too old: $want or newer is needed (rustup update)"
}

# build_tools: builds the workspace's programs and sets $tools to the folder where cargo put them, which is where
# CARGO_TARGET_DIR, build.target-dir or build.target of its configuration say.
build_tools() {
    local messages
    messages=$(cargo build --release --locked --workspace --bins --message-format json-render-diagnostics) ||
        fail "the build failed"
    tools=$(sed -n 's/.*"executable":"\([^"]*\)\/dev-brokers".*/\1/p' <<<"$messages")
    [ -x "$tools/dev-brokers" ] || fail "cargo does not say where it put dev-brokers"
}
