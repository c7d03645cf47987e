"""Calls of Label Studio's client before version 1 (`Client`, `Project`).

Reads from standard input where the API is. Writes the calls that passed, one per line; any other answer than the client's
users expect ends it with the difference.
"""

import json
import sys
import tempfile
import time

from label_studio_sdk import Client

CONFIG = '<View><Image name="image" value="$image"/></View>'
PATIENCE = 60

order = json.load(sys.stdin)


def same(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r}, not {wanted!r}")


def passed(call):
    print(call)


def main():
    client = Client(url=order["url"], api_key=order["token"])
    passed("Client")
    same("check_connection", client.check_connection(), {"status": "UP"})
    passed("Client.check_connection")
    project = client.start_project(title="by the client", label_config=CONFIG)
    passed("Client.start_project")
    same("get_project", client.get_project(project.id).params["title"], "by the client")
    passed("Client.get_project")
    same("list_projects", project.id in [row.id for row in client.list_projects()], True)
    passed("Client.list_projects")
    project.set_params(title="renamed")
    same("set_params", client.get_project(project.id).params["title"], "renamed")
    passed("Project.set_params")

    storage = project.connect_s3_import_storage(**order["storage"])
    passed("Project.connect_s3_import_storage")
    project.sync_import_storage("s3", storage["id"])
    passed("Project.sync_import_storage")
    end = time.monotonic() + PATIENCE
    while len(tasks := project.get_tasks()) < order["count"]:
        if time.monotonic() > end:
            sys.exit(f"get_tasks: {len(tasks)} tasks")
        time.sleep(0.05)
    passed("Project.get_tasks")
    same("get_tasks_ids", sorted(project.get_tasks_ids()), sorted(task["id"] for task in tasks))
    passed("Project.get_tasks_ids")
    task = project.get_task(tasks[0]["id"])
    passed("Project.get_task")
    project.update_task(task["id"], data={"image": "s3://b/b.png"})
    same("update_task", project.get_task(task["id"])["data"], {"image": "s3://b/b.png"})
    passed("Project.update_task")

    made = project.create_annotation(task["id"], result=[])
    passed("Project.create_annotation")
    same("get_annotation", project.get_annotation(made["id"])["task"], task["id"])
    passed("Project.get_annotation")
    project.update_annotation(made["id"], ground_truth=True)
    passed("Project.update_annotation")
    same("list_annotations", len(project.list_annotations(task["id"])), 1)
    passed("Project.list_annotations")
    project.delete_annotation(made["id"])
    same("delete_annotation", project.list_annotations(task["id"]), [])
    passed("Project.delete_annotation")
    project.create_prediction(task["id"], result=[], score=0.5, model_version="one")
    same("create_prediction", project.get_task(task["id"])["predictions"][0]["model_version"], "one")
    passed("Project.create_prediction")

    made = project.import_tasks([{"data": {"image": "s3://b/c.png"}}, {"image": "s3://b/d.png"}])
    same("import_tasks", [project.get_task(id)["data"]["image"] for id in made], ["s3://b/c.png", "s3://b/d.png"])
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([{"image": "s3://b/e.png"}], file)
        file.flush()
        made += project.import_tasks(file.name)
    same("import_tasks of a file", project.get_task(made[2])["data"], {"image": "s3://b/e.png"})
    passed("Project.import_tasks")
    project.delete_tasks(made)
    same("delete_tasks", set(made) & set(project.get_tasks_ids()), set())
    passed("Project.delete_tasks")

    project.delete_task(task["id"])
    same("delete_task", task["id"] in project.get_tasks_ids(), False)
    passed("Project.delete_task")

    same("get_import_storages", [row["id"] for row in project.get_import_storages()], [storage["id"]])
    passed("Project.get_import_storages")
    other = client.start_project(title="empty", label_config=CONFIG)
    client.delete_project(other.id)
    passed("Client.delete_project")


main()
