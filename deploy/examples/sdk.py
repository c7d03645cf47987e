"""Starts a sync with Label Studio's Python SDK and waits until it has ended.

Usage: LONGSHORE_URL=http://localhost:8080 LONGSHORE_TOKEN=… python sdk.py <import storage>
Needs the package `label-studio-sdk`, unchanged.
"""

import os
import sys
import time

from label_studio_sdk.client import LabelStudio

client = LabelStudio(base_url=os.environ["LONGSHORE_URL"], api_key=os.environ["LONGSHORE_TOKEN"])
storage = client.import_storage.s3.sync(id=int(sys.argv[1]))
while storage.status in ("queued", "in_progress"):
    time.sleep(1)
    storage = client.import_storage.s3.get(id=storage.id)
print(storage.status, storage.last_sync_count)
