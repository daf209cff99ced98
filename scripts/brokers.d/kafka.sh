# Sourced by scripts/brokers: three Apache Kafka brokers, each a controller too.
# shellcheck shell=bash disable=SC2154 # its variables are set there
#
# Node 1 listens on loopback: +92 (to $port_base) plain, +93 TLS with a password (PLAIN or SCRAM-SHA-512), +94 mutual
# TLS, +95 for the controllers; node 2 a hundred higher, node 3 two hundred. Topics aren't made by naming them, as in
# most production clusters.

kafka_nodes=(1 2 3)
kafka_cluster=VGFwbGluZVRhcGxpbmVUQQ

# kafka_port NODE LISTENER: LISTENER is the last two digits of node 1's port.
kafka_port() { echo $((port_base + ($1 - 1) * 100 + $2)); }

# kafka_ports NODE: all of them.
kafka_ports() { seq "$(kafka_port "$1" 92)" "$(kafka_port "$1" 95)"; }

# kafka_addresses LISTENER: of all nodes.
kafka_addresses() {
    printf '127.0.0.1:%s,127.0.0.1:%s,127.0.0.1:%s' "$(kafka_port 1 "$1")" "$(kafka_port 2 "$1")" "$(kafka_port 3 "$1")"
}

kafka_needs() {
    need_java
    fetch_jars kafka dependency:copy-dependencies -DincludeScope=runtime
}

kafka_java() { java -cp "$jars/kafka/*" -Dlog4j2.configurationFile="$state/kafka/log4j2.properties" "$@"; }

kafka_prepare() {
    mkdir -p "$state/kafka"
    cat >"$state/kafka/log4j2.properties" <<-'LOG'
	rootLogger.level = WARN
	rootLogger.appenderRef.out.ref = out
	appender.out.type = Console
	appender.out.name = out
	appender.out.layout.type = PatternLayout
	appender.out.layout.pattern = %d %p %c{1}: %m%n
	LOG
    local node
    for node in "${kafka_nodes[@]}"; do
        kafka_configure "$node" >"$state/kafka/$node.properties"
        chmod 600 "$state/kafka/$node.properties"
    done
}

# Formats the directories of all nodes, once.
kafka_format() {
    [ -f "$state/kafka/formatted" ] && return
    local node pids=()
    for node in "${kafka_nodes[@]}"; do
        kafka_java -Xmx128m -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format --ignore-formatted \
            --cluster-id "$kafka_cluster" --config "$state/kafka/$node.properties" \
            --add-scram "SCRAM-SHA-512=[name=$user,password=$password]" \
            --add-scram "SCRAM-SHA-512=[name=$limited_user,password=$password]" \
            >"$state/kafka/$node.format.log" 2>&1 &
        pids+=($!)
    done
    for node in "${pids[@]}"; do
        wait "$node" || fail "kafka: formatting failed: $(tail -qn 1 "$state"/kafka/*.format.log)"
    done
    touch "$state/kafka/formatted"
}

# kafka_configure NODE
kafka_configure() {
    local plain tls mutual controller
    read -r plain tls mutual controller < <(kafka_ports "$1" | xargs)
    cat <<CONFIGURATION
process.roles=broker,controller
node.id=$1
controller.quorum.voters=1@127.0.0.1:$(kafka_port 1 95),2@127.0.0.1:$(kafka_port 2 95),3@127.0.0.1:$(kafka_port 3 95)
listeners=PLAINTEXT://127.0.0.1:$plain,SASL_SSL://127.0.0.1:$tls,SSL://127.0.0.1:$mutual,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$plain,SASL_SSL://127.0.0.1:$tls,SSL://127.0.0.1:$mutual
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$state/kafka/$1

sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_$user="$password" user_$limited_user="$password";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=$certs/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$certs/ca.crt
listener.name.ssl.ssl.client.auth=required

# Everybody may do everything, but for what an ACL says (see kafka_ready). It binds all but the super users:
# those of the plain listener, the test account, and the client certificate.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
super.users=User:ANONYMOUS;User:$user;User:CN=$user

auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=6
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=6
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2

# For tests: a group begins at once, a dead broker is noticed soon, and a stop doesn't take long.
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
replica.lag.time.max.ms=10000
CONFIGURATION
}

# kafka_start NODE
kafka_start() {
    kafka_format
    start "kafka-$1" java -Xms128m -Xmx384m -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
        -cp "$jars/kafka/*" -Dlog4j2.configurationFile="$state/kafka/log4j2.properties" \
        kafka.Kafka "$state/kafka/$1.properties"
}

# kafka_answers NODE: does it answer a metadata request with as many brokers as are running?
kafka_answers() {
    local running=0 node answer
    for node in "${kafka_nodes[@]}"; do
        is_running "kafka-$node" && running=$((running + 1))
    done
    # Metadata, version 1, no topics; the answer's third word is the number of brokers.
    answer=$(ask "$(kafka_port "$1" 92)" '\0\0\0\x0e\0\x03\0\x01\0\0\0\x01\xff\xff\0\0\0\0' 12) || return
    [ "${answer:8:8}" = 00000001 ] && [ $((16#${answer:16:8})) -ge "$running" ]
}

# What is done once when the cluster first answers: the limited account may not touch topics whose names
# begin with `forbidden`.
kafka_ready() {
    [ -f "$state/kafka/acls" ] && return
    kafka_java -Xmx128m -XX:TieredStopAtLevel=1 org.apache.kafka.tools.AclCommand \
        --bootstrap-server "$(kafka_addresses 92)" --add --deny-principal "User:$limited_user" \
        --operation All --topic forbidden --resource-pattern-type prefixed \
        >"$state/kafka/acls.log" 2>&1 || fail "kafka: the ACL was refused: $(tail -1 "$state/kafka/acls.log")"
    touch "$state/kafka/acls"
}

kafka_env() {
    assign KAFKA_URL "kafka://$(kafka_addresses 92)"
    assign KAFKA_TLS_URL "kafka://$(kafka_addresses 93)"
    assign KAFKA_MTLS_URL "kafka://$(kafka_addresses 94)"
    assign KAFKA_JARS "$jars/kafka"
}
