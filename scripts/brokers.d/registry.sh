# Sourced by scripts/brokers: Apicurio Registry, which speaks the Confluent API under /apis/ccompat/v7, and
# shellcheck shell=bash disable=SC2154 # its variables are set there
# nginx in front of it for TLS and for who may in.
#
# +81 (to $port_base) plain and open to all; +443 TLS with a password or a bearer token; +444 mutual TLS.

registry_port=$((port_base + 81)) registry_tls_port=$((port_base + 443)) registry_mtls_port=$((port_base + 444))
registry_path=/apis/ccompat/v7
# The newest in Maven Central that runs on Java 17. Its parent's pom isn't there; the dependency plugin 2.10 is
# the last that fetches an artifact without reading it.
registry_version=3.0.9
registry_sha256=2b28181501a20cbf6efcd77f9b7153908fc01f3d3a7c32024c0bd9e1b04c8a43

registry_needs() {
    need_java
    need curl:curl nginx:nginx-light
    local directory=$jars/registry name=apicurio-registry-app-$registry_version
    [ -f "$directory/$name-runner.jar" ] && return
    echo "brokers: fetching registry from Maven Central …" >&2
    rm -rf "$directory"
    mkdir -p "$directory"
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:2.10:get -Dtransitive=false \
        -Dartifact="io.apicurio:apicurio-registry-app:$registry_version:tar.gz:all" -Ddest="$directory/archive" >&2 ||
        fail "registry: $name could not be fetched"
    echo "$registry_sha256  $directory/archive" | sha256sum --check --quiet ||
        fail "registry: $name is not what it should be"
    # The runner comes last: with it, all is there.
    tar -xzf "$directory/archive" -C "$directory" --exclude '*-runner.jar'
    tar -xzf "$directory/archive" -C "$directory" --wildcards '*-runner.jar'
    rm "$directory/archive"
}

registry_prepare() {
    [ -f "$state/registry/nginx.conf" ] && return
    mkdir -p "$state/registry/temp"
    printf '%s:%s\n' "$user" "$(openssl passwd -6 "$password")" >"$state/registry/users"
    cat >"$state/registry/nginx.conf" <<CONFIGURATION
$(nginx_head registry)
    client_max_body_size 16m;
    proxy_set_header Authorization "";
    proxy_set_header Host \$http_host;
    # With the right token the password isn't asked for.
    map \$http_authorization \$realm {
        "Bearer $token" off;
        default "registry";
    }
    server {
        listen 127.0.0.1:$registry_tls_port ssl;
        location / {
            auth_basic \$realm;
            auth_basic_user_file $state/registry/users;
            proxy_pass http://127.0.0.1:$registry_port;
        }
    }
    server {
        listen 127.0.0.1:$registry_mtls_port ssl;
        ssl_client_certificate $certs/ca.crt;
        ssl_verify_client on;
        location / {
            proxy_pass http://127.0.0.1:$registry_port;
        }
    }
}
CONFIGURATION
}

registry_start() {
    start registry java -Xms64m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port=$registry_port -Dquarkus.http.access-log.enabled=false \
        -Dapicurio.datasource.jdbc.initial-size=2 -Dapicurio.datasource.jdbc.min-size=2 \
        -Dapicurio.datasource.url="jdbc:h2:file:$state/registry/data;DB_CLOSE_ON_EXIT=FALSE" \
        -Dapicurio.import.work-dir="$state/registry/temp" \
        -jar "$jars/registry/apicurio-registry-app-$registry_version-runner.jar"
    start registry-tls nginx -p "$state/registry" -c "$state/registry/nginx.conf"
}

registry_answers() {
    curl -fsS -m 2 -o /dev/null "http://127.0.0.1:$registry_port$registry_path/subjects" 2>/dev/null &&
        curl -fsS -m 2 -o /dev/null --cacert "$certs/ca.crt" -K - <<<"user = \"$user:$password\"" \
            "https://127.0.0.1:$registry_tls_port$registry_path/subjects" 2>/dev/null
}

registry_env() {
    assign SCHEMA_REGISTRY_URL "http://127.0.0.1:$registry_port$registry_path"
    assign SCHEMA_REGISTRY_TLS_URL "https://127.0.0.1:$registry_tls_port$registry_path"
    assign SCHEMA_REGISTRY_MTLS_URL "https://127.0.0.1:$registry_mtls_port$registry_path"
}
