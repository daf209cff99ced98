"""Publishes each line of stdin, as a user of paho-mqtt would, and waits until all are acknowledged.

    paho_publish.py HOST PORT TOPIC QOS [PROPERTIES]

PROPERTIES, a JSON object, are those of each message in MQTT 5, by paho's names; CorrelationData in hexadecimal.
"""

import json
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def main(host, port, topic, qos, properties="{}"):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect(host, int(port))
    client.loop_start()
    given = Properties(PacketTypes.PUBLISH)
    for name, value in json.loads(properties).items():
        if name == "CorrelationData":
            value = bytes.fromhex(value)
        elif name == "UserProperty":
            value = [tuple(pair) for pair in value]
        setattr(given, name, value)
    under_way = []
    for line in sys.stdin.buffer:
        under_way.append(client.publish(topic, line.rstrip(b"\n"), int(qos), properties=given))
    for message in under_way:
        message.wait_for_publish()
    client.disconnect()
    client.loop_stop()


main(*sys.argv[1:])
