"""A simple sync with boto3's paginator and psycopg2, with a commit per page.

It keeps no ledger and imports everything again each time. Usage: loop.py ENDPOINT BUCKET DATABASE_URL insert|values
"""

import json
import sys
import time

import boto3
import psycopg2
from psycopg2.extras import execute_values

endpoint, bucket, database_url, how = sys.argv[1:]
s3 = boto3.client(
    "s3",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="AKIABENCH",
    aws_secret_access_key="bench",
)
database = psycopg2.connect(database_url, options="-c search_path=longshore")
cursor = database.cursor()
started = time.monotonic()
count = 0
for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
    rows = [
        (1, json.dumps({"image": f"s3://{bucket}/{o['Key']}"}), 1, o["Key"])
        for o in page.get("Contents", [])
    ]
    if how == "values":
        execute_values(
            cursor,
            "INSERT INTO tasks (project_id, data, storage_id, storage_key) VALUES %s",
            rows,
            page_size=1000,
        )
    else:
        for row in rows:
            cursor.execute(
                "INSERT INTO tasks (project_id, data, storage_id, storage_key) VALUES (%s, %s, %s, %s)",
                row,
            )
    database.commit()
    count += len(rows)
print(json.dumps({"count": count, "seconds": time.monotonic() - started}))
