"""Starts a sync over AMQP and waits for the event of its end.

Usage: AMQP_URL=amqp://… python amqp.py <import storage>
Needs the package `pika`.
"""

import json
import os
import sys

import pika

storage = int(sys.argv[1])
channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()

# Listen first, so that the event of a quick sync is not missed.
queue = channel.queue_declare("", exclusive=True).method.queue
for event in ("completed", "completed_with_errors", "failed", "cancelled"):
    channel.queue_bind(queue, "longshore.events", f"sync.{event}")

# The broker confirms the request. If the answer is lost, send it again: the same key starts nothing new.
channel.confirm_delivery()
request = {"version": 1, "kind": "s3", "direction": "import", "storage": storage, "idempotency_key": f"upload-{storage}"}
channel.basic_publish("longshore.requests", "", json.dumps(request), pika.BasicProperties(delivery_mode=2))

for method, _, body in channel.consume(queue, auto_ack=True):
    event = json.loads(body)
    if event["storage"] == storage:
        print(method.routing_key, event["sync"])
        break
