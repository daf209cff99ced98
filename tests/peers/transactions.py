"""Produces to a topic: a transaction that is committed, one that is aborted, and both again.

    transactions.py SERVERS TOPIC
"""

import sys

from confluent_kafka import Producer


def main(servers, topic):
    producer = Producer({"bootstrap.servers": servers, "transactional.id": topic})
    producer.init_transactions(60)
    for number in (1, 2):
        producer.begin_transaction()
        producer.produce(topic, f"committed {number}".encode())
        producer.commit_transaction(60)
        producer.begin_transaction()
        producer.produce(topic, b"aborted")
        # Without this it would never be sent.
        producer.flush(60)
        producer.abort_transaction(60)


main(*sys.argv[1:])
