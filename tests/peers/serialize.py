"""Produces readings with Confluent's own serialiser: lines of JSON on stdin, validated, framed and keyed.

    serialize.py SERVERS TOPIC REGISTRY SCHEMA-FILE KEY-FIELD [prefix|header [PROPERTY=VALUE...]]

The sixth argument is where the schema's identity goes: before the value (the default) or into a header. What follows are
properties of the producer.
"""

import json
import sys

from confluent_kafka import SerializingProducer
from confluent_kafka.schema_registry import SchemaRegistryClient, header_schema_id_serializer, prefix_schema_id_serializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import StringSerializer

FRAMINGS = {"prefix": prefix_schema_id_serializer, "header": header_schema_id_serializer}


def failed(error, message):
    if error is not None:
        sys.exit(f"{message.key()}: {error}")


def main(servers, topic, registry, schema, key, framing="prefix", *properties):
    with open(schema, encoding="utf-8") as file:
        serializer = JSONSerializer(
            file.read(),
            SchemaRegistryClient({"url": registry}),
            conf={"schema.id.serializer": FRAMINGS[framing]},
        )
    producer = SerializingProducer(
        {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "key.serializer": StringSerializer(),
            "value.serializer": serializer,
            **dict(prop.split("=", 1) for prop in properties),
        }
    )
    for line in sys.stdin:
        record = json.loads(line)
        while True:
            try:
                producer.produce(topic, key=record[key], value=record, headers=[], on_delivery=failed)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush():
        sys.exit("not all was delivered")


main(*sys.argv[1:])
