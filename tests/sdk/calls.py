"""Every call of Label Studio's client that has a meaning for Longshore, except those of storages, which `drive.py` makes.

Reads from standard input where the API is. Writes the calls that passed, one per line; any other answer than the client's
users expect ends it with the difference. Runs with clients of version 1 and 2.
"""

import json
import sys
import time

from label_studio_sdk.client import LabelStudio
from label_studio_sdk.core.api_error import ApiError

CONFIG = '<View><Image name="image" value="$image"/></View>'
PATIENCE = 60

order = json.load(sys.stdin)
client = LabelStudio(base_url=order["url"], api_key=order["token"])


def same(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r}, not {wanted!r}")


def passed(call):
    print(call)


def field(row, name):
    """A field of an answer: the client makes objects of some and dictionaries of others."""
    return row[name] if isinstance(row, dict) else getattr(row, name)


def gone(what, call):
    try:
        call()
    except ApiError as error:
        same(what, (error.status_code, error.body["code"]), (404, "not_found"))
        return
    sys.exit(f"{what} is still there")


def refused(call, code):
    try:
        call()
    except ApiError as error:
        same("a refusal", error.body["code"], code)
        return error.body
    sys.exit(f"was not refused as {code}")


def projects():
    made = client.projects.create(title="by the client", label_config=CONFIG)
    passed("projects.create")
    same("projects.get", field(client.projects.get(id=made.id), "title"), "by the client")
    passed("projects.get")
    same("projects.list", made.id in [row.id for row in client.projects.list()], True)
    passed("projects.list")
    client.projects.update(id=made.id, title="renamed")
    same("projects.update", field(client.projects.get(id=made.id), "title"), "renamed")
    passed("projects.update")
    return made.id


def tasks(project):
    task = client.tasks.create(data={"image": "s3://b/a.png"}, project=project).id
    passed("tasks.create")
    same("tasks.get", client.tasks.get(id=str(task)).data, {"image": "s3://b/a.png"})
    passed("tasks.get")
    client.tasks.update(id=str(task), data={"image": "s3://b/b.png"}, project=project)
    same("tasks.update", client.tasks.get(id=str(task)).data, {"image": "s3://b/b.png"})
    passed("tasks.update")
    same("tasks.list", [row.id for row in client.tasks.list(project=project)], [task])
    passed("tasks.list")
    return task


def annotations(task):
    made = client.annotations.create(id=task, result=[]).id
    passed("annotations.create")
    same("annotations.list", [row.id for row in client.annotations.list(id=task)], [made])
    passed("annotations.list")
    client.annotations.update(id=made, ground_truth=True)
    passed("annotations.update")
    same("annotations.get", client.annotations.get(id=made).ground_truth, True)
    passed("annotations.get")
    client.annotations.delete(id=made)
    gone("annotations.delete", lambda: client.annotations.get(id=made))
    passed("annotations.delete")


def predictions(task):
    made = client.predictions.create(task=task, result=[], score=0.5, model_version="one").id
    passed("predictions.create")
    same("predictions.list", [row.id for row in client.predictions.list(task=task)], [made])
    passed("predictions.list")
    client.predictions.update(id=made, score=0.75)
    passed("predictions.update")
    found = client.predictions.get(id=made)
    same("predictions.get", (found.score, found.model_version, found.task), (0.75, "one", task))
    passed("predictions.get")
    client.predictions.delete(id=made)
    gone("predictions.delete", lambda: client.predictions.get(id=made))
    passed("predictions.delete")


def imports(project):
    sent = [{"data": {"image": "s3://b/c.png"}, "predictions": [{"result": [], "model_version": "two"}]}, {"image": "s3://b/d.png"}]
    done = client.projects.import_tasks(id=project, request=sent, return_task_ids=True)
    same("projects.import_tasks", (done.task_count, done.prediction_count, len(done.task_ids)), (2, 1, 2))
    task = client.tasks.get(id=str(done.task_ids[0]))
    same("a sent task", (task.data, field(task.predictions[0], "model_version")), (sent[0]["data"], "two"))
    passed("projects.import_tasks")
    client.actions.create(id="delete_tasks", project=project, selected_items={"all": False, "included": done.task_ids})
    gone("actions.create", lambda: client.tasks.get(id=str(done.task_ids[1])))
    passed("actions.create(delete_tasks)")


def deletions(project, task):
    client.tasks.delete(id=str(task))
    gone("tasks.delete", lambda: client.tasks.get(id=str(task)))
    passed("tasks.delete")
    for number in range(3):
        client.tasks.create(data={"n": number}, project=project)
    # A deletion of many tasks asks back: the answer has the value to send.
    body = refused(lambda: client.tasks.delete_all_tasks(id=project), "confirmation_required")
    confirm = {"additional_query_parameters": {"confirm": body["confirm"]}}
    client.tasks.delete_all_tasks(id=project, request_options=confirm)
    end = time.monotonic() + PATIENCE
    while left := [row.id for row in client.tasks.list(project=project)]:
        if time.monotonic() > end:
            sys.exit(f"tasks.delete_all_tasks: left {left}")
        time.sleep(0.05)
    passed("tasks.delete_all_tasks")
    client.projects.delete(id=project)
    gone("projects.delete", lambda: client.projects.get(id=project))
    passed("projects.delete")


def main():
    same("users.whoami", client.users.whoami().username, order["name"])
    passed("users.whoami")
    project = projects()
    task = tasks(project)
    annotations(task)
    predictions(task)
    imports(project)
    deletions(project, task)


main()
