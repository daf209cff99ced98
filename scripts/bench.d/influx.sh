# Sourced by scripts/bench: topic-tap with influx-write beside Telegraf, from a Kafka topic into InfluxDB.
# shellcheck shell=bash disable=SC2154,SC2034 # its variables are set and used there
#
# What is fair, and how it is kept so:
# - One topic of 12 partitions, read from its beginning by a consumer group that is new for each run; one database, with a
#   new bucket for each run, at rest before it (compaction goes on after a run).
# - Both make the same of a reading: generatorID a tag, whole numbers integers, batches of 5,000 points, gzip. Telegraf
#   has two writes at a time and buffers that hold many batches; its defaults let 1,000 messages be under way, which is
#   a batch in a second.
# - A run ends when the database has counted all points as written; topic-tap then ends by itself (--count), and
#   Telegraf, which doesn't, is ended, which is in neither's time.
# - The count is storage_writer_ok_points of the database's own metrics, asked for every 0.1 s, for both.
# - Processor time and peak memory are those of all processes of a side; the database's processor time in a run is in a
#   column of its own. Where it is most of the seconds times the processors, the database is the limit.

# Whoever had them running keeps them.
if ! { scripts/brokers status kafka influxdb || true; } | grep -qv ': stopped$'; then
    trap 'scripts/brokers down kafka influxdb' EXIT
fi
scripts/brokers up kafka influxdb
# shellcheck source=/dev/null
. <(scripts/brokers env)
export INFLUX_TOKEN
telegraf=$PWD/target/telegraf/telegraf

servers=${KAFKA_URL#kafka://}
database=${INFLUX_URL#influx://}
database=http://${database%%/*}
read -r database_pid _ <target/brokers/state/run/influxdb.pid
ticks=$(getconf CLK_TCK)
topic=bench-$$
"$python" scripts/peers.d/topic.py "$servers" "$topic" 12 3
kafka-produce "$KAFKA_URL/$topic" -k generatorID -q <"$work/readings"

# api METHOD PATH [BODY]
api() {
    curl -sS --fail-with-body -X "$1" -K - -H 'Content-Type: application/json' ${3:+--data-binary "$3"} "$database/api/v2/$2" \
        <<<"header = \"Authorization: Token $INFLUX_TOKEN\""
}
org_id=$(api GET "orgs?org=$INFLUX_ORG" | jq -r '.orgs[0].id')

# database_ticks: processor time of the database so far.
database_ticks() {
    local stat
    stat=$(cat "/proc/$database_pid/stat")
    # shellcheck disable=SC2086 # words on purpose
    set -- ${stat##*) }
    echo $((${12} + ${13}))
}

# written: how many points the database has written since its start.
written() { curl -sS "$database/metrics" | awk '/^storage_writer_ok_points_sum/ { printf "%d", $2 }'; }

# new_bucket NAME: deletes the bucket before, makes another, and waits until the database is at rest.
number=0 bucket=
new_bucket() {
    local before now
    [ -z "$bucket" ] || api DELETE "buckets/$bucket"
    number=$((number + 1))
    bucket=$(api POST buckets "{\"orgID\":\"$org_id\",\"name\":\"bench-$$-$number\",\"retentionRules\":[]}" | jq -r .id)
    echo "bench-$$-$number" >"$work/bucket"
    before=$(database_ticks)
    while sleep 1 && now=$(database_ticks) && [ $((now - before)) -gt $((ticks / 20)) ]; do before=$now; done
    echo $(($(written) + records)) >"$work/wanted"
    database_ticks >"$work/ticks"
}

# finish NAME: ends what still runs, puts the peak memory in its place, and counts the points.
finish() {
    local pid
    if [ "$1" = telegraf ]; then
        read -r pid <"$work/pid"
        # The child of `time`.
        kill -TERM "$(tr -d ' ' <"/proc/$pid/task/$pid/children")"
    fi
    until [ -s "$work/peak" ]; do sleep 0.05; done
    sed -i "\$s/[0-9]*\$/$(cat "$work/peak")/" "$work/$1.used"
    count_points "$1"
}

# count_points NAME: how many are in the bucket: each reading, or the run fails. Telegraf's times are those of reading, so
# that two of a generator may have the same.
count_points() {
    local found query
    awk -v now="$(database_ticks)" -v before="$(cat "$work/ticks")" -v ticks="$ticks" \
        'BEGIN { print (now - before) / ticks }' >>"$work/$1.database"
    query="from(bucket: \"$(cat "$work/bucket")\") |> range(start: 0, stop: 2100-01-01T00:00:00Z) |> filter(fn: (r) => r._field == \"fuel\") |> group() |> count() |> keep(columns: [\"_value\"])"
    found=$(api POST "query?org=$INFLUX_ORG" "$(jq -n --arg query "$query" '{$query, dialect: {annotations: [], header: false}}')" |
        tr -d '\r' | awk -F, 'NF > 1 { print $NF }')
    echo "${found:-0}" >>"$work/$1.points"
    case $1 in
    telegraf*) ;;
    *) [ "$found" = "$records" ] || fail "$1: $found of $records readings are points" ;;
    esac
}

cat >"$work/telegraf.conf" <<END
[agent]
  interval = "1s"
  flush_interval = "1s"
  metric_batch_size = 5000
  metric_buffer_limit = 200000
  omit_hostname = true
  quiet = true
[[inputs.kafka_consumer]]
  brokers = ["${servers//,/\", \"}"]
  kafka_version = "3.9.0"
  topics = ["$topic"]
  consumer_group = "\${BENCH_GROUP}"
  offset = "oldest"
  max_undelivered_messages = 50000
  max_processing_time = "10s"
  data_format = "json_v2"
  [[inputs.kafka_consumer.json_v2]]
    measurement_name = "$topic"
    [[inputs.kafka_consumer.json_v2.object]]
      path = "@this"
      tags = ["generatorID"]
      [inputs.kafka_consumer.json_v2.object.fields]
        temperature = "int"
        pressure = "int"
        fuel = "int"
[[outputs.influxdb_v2]]
  urls = ["$database"]
  token = "\${INFLUX_TOKEN}"
  organization = "$INFLUX_ORG"
  bucket = "\${BENCH_BUCKET}"
  concurrent_writes = 2
END

# run NAME COMMAND…: in the background, with its processor time noted; its peak memory is that of all of its processes, added
# up every 0.1 s, in the file peak when it has ended.
cat >"$work/run" <<'END'
run() {
    local name=$1
    shift
    : >peak
    /usr/bin/time -a -o "$name.used" -f '%U %S %M' "$@" >"$name.out" 2>&1 &
    pid=$!
    watch "$pid" >peak 2>/dev/null &
}
watch() {
    local most=0 sum all at children
    # A process may end while it is looked at.
    set +e
    while [ -d "/proc/$1" ]; do
        all=("$1") sum=0
        for ((at = 0; at < ${#all[@]}; at++)); do
            read -ra children <<<"$(cat "/proc/${all[at]}/task/"*/children | tr '\n' ' ')"
            all+=("${children[@]}")
            # The first is `time`.
            [ "$at" = 0 ] || sum=$((sum + $(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/${all[at]}/status") + 0))
        done
        [ "$sum" -le "$most" ] || most=$sum
        sleep 0.1
    done
    echo "$most"
}
END

script tap <<-END
	. ./run
	export INFLUX_URL='${INFLUX_URL%/*}'/\$(cat bucket) INFLUX_ORG='$INFLUX_ORG'
	run tap topic-tap '$KAFKA_URL/$topic' --group "\$(cat bucket)" --count $records --from beginning --exec \\
	    'influx-write "\$INFLUX_URL" --org "\$INFLUX_ORG" --tag generatorID'
	wait "\$pid"
	END
script telegraf <<-END
	. ./run
	export BENCH_BUCKET=\$(cat bucket) BENCH_GROUP=\$(cat bucket)
	run telegraf '$telegraf' --config telegraf.conf
	echo "\$pid" >pid
	until [ "\$(curl -sS '$database/metrics' | awk '/^storage_writer_ok_points_sum/ { printf "%d", \$2 }')" -ge "\$(cat wanted)" ]; do
	    [ -d "/proc/\$pid" ] || { cat telegraf.out; exit 1; }
	    sleep 0.1
	done
	END

prepare=new_bucket inspect=finish
in_turn "from Kafka into InfluxDB" tap telegraf

# The table of the others, and a column for the database.
begin_table "InfluxDB $(curl -sSI "$database/ping" | sed -n 's/^X-Influxdb-Version: v*\([0-9.]*\).*/\1/p'), Telegraf $(cut -c2- target/telegraf/version)" |
    sed 's/^| what.*/&  database processor s | points |/; s/^| ---.*/& ---: | ---: |/'
rows "from Kafka into InfluxDB" tap "$records" "topic-tap --exec influx-write" telegraf "$records" Telegraf |
    while read -r line; do
        case $line in *Telegraf*) name=telegraf ;; *) name=tap ;; esac
        # The first run isn't counted.
        printf '%s %.2f | %d |\n' "$line" "$(tail -n +2 "$work/$name.database" | median)" "$(tail -n +2 "$work/$name.points" | median)"
    done
