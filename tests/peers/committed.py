"""Prints the offsets that a group has committed in a topic, as a JSON object by partition.

    committed.py SERVERS GROUP TOPIC PARTITIONS
"""

import json
import sys

from confluent_kafka import Consumer, TopicPartition


def main(servers, group, topic, partitions):
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group})
    wanted = [TopicPartition(topic, partition) for partition in range(int(partitions))]
    found = consumer.committed(wanted, timeout=60)
    print(json.dumps({one.partition: one.offset for one in found if one.offset >= 0}))
    consumer.close()


main(*sys.argv[1:])
