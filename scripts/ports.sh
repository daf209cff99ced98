# Sourced by scripts/brokers and scripts/bench: the ports of this checkout's brokers, and who holds one already.
# shellcheck shell=bash
#
# All ports are $port_base plus less than 1000, so checkouts whose TAPLINE_PORT_BASE differ by 1000 don't meet:
# Kafka's node N +92…95 plus 100 for each node after the first, the registry +81, +443 and +444, InfluxDB +86,
# +446 and +447, VictoriaMetrics +428, Mosquitto +883…890, what scripts/bench starts +900 and +901.

# From 20000: below are the ports of brokers that a test starts for itself (see crates/testkit/src/mosquitto.rs).
# To 31000: above 32767 the system gives ports to connections that leave.
port_base=${TAPLINE_PORT_BASE:-21000}
[[ $port_base =~ ^(2[0-9]{4}|30[0-9]{3}|31000)$ ]] ||
    fail "TAPLINE_PORT_BASE=$port_base: give a number from 20000 to 31000"

# listener PORT: the inode of a socket that listens there on loopback or on all addresses; nothing if none does.
listener() {
    awk -v port="$(printf '%04X' "$1")" '
        $4 == "0A" && split($2, local, ":") == 2 && local[2] == port && local[1] ~ /(0100007F|^0+)$/ { print $10; exit }
    ' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# holder INODE: the process that has this socket, as far as we may look.
holder() {
    local path pid
    path=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\[$1\]" -print -quit 2>/dev/null) || true
    if [ -z "$path" ]; then
        echo "a process of another user"
        return
    fi
    pid=${path#/proc/}
    pid=${pid%%/*}
    echo "process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" | head -c 100 | sed 's/ *$//'))"
}

# require_free WHAT PORT…: fails if somebody listens on one of the ports, and says who. A broker that was killed a moment
# ago may still be giving its port back, so a few seconds are allowed for that.
require_free() {
    local what=$1 port inode deadline=$((SECONDS + 5))
    shift
    for port; do
        while inode=$(listener "$port") && [ -n "$inode" ] && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.1; done
        [ -z "$inode" ] || fail "$what: port $port is in use by $(holder "$inode"); stop it, or give this checkout other ports with TAPLINE_PORT_BASE (now $port_base)"
    done
}
