"""Starts a sync over AMQP and waits for the event of its end.

Usage: AMQP_URL=amqp://… python amqp.py <import storage>
Needs the package `pika`. An invalid request gets no answer: it goes to `longshore.dead`, and the scheduler logs `sync_request_rejected`.
"""

import json
import os
import sys
import uuid

import pika

storage = int(sys.argv[1])
channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()

# Listen first, so that the event of a quick sync is not missed.
queue = channel.queue_declare("", exclusive=True).method.queue
for event in ("completed", "completed_with_errors", "failed", "cancelled"):
    channel.queue_bind(queue, "longshore.events", f"sync.{event}")

# The broker confirms the request. If the confirm is lost, publish the same request again: its key starts nothing new.
channel.confirm_delivery()
request = {"version": 1, "kind": "s3", "direction": "import", "storage": storage, "idempotency_key": str(uuid.uuid4())}
channel.basic_publish("longshore.requests", "", json.dumps(request), pika.BasicProperties(delivery_mode=2))

for method, _, body in channel.consume(queue, auto_ack=True):
    event = json.loads(body)
    if event["storage"] == storage:
        print(method.routing_key, event["sync"])
        break
