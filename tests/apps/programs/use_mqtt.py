"""Talk to an MQTT broker: two clients, qualities 0 to 2, a retained message, a last will."""
import json
import queue
import socket
import sys

import paho.mqtt.client as mqtt

host, port = sys.argv[1], int(sys.argv[2])
arrived: queue.Queue[tuple[str, bytes]] = queue.Queue()
ready: queue.Queue[str] = queue.Queue()


def client(name: str) -> mqtt.Client:
    made = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name)
    made.on_connect = lambda *_: ready.put("connected")
    made.on_subscribe = lambda *_: ready.put("subscribed")
    return made


reader, writer = client("reader"), client("writer")
reader.on_message = lambda _, __, message: arrived.put((message.topic, message.payload))
writer.will_set("will", b"gone", qos=1)
for each in (reader, writer):
    each.connect(host, port, keepalive=5)
    each.loop_start()
    ready.get(timeout=10)
writer.publish("kept", b"retained", qos=1, retain=True).wait_for_publish(10)
reader.subscribe([("kept", 1), ("news/#", 2), ("will", 1)])
ready.get(timeout=10)
seen: dict[str, object] = {"kept": arrived.get(timeout=10)[1].decode()}
big = bytes(range(256)) * 2000
for quality in range(3):
    writer.publish(f"news/{quality}", big, qos=quality).wait_for_publish(10)
seen["news"] = sorted(topic for topic, payload in (arrived.get(timeout=10) for _ in range(3)) if payload == big)
writer.socket().shutdown(socket.SHUT_RDWR)  # without goodbye
seen["will"] = arrived.get(timeout=10)[1].decode()
for each in (writer, reader):
    each.loop_stop()
    each.disconnect()
print(json.dumps(seen))
