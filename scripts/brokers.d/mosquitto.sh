# Sourced by scripts/brokers: Mosquitto, from the system's packages.
# shellcheck shell=bash disable=SC2154 # its variables are set there
#
# +883 (to $port_base) plain, +884 TLS, +885 mutual TLS, +886 WebSocket, +887 WebSocket over TLS, +888 with a
# password, +889 TLS with a password, +890 TLS with an expired certificate.

mosquitto_needs() { need mosquitto:mosquitto; }

mosquitto_prepare() {
    [ -f "$state/mosquitto/mosquitto.conf" ] && return
    mkdir -p "$state/mosquitto"
    (
        cd "$state/mosquitto" || exit
        printf '%s:%s\n' "$user" "$(mosquitto_hash)" "$limited_user" "$(mosquitto_hash)" >users
        # The limited account may do everything but `forbidden/#`; the other one everything.
        cat >acl <<-ACL
	user $user
	topic readwrite #
	user $limited_user
	topic readwrite #
	topic deny forbidden/#
	ACL
        chmod 600 users acl
        mosquitto_configure >mosquitto.conf
    )
}

# The password as Mosquitto keeps it: SHA-512 of password and salt.
mosquitto_hash() {
    local salt hash
    salt=$(openssl rand -hex 6)
    hash=$(printf %s "$password$salt" | openssl dgst -sha512 -binary | openssl base64 -A)
    # shellcheck disable=SC2016 # dollars as they are
    printf '$6$%s$%s' "$(printf %s "$salt" | openssl base64 -A)" "$hash"
}

mosquitto_configure() {
    cat <<CONFIGURATION
# Started as root it would become another user, who can't write here.
user $(id -un)
per_listener_settings true
persistence true
persistence_location $state/mosquitto/
# Seconds: a broker that is killed forgets no more than this.
autosave_interval 1
# No limit: a subscriber that is slow or away loses nothing.
max_queued_messages 0
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages false

listener $((port_base + 883)) 127.0.0.1
allow_anonymous true

listener $((port_base + 884)) 127.0.0.1
allow_anonymous true
$(mosquitto_certificate server)

listener $((port_base + 885)) 127.0.0.1
$(mosquitto_certificate server)
require_certificate true
use_identity_as_username true

listener $((port_base + 886)) 127.0.0.1
protocol websockets
allow_anonymous true

listener $((port_base + 887)) 127.0.0.1
protocol websockets
allow_anonymous true
$(mosquitto_certificate server)

listener $((port_base + 888)) 127.0.0.1
$(mosquitto_accounts)

listener $((port_base + 889)) 127.0.0.1
$(mosquitto_certificate server)
$(mosquitto_accounts)

listener $((port_base + 890)) 127.0.0.1
allow_anonymous true
$(mosquitto_certificate expired-server)
CONFIGURATION
}

mosquitto_certificate() {
    printf '%s\n' "cafile $certs/ca.crt" "certfile $certs/$1.crt" "keyfile $certs/$1.key"
}

mosquitto_accounts() {
    printf '%s\n' 'allow_anonymous false' "password_file $state/mosquitto/users" "acl_file $state/mosquitto/acl"
}

mosquitto_start() { start mosquitto mosquitto -c "$state/mosquitto/mosquitto.conf"; }

# Does it answer a CONNECT?
mosquitto_answers() {
    [ "$(ask $((port_base + 883)) '\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0' 4)" = 20020000 ]
}

mosquitto_env() {
    assign MQTT_URL "mqtt://127.0.0.1:$((port_base + 883))"
    assign MQTT_TLS_URL "mqtts://127.0.0.1:$((port_base + 884))"
    assign MQTT_MTLS_URL "mqtts://127.0.0.1:$((port_base + 885))"
    assign MQTT_WS_URL "ws://127.0.0.1:$((port_base + 886))"
    assign MQTT_WSS_URL "wss://127.0.0.1:$((port_base + 887))"
    assign MQTT_PASSWORD_URL "mqtt://127.0.0.1:$((port_base + 888))"
    assign MQTT_TLS_PASSWORD_URL "mqtts://127.0.0.1:$((port_base + 889))"
    assign MQTT_TLS_EXPIRED_URL "mqtts://127.0.0.1:$((port_base + 890))"
}
