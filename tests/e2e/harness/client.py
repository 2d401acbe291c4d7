"""boto3 clients of a control plane under test, and what many tests ask of it."""

import boto3
import botocore.config

from .wait import STRETCH

# The most tasks that one call describes.
DESCRIBE_MAX = 100


def ecs_client(env, connections=10):
    """An ECS client that never repeats a request: an error that goes away is still an error.

    `env` is what `up` and `server` write for the shell.
    """
    return boto3.session.Session(
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region_name=env["AWS_DEFAULT_REGION"],
    ).client(
        "ecs",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        config=botocore.config.Config(
            retries={"total_max_attempts": 1},
            read_timeout=20 * STRETCH,
            connect_timeout=5 * STRETCH,
            max_pool_connections=connections,
        ),
    )


def in_chunks(items, size):
    items = list(items)
    return [items[start : start + size] for start in range(0, len(items), size)]


def all_tasks(ecs, cluster):
    """Every task of the cluster, stopped ones too, as DescribeTasks shows it."""
    arns = []
    for desired in ("RUNNING", "STOPPED"):
        pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, desiredStatus=desired)
        arns += [arn for page in pages for arn in page["taskArns"]]
    chunks = in_chunks(arns, DESCRIBE_MAX)
    return [task for chunk in chunks for task in ecs.describe_tasks(cluster=cluster, tasks=chunk)["tasks"]]
