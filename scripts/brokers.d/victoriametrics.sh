# Sourced by scripts/brokers: VictoriaMetrics, from the system's packages: another database that takes what is written
# to InfluxDB.
# shellcheck shell=bash disable=SC2154 # its variables are set there
#
# +428 (to $port_base) plain and open to all. What is written can be read once /internal/force_flush was asked for.

victoriametrics_port=$((port_base + 428))

victoriametrics_needs() { need curl:curl victoria-metrics:victoria-metrics; }

victoriametrics_prepare() { mkdir -p "$state/victoriametrics"; }

# Without a limit its caches may take most of the machine's memory; without a retention old points are dropped.
victoriametrics_start() {
    start victoriametrics victoria-metrics -httpListenAddr="127.0.0.1:$victoriametrics_port" \
        -storageDataPath="$state/victoriametrics" -retentionPeriod=100y -memory.allowedBytes=128MB -loggerLevel=ERROR
}

victoriametrics_answers() {
    [ "$(curl -fsS -m 2 "http://127.0.0.1:$victoriametrics_port/health" 2>/dev/null)" = OK ]
}

victoriametrics_env() {
    # The bucket is what the address must have; it takes no notice of it.
    assign VICTORIAMETRICS_URL "influx://127.0.0.1:$victoriametrics_port/any"
}
