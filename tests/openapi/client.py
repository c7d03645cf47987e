"""Uses the client that openapi-python-client made of the API's document, as its users would.

Reads from standard input where the client and the API are; any difference ends it with the difference.
"""

import json
import sys
import time

order = json.load(sys.stdin)
sys.path.insert(0, order["folder"])

from longshore_client import AuthenticatedClient, Client
from longshore_client.api.export_storages import export_storages_s3_create, export_storages_s3_sync
from longshore_client.api.import_storages import (
    import_storages_s3_create,
    import_storages_s3_files,
    import_storages_s3_get,
    import_storages_s3_sync,
    import_storages_s3_update,
    import_storages_s3_validate,
)
from longshore_client.api.projects import projects_create
from longshore_client.api.storages import import_storages
from longshore_client.api.syncs import syncs_events, syncs_get, syncs_list
from longshore_client.api.tasks import tasks_list
from longshore_client.api.tokens import tokens_refresh
from longshore_client import models
from longshore_client.models.sync_status import SyncStatus

PATIENCE = 60
LIVE = {SyncStatus.QUEUED, SyncStatus.IN_PROGRESS}

client = AuthenticatedClient(base_url=order["url"], token=order["token"], raise_on_unexpected_status=True)


def until_ended(ask):
    """What `ask` gives once its status is that of something that has ended."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        answer = ask()
        if answer.status not in LIVE:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"it does not end: {answer}")


def ended(sync_id):
    return until_ended(lambda: syncs_get.sync(sync_id, client=client))


project = projects_create.sync(client=client, body=models.NewProject(title="Generated"))
assert isinstance(project, models.ProjectBody), project

settings = {"project": project.id, "bucket": order["bucket"], **order["connection"]}
fields = models.S3ImportStorageRequest.from_dict({**settings, "recursive_scan": True})
assert not fields.additional_properties, f"the document lacks {fields.additional_properties}"

valid = import_storages_s3_validate.sync_detailed(client=client, body=fields)
assert valid.status_code == 200, valid
wrong = models.S3ImportStorageRequest.from_dict({**settings, "aws_secret_access_key": "not-it"})
refused = import_storages_s3_validate.sync(client=client, body=wrong)
assert isinstance(refused, models.ErrorBody) and refused.code == "wrong_secret_key", refused
assert list(refused.validation_errors.additional_properties) == ["aws_secret_access_key"], refused

preview = import_storages_s3_files.sync(client=client, body=fields)
assert sorted(file.key for file in preview.files) == order["keys"] and preview.complete, preview

storage = import_storages_s3_create.sync(client=client, body=fields)
assert isinstance(storage, models.S3ImportStorage), storage
assert not storage.additional_properties, f"the document lacks {storage.additional_properties}"
change = models.S3ImportStorageChange(title="Renamed")
changed = import_storages_s3_update.sync(storage.id, client=client, body=change)
assert (changed.title, changed.applies_from, changed.bucket) == ("Renamed", "next_sync", order["bucket"]), changed
(listed,) = import_storages.sync(client=client, project=project.id)
assert isinstance(listed, models.S3ImportStorage) and listed.id == storage.id, listed

started = import_storages_s3_sync.sync_detailed(
    storage.id, client=client, body=models.StartSync(), idempotency_key="generated"
)
assert started.status_code == 200, started
sync = ended(int(started.headers["X-Longshore-Sync"]))
assert not sync.additional_properties, f"the document lacks {sync.additional_properties}"
assert (sync.status, sync.idempotency_key) == (SyncStatus.COMPLETED, "generated"), sync
assert (sync.counts.imported, sync.counts.created) == (len(order["keys"]),) * 2, sync.counts
assert not sync.counts.additional_properties, f"the document lacks {sync.counts.additional_properties}"
again = import_storages_s3_sync.sync_detailed(
    storage.id, client=client, body=models.StartSync(), idempotency_key="generated"
)
assert int(again.headers["X-Longshore-Sync"]) == sync.id, "the key makes two requests one sync"
# The storage shows the end of its sync a moment later.
status = until_ended(lambda: import_storages_s3_get.sync(storage.id, client=client))
assert (status.status, status.last_sync_count) == (SyncStatus.COMPLETED, len(order["keys"])), status
assert [row.id for row in syncs_list.sync(client=client, storage=storage.id).syncs] == [sync.id]
events = syncs_events.sync(sync.id, client=client)
assert events.startswith("event: end\ndata: {"), events
assert tasks_list.sync(client=client, project=project.id).total == len(order["keys"])

export = models.S3ExportStorageRequest.from_dict({**settings, "prefix": "out", "can_delete_objects": True})
export = export_storages_s3_create.sync(client=client, body=export)
assert isinstance(export, models.S3ExportStorage) and export.can_delete_objects is True, export
options = models.ExportOptions(mode=models.ExportMode.ALL)
started = export_storages_s3_sync.sync_detailed(export.id, client=client, body=models.StartSync(options=options))
sync = ended(int(started.headers["X-Longshore-Sync"]))
assert (sync.status, sync.options.mode) == (SyncStatus.COMPLETED, models.ExportMode.ALL), sync

# The one operation without a token in a header.
anybody = Client(base_url=order["url"], raise_on_unexpected_status=True)
unknown = tokens_refresh.sync_detailed(client=anybody, body=models.Refresh(refresh="unknown"))
assert unknown.status_code == 401 and unknown.parsed.code == "unauthorized", unknown
print("the generated client works")
