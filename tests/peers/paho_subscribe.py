"""Prints what arrives, a line of JSON for each message, as paho-mqtt sees it.

    paho_subscribe.py HOST PORT FILTER COUNT
"""

import json
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.subscribeoptions import SubscribeOptions


def main(host, port, topic_filter, count):
    left = int(count)

    def on_message(client, _, message):
        nonlocal left
        properties = message.properties.json()
        print(
            json.dumps(
                {
                    "topic": message.topic,
                    "payload": message.payload.hex(),
                    "qos": message.qos,
                    "retain": bool(message.retain),
                    "properties": properties,
                }
            ),
            flush=True,
        )
        left -= 1
        if left == 0:
            client.disconnect()

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe(topic_filter, options=SubscribeOptions(qos=2, retainAsPublished=True))
    client.connect(host, int(port))
    client.loop_forever()


main(*sys.argv[1:])
