# Sourced by scripts/bench: mqtt-pub beside `mosquitto_pub -l` and paho-mqtt, topic-tap beside mosquitto_sub.
# shellcheck shell=bash disable=SC2154,SC2034 # its variables are set and used there
#
# What is fair, and how it is kept so:
# - One Mosquitto on this machine, of its own. It saves nothing to disk, drops nothing (max_queued_messages 0), and
#   lets every client have 10,000 messages in flight in either direction, so that each client's own window counts;
#   mosquitto_pub's is 20, and can be given (-M).
# - The same records, to one topic, from a file in memory's cache; ten times as many at QoS 0, since what the system has
#   buffered when a publisher ends would be most of it, and for mqtt-pub at QoS 1, where it is compared by its rate, like
#   the Python program. "as it comes": no option but the quality of service.
#   "best": what made it fastest here: for mqtt-pub a WebSocket, which mosquitto_pub 2.0 does not speak, for that
#   `best_mosquitto` below.
# - A publisher is done when its process has ended. Then the broker is asked how many messages it has received
#   ($SYS/broker/messages/received): all, or the run fails. Of mosquitto_pub only those count that arrived: at
#   QoS 1 and 2 it loses lines where there are more than 65,535 (see docs/mqtt-speed.md), so --records 60000 is fairer to it.
# - A subscriber gets what had been queued for its session before it came (at QoS 0, too: queue_qos0_messages), so
#   that no publisher slows it down. Its output goes into a pipe to `wc -l`, and must be every record.
# - The fleet: a thousand connections of one process, one for each generator, and thirty times as many records, so that
#   connecting is the smaller part of it. It is done when the broker's count, which is told once in one or two seconds, has
#   all of them: a thousand sockets hold much at QoS 0.

port=$((port_base + 900)) websocket_port=$((port_base + 901))
require_free "Mosquitto" "$port" "$websocket_port"
url=mqtt://127.0.0.1:$port
websocket_url=ws://127.0.0.1:$websocket_port
# As long as topics are: a topic alias stands for it where the client has one, which mosquitto_pub has not with -l.
topic=emergency_generator/generator4
client=(-h 127.0.0.1 -p "$port")
best_mosquitto=(-M 10000 --nodelay)

# Debian keeps daemons where only root looks.
PATH=$PATH:/usr/sbin
need mosquitto:mosquitto mosquitto_pub:mosquitto-clients
cat >"$work/mosquitto.conf" <<-END
	user $(id -un)
	listener $port 127.0.0.1
	listener $websocket_port 127.0.0.1
	protocol websockets
	allow_anonymous true
	max_inflight_messages 10000
	max_queued_messages 0
	queue_qos0_messages true
	sys_interval 1
	log_type error
	END
mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1 &
broker=$!
trap 'kill "$broker"' EXIT
until mosquitto_sub "${client[@]}" -t ready -E 2>/dev/null; do
    kill -0 "$broker" 2>/dev/null || fail "mosquitto did not start: $(tail -1 "$work/mosquitto.log")"
    sleep 0.05
done

# The broker's count of the packets that it has received, told once in one or two seconds. Its count of messages leaves QoS 2 out.
topic-tap "$url/\$SYS/broker/messages/received" --qos 0 --keep-alive 0s -q >"$work/counts" &
counter=$!
trap 'kill "$broker" "$counter"' EXIT
until [ -s "$work/counts" ]; do sleep 0.05; done
received() { tail -n 1 "$work/counts"; }

# begin_count: waits until what came before is counted.
before=0
begin_count() {
    local now=-1
    while [ "$now" != "$before" ]; do
        now=$before
        sleep 2.2
        before=$(received)
    done
}

# count_arrived NAME: notes how many messages have arrived in a run: a message is one packet, at QoS 2 two (PUBLISH and
# PUBREL), beside each connection's CONNECT and DISCONNECT. The names of Mosquitto's own begin with its name; the QoS ends all.
count_arrived() {
    local wanted=$records arrived=0 last=-1 same=0 packets=1 connections=1
    case $1 in
    paho*) wanted=$python_records ;;
    fleet*) wanted=$fleet_records connections=1000 ;;
    *0 | publish*1) wanted=$many ;;
    esac
    case $1 in *2) packets=2 ;; esac
    # Until all are there, or no more have come for three seconds.
    while [ "$arrived" -lt "$wanted" ] && [ "$same" -lt 30 ]; do
        sleep 0.1
        arrived=$((($(received) - before - 2 * connections) / packets))
        same=$((arrived == last ? same + 1 : 0))
        last=$arrived
    done
    echo "$arrived" >>"$work/$1.arrived"
    case $1 in
    mosquitto*) ;;
    *) [ "$arrived" = "$wanted" ] || fail "$1: $arrived of $wanted messages have arrived" ;;
    esac
}

# arrived NAME: the median of what arrived.
arrived() { median <"$work/$1.arrived"; }

# fill NAME: queues all records for the session that the script NAME will take up; its name ends with the QoS.
fill() {
    local qos=${1##*-}
    # What the subscriber before did not acknowledge comes here.
    mosquitto_sub "${client[@]}" -i bench -c -q "$qos" -t $topic -E >"$work/rest"
    mqtt-pub "$url/$topic" --qos 1 -q <"$work/readings"
}

many=$((10 * records))
gen-sim --generators 1000 --count "$many" --speed max -q >"$work/many-readings"
fleet_records=$((30 * records))
gen-sim --generators 1000 --count "$fleet_records" --speed max -q >"$work/fleet-readings"

for qos in 0 1 2; do
    input=readings theirs=readings
    [ "$qos" = 2 ] || input="many-readings"
    [ "$qos" != 0 ] || theirs="many-readings"
    script "publish-$qos" <<-END
		exec "\${measured[@]}" mqtt-pub $url/$topic --qos $qos <$input
		END
    script "publish-best-$qos" <<-END
		exec "\${measured[@]}" mqtt-pub $websocket_url/$topic --qos $qos -q <$input
		END
    script "mosquitto-$qos" <<-END
		exec "\${measured[@]}" mosquitto_pub ${client[*]} -t $topic -q $qos -l <$theirs
		END
    script "mosquitto-best-$qos" <<-END
		exec "\${measured[@]}" mosquitto_pub ${client[*]} -t $topic -q $qos ${best_mosquitto[*]} -l <$theirs
		END
    script "paho-$qos" <<-END
		exec "\${measured[@]}" '$python' '$peers/paho_publish.py' 127.0.0.1 $port $topic $qos <some-readings
		END
done
for qos in 0 1; do
    for fleet in "fleet-$qos $url" "fleet-best-$qos $websocket_url"; do
        script "${fleet% *}" <<-END
			"\${measured[@]}" mqtt-pub ${fleet#* }/$topic --qos $qos --client-per generatorID -q <fleet-readings
			until [ "\$(tail -n 1 counts)" -ge "\$(cat wanted)" ]; do sleep 0.05; done
			END
    done
    script "tap-$qos" <<-END
		"\${measured[@]}" topic-tap $url/$topic --qos $qos --client-id bench --session-expiry 1h --count $records | wc -l >count
		[ "\$(cat count)" = $records ]
		END
    script "sub-$qos" <<-END
		"\${measured[@]}" mosquitto_sub ${client[*]} -t $topic -q $qos -i bench -c -C $records | wc -l >count
		[ "\$(cat count)" = $records ]
		END
done

prepare=begin_count inspect=count_arrived
for qos in 0 1 2; do
    in_turn "publishing at QoS $qos" "publish-$qos" "publish-best-$qos" "paho-$qos" "mosquitto-$qos" "mosquitto-best-$qos"
done
# Each of its connections is a packet, too.
want_fleet() {
    begin_count
    echo $((before + 1000 + fleet_records)) >"$work/wanted"
}
prepare=want_fleet
for qos in 0 1; do
    in_turn "a fleet at QoS $qos" "fleet-$qos" "fleet-best-$qos"
done
prepare=fill inspect=''
for qos in 0 1; do
    in_turn "subscribing at QoS $qos" "tap-$qos" "sub-$qos"
done

begin_table "$(mosquitto -h | sed -n 's/^mosquitto version/Mosquitto/p')"
for qos in 0 1 2; do
    count=$records
    [ "$qos" = 2 ] || count=$many
    rows "publishing, QoS $qos" "publish-$qos" "$count" "mqtt-pub" "publish-best-$qos" "$count" "mqtt-pub, best" \
        "paho-$qos" "$python_records" "paho-mqtt" "mosquitto-best-$qos" "$(arrived "mosquitto-best-$qos")" "mosquitto_pub -l, best" \
        "mosquitto-$qos" "$(arrived "mosquitto-$qos")" "mosquitto_pub -l"
done
for qos in 0 1; do
    rows "a fleet of 1000, QoS $qos" "fleet-best-$qos" "$fleet_records" "mqtt-pub --client-per generatorID, best" \
        "fleet-$qos" "$fleet_records" "mqtt-pub --client-per generatorID"
done
for qos in 0 1; do
    rows "subscribing, QoS $qos" "tap-$qos" "$records" topic-tap "sub-$qos" "$records" mosquitto_sub
done
