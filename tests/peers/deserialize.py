"""Consumes a topic with Confluent's own deserialiser: key and record of each message, a line of JSON each.

    deserialize.py SERVERS TOPIC REGISTRY COUNT
"""

import json
import sys

from confluent_kafka import DeserializingConsumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import StringDeserializer


def main(servers, topic, registry, count):
    consumer = DeserializingConsumer(
        {
            "bootstrap.servers": servers,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "key.deserializer": StringDeserializer(),
            # No schema of its own: it fetches the one that the record names, and validates against it.
            "value.deserializer": JSONDeserializer(None, schema_registry_client=SchemaRegistryClient({"url": registry})),
        }
    )
    consumer.subscribe([topic])
    for _ in range(int(count)):
        message = None
        while message is None:
            message = consumer.poll(1)
        if message.error():
            sys.exit(str(message.error()))
        print(json.dumps([message.key(), message.value()]))
    consumer.close()


main(*sys.argv[1:])
