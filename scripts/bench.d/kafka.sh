# Sourced by scripts/bench: kafka-produce beside `kcat -P` and beside confluent-kafka-python with JSONSerializer,
# topic-tap beside `kcat -C`.
# shellcheck shell=bash disable=SC2154 # its variables are set there
#
# What is fair, and how it is kept so:
# - One cluster, three brokers on this machine; a new topic for each run that produces, of 12 partitions, three
#   replicas, two of them in sync (min.insync.replicas).
# - The same records and keys, from a file in memory's cache. kafka-produce finds the key in the record; for kcat
#   it is put before it (-K), so that kcat has no JSON to read.
# - "equal settings": both are given the same properties, those that kafka-produce has by default (acks=all,
#   idempotent, murmur2, lz4, its linger and queue). "defaults": each as it comes; kcat then waits for all
#   replicas, too, but does not compress, and may duplicate records and change their order.
# - The consumers read a topic that kafka-produce wrote; their output goes into a pipe to `wc -l`, and both must
#   give every record.

# Whoever had them running keeps them.
if ! { scripts/brokers status kafka registry || true; } | grep -qv ': stopped$'; then
    trap 'scripts/brokers down kafka registry' EXIT
fi
scripts/brokers up kafka registry
# shellcheck source=/dev/null
. <(scripts/brokers env)

servers=${KAFKA_URL#kafka://}
# Those that kafka-produce has by default: see crates/kafka/src/producer/mod.rs and client/mod.rs.
settings=(-X acks=all -X enable.idempotence=true -X max.in.flight=2 -X partitioner=murmur2_random
    -X compression.codec=lz4 -X linger.ms=60 -X queue.buffering.max.messages=80000
    -X queue.buffering.max.kbytes=24576 -X batch.size=1000000 -X message.max.bytes=1114112
    -X socket.nagle.disable=true)

sed 's/^{"generatorID":"\([^"]*\)".*/\1\t&/' "$work/readings" >"$work/keyed"

number=0 topic=
new_topic() {
    local old=$topic
    number=$((number + 1))
    topic=bench-$$-$number
    "$python" scripts/peers.d/topic.py "$servers" "$topic" 12 3 ${old:+"$old"}
    echo "$topic" >"$work/topic"
}

script produce <<-END
	exec "\${measured[@]}" kafka-produce '$KAFKA_URL'/\$(cat topic) -k generatorID -q ${settings[*]} <readings
	END
script produce-as-it-comes <<-END
	exec "\${measured[@]}" kafka-produce '$KAFKA_URL'/\$(cat topic) -k generatorID -q <readings
	END
script kcat-produce <<-END
	exec "\${measured[@]}" kcat -P -b '$servers' -t \$(cat topic) -K '\\t' ${settings[*]} <keyed
	END
script kcat-produce-as-it-comes <<-END
	exec "\${measured[@]}" kcat -P -b '$servers' -t \$(cat topic) -K '\\t' <keyed
	END
script produce-validated <<-END
	exec "\${measured[@]}" kafka-produce '$KAFKA_URL'/\$(cat topic) -k generatorID -q -s '$schema' \\
	    --registry '$SCHEMA_REGISTRY_URL' --register <readings
	END
script python-validated <<-END
	exec "\${measured[@]}" '$python' '$peers/serialize.py' '$servers' \$(cat topic) '$SCHEMA_REGISTRY_URL' '$schema' \\
	    generatorID <some-readings
	END
script python-validated-well <<-END
	exec "\${measured[@]}" '$python' '$peers/serialize.py' '$servers' \$(cat topic) '$SCHEMA_REGISTRY_URL' '$schema' \\
	    generatorID prefix linger.ms=60 compression.type=lz4 <some-readings
	END
script tap <<-END
	"\${measured[@]}" topic-tap '$KAFKA_URL'/\$(cat topic) --from beginning --until-end -q | wc -l >count
	[ "\$(cat count)" = $records ]
	END
script kcat-consume <<-END
	"\${measured[@]}" kcat -C -b '$servers' -t \$(cat topic) -o beginning -e -q | wc -l >count
	[ "\$(cat count)" = $records ]
	END

# shellcheck disable=SC2034 # scripts/bench reads it.
prepare=new_topic
in_turn "producing, equal settings" produce kcat-produce
in_turn "producing, defaults" produce-as-it-comes kcat-produce-as-it-comes
in_turn "producing, validated and framed" produce-validated python-validated python-validated-well
new_topic
kafka-produce "$KAFKA_URL/$topic" -k generatorID -q <"$work/readings"
# shellcheck disable=SC2034
prepare=''
in_turn "consuming" tap kcat-consume

begin_table "$(kcat -V | sed -n 's/.*librdkafka \([0-9.]*\).*/kcat with librdkafka \1/p')"
rows "producing, keyed, equal settings" produce "$records" kafka-produce kcat-produce "$records" "kcat -P"
rows "producing, keyed, defaults" produce-as-it-comes "$records" kafka-produce \
    kcat-produce-as-it-comes "$records" "kcat -P"
rows "producing, keyed, validated, framed" produce-validated "$records" kafka-produce \
    python-validated "$python_records" "confluent-kafka-python, JSONSerializer"
rows "the same, Python with linger.ms=60 and lz4" produce-validated "$records" kafka-produce \
    python-validated-well "$python_records" "confluent-kafka-python, JSONSerializer"
rows "consuming" tap "$records" topic-tap kcat-consume "$records" "kcat -C -e"
