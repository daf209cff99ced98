"""Makes a topic, and deletes one that was made before.

    topic.py SERVERS NEW PARTITIONS REPLICAS [OLD]
"""

import sys
import time

from confluent_kafka.admin import AdminClient, NewTopic


def main(servers, new, partitions, replicas, old=None):
    admin = AdminClient({"bootstrap.servers": servers})
    if old is not None:
        admin.delete_topics([old])[old].result(60)
    topic = NewTopic(new, num_partitions=int(partitions), replication_factor=int(replicas))
    admin.create_topics([topic])[new].result(60)
    # Until every partition has a leader, as far as the broker that is asked knows.
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = admin.list_topics(new, timeout=60).topics[new]
        leaders = [partition.leader for partition in found.partitions.values()]
        if len(leaders) == int(partitions) and min(leaders) > 0:
            return
        time.sleep(0.05)
    sys.exit(f"topic {new} has no leaders")


main(*sys.argv[1:])
