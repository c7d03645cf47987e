"""Drives Longshore with Label Studio's own client, as its users' scripts do.

Reads from standard input where the API is and what storages to make; any difference from what
the client and its users expect ends it with the difference.
"""

import inspect
import json
import sys
import time

import httpx
from label_studio_sdk.client import LabelStudio
from label_studio_sdk.core.api_error import ApiError

COMMON = set(
    "id type synchronizable last_sync last_sync_count last_sync_job status traceback meta title description "
    "created_at regex_filter use_blob_urls project".split()
)
SIGNING = {"presign", "presign_ttl", "recursive_scan"}
BUCKET = {"bucket", "prefix", "aws_sse_kms_key_id", "region_name", "s3_endpoint"}
# The fields of each kind, those of both directions first and then those of imports alone.
FIELDS = {
    "s3": (BUCKET, SIGNING),
    "s3s": (BUCKET | {"role_arn", "external_id"}, SIGNING),
    "gcs": ({"bucket", "prefix", "google_project_id"}, SIGNING),
    "azure": ({"container", "prefix"}, SIGNING),
    "redis": ({"path", "host", "port", "db"}, set()),
    "localfiles": ({"path"}, {"recursive_scan"}),
}
SECRETS = {
    "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "google_application_credentials",
    "account_name", "account_key", "password",
}
ERROR = {"id", "status_code", "version", "detail", "exc_info"}
ENDED = {"completed", "completed_with_errors", "failed"}
PATIENCE = 60

answers = []


def note(response):
    response.read()
    answers.append(response)


def connect(order, token):
    client = httpx.Client(trust_env=False, timeout=60, follow_redirects=True, event_hooks={"response": [note]})
    return LabelStudio(base_url=order["url"], api_key=token, httpx_client=client)


def same(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r}, not {wanted!r}")


def answered(what, status):
    """The JSON of the last answer, which has this status."""
    same(f"{what}: status", answers[-1].status_code, status)
    return answers[-1].json() if answers[-1].content else None


def refused(what, call, status, code):
    """Calls, and gives the body of the refusal."""
    try:
        call()
    except ApiError as error:
        same(f"{what}: status", error.status_code, status)
        missing = ERROR - set(error.body)
        same(f"{what}: keys that are missing in {error.body}", missing, set())
        same(f"{what}: code", error.body["code"], code)
        same(f"{what}: status in the body", error.body["status_code"], status)
        return error.body
    sys.exit(f"{what} went well")


class Storages:
    """One kind in one direction, from its making to its end."""

    def __init__(self, client, order, direction, kind):
        self.name = f"{direction} {kind}"
        self.direction, self.kind, self.order = direction, kind, order
        self.calls = getattr(getattr(client, f"{direction}_storage"), "local" if kind == "localfiles" else kind)
        wish = order["storages"][kind]
        self.settings = {**wish["both"], **wish[direction]}
        self.secrets = set(wish["both"]) & SECRETS
        self.wrong = wish["wrong"]
        # What the client does not know, such as an emulator's address, it still sends.
        self.extra = {"additional_body_parameters": wish.get("extra", {})}

    def call(self, method, *args, **fields):
        call = getattr(self.calls, method)
        # Older versions have fewer parameters.
        known = inspect.signature(call).parameters
        more = {name: fields.pop(name) for name in list(fields) if name not in known}
        extra = {"additional_body_parameters": {**self.extra["additional_body_parameters"], **more}}
        return call(*args, request_options=extra, **fields)

    def fields(self):
        own, imports = FIELDS[self.kind]
        return COMMON | own | (imports if self.direction == "import" else {"can_delete_objects"})

    def make(self):
        project = self.order["project"]
        made = self.call("create", project=project, title="by the client", **self.settings)
        body = answered(f"create {self.name}", 201)
        same(f"{self.name}: fields that are missing", self.fields() - set(body), set())
        same(f"{self.name}: secrets that are shown", SECRETS & set(body), set())
        same(f"{self.name}: what it is", (made.type, made.project, made.title, made.status),
             (self.kind, project, "by the client", "initialized"))
        for name in set(self.settings) - self.secrets - {"s3endpoint"}:
            same(f"{self.name}: {name}", getattr(made, name), self.settings[name])
        self.id = made.id

    def read(self):
        got = self.call("get", self.id)
        body = answered(f"get {self.name}", 200)
        same(f"{self.name}: fields that are missing", self.fields() - set(body), set())
        listed = self.call("list", project=self.order["project"])
        rows = answered(f"list {self.name}", 200)
        same(f"{self.name}: the list", [row.id for row in listed], [got.id])
        same(f"{self.name}: a row of the list", rows, [body])
        refused(f"get of an unknown {self.name}", lambda: self.call("get", 999_999), 404, "not_found")
        refused(f"list without a project {self.name}", lambda: self.call("list", project=999_999), 404, "not_found")

    def change(self):
        changed = self.call("update", self.id, title="renamed", description="kept")
        body = answered(f"update {self.name}", 200)
        same(f"{self.name}: what was changed", (changed.title, changed.description), ("renamed", "kept"))
        same(f"{self.name}: the type of a changed one", body["type"], self.kind)
        body = refused(f"a wrong {self.name}", lambda: self.call("update", self.id, regex_filter="("), 400,
                       "validation_error")
        same(f"{self.name}: the wrong field", list(body["validation_errors"]), ["regex_filter"])

    def validate(self):
        project = self.order["project"]
        before = self.call("get", self.id).dict()
        same(f"validate {self.name}", self.call("validate", project=project, **self.settings), None)
        body = answered(f"validate {self.name}", 200)
        same(f"validate {self.name}: warnings", isinstance(body.get("warnings"), list), True)
        if self.kind != "s3s":
            # The stored secrets serve where none are sent, and what is stored stays as it is.
            plain = {name: value for name, value in self.settings.items() if name not in self.secrets}
            self.call("validate", id=self.id, project=project, **plain)
        same(f"{self.name} after it was validated", self.call("get", self.id).dict(), before)
        fields, code = self.wrong["fields"], self.wrong["code"]
        wrong = lambda: self.call("validate", project=project, **{**self.settings, **fields})
        body = refused(f"validate of a wrong {self.name}", wrong, 400, code)
        same(f"{self.name}: the field to blame", list(body["validation_errors"]), [self.wrong["field"]])

    def sync(self):
        if not hasattr(self.calls, "sync"):
            # Version 1 has no such call for s3s.
            return
        started = self.call("sync", self.id)
        answered(f"sync {self.name}", 200)
        same(f"{self.name}: which was synced", started.id, self.id)
        end = time.monotonic() + PATIENCE
        while (state := self.call("get", self.id)).status not in ENDED:
            if time.monotonic() > end:
                sys.exit(f"{self.name}: still {state.status}")
            time.sleep(0.05)
        same(f"{self.name}: {state.traceback}", state.status, "completed")
        same(f"{self.name}: last_sync_count", state.last_sync_count, self.order["count"])
        same(f"{self.name}: last_sync", state.last_sync is not None, True)

    def delete(self):
        same(f"delete {self.name}", self.call("delete", self.id), None)
        answered(f"delete {self.name}", 204)
        refused(f"a deleted {self.name}", lambda: self.call("get", self.id), 404, "not_found")


def tasks(client, project, storage):
    """What a script looks at after an import; gives the first task."""
    found = [task for task in client.tasks.list(project=project) if task.storage_filename]
    body = answers[0].json()
    same("keys of the list of tasks", {"tasks", "total", "total_annotations", "total_predictions"} - set(body), set())
    task = client.tasks.get(str(found[0].id))
    same("a task by its id", (task.id, task.project), (found[0].id, project))
    same(f"data of a task of {storage}", isinstance(task.data, dict) and bool(task.data), True)
    refused("an unknown task", lambda: client.tasks.get("999999"), 404, "not_found")
    return task


def schemes(order, synced):
    """Each token is sent as its form asks, and shows the same tasks."""
    shown = []
    for token in order["tokens"]:
        client = connect(order, token)
        ids = [task.id for task in client.tasks.list(project=order["project"])]
        shown.append((answers[-1].request.headers["authorization"].split(" ")[0], len(ids), sorted(ids)))
    same("tasks", [ids for _, _, ids in shown], [shown[0][2]] * len(shown))
    same("schemes and tasks", [(scheme, count) for scheme, count, _ in shown],
         [(scheme, synced) for scheme in order["schemes"]])


def main():
    order = json.load(sys.stdin)
    kinds = list(FIELDS)
    for token in order["tokens"]:
        client = connect(order, token)
        for calls in (client.import_storage, client.export_storage):
            same("kinds", [kind.name for kind in calls.list_types()], kinds)
            answered("list_types", 200)
            same("keys of a kind", [set(row) for row in answers[-1].json()], [{"name", "title"}] * len(kinds))
    stranger = connect(order, "nobody-knows-this-token")
    refused("a wrong token", lambda: stranger.import_storage.list_types(), 401, "unauthorized")

    client = connect(order, order["tokens"][0])
    annotated, synced = False, 0
    for kind in kinds:
        for direction in ("import", "export"):
            storages = Storages(client, order, direction, kind)
            for step in (storages.make, storages.read, storages.change, storages.validate, storages.sync):
                step()
            if direction == "import" and hasattr(storages.calls, "sync"):
                synced += 1
                answers.clear()
                task = tasks(client, order["project"], kind)
                if not annotated:
                    client.annotations.create(id=task.id, result=[])
                    annotated = True
            storages.delete()
    schemes(order, synced)
    print(f"{len(kinds)} kinds, both ways")


main()
