"""Airflow's operators for ECS, one after the other; what they found, as JSON at the end of standard output.

Needs the environment of a shell that has sourced Longshore's `env` file. Arguments: cluster, image.
"""

import json
import sys

from airflow.providers.amazon.aws.operators.ecs import (
    EcsCreateClusterOperator,
    EcsDeleteClusterOperator,
    EcsDeregisterTaskDefinitionOperator,
    EcsRegisterTaskDefinitionOperator,
    EcsRunTaskOperator,
)
from airflow.providers.amazon.aws.sensors.ecs import EcsTaskStateSensor

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}}


class TaskInstance:
    """What an operator is given of the run of its DAG."""

    dag_id, task_id, run_id, map_index = "dag", "run", "manual", -1

    def __init__(self):
        self.pushed = {}

    def xcom_push(self, key, value, **others):
        self.pushed[key] = value


def main(cluster, image):
    ti = TaskInstance()
    # Without a connection of Airflow's own the operators use what boto3 finds by itself.
    common = {"aws_conn_id": None}

    def run(kind, name, **parameters):
        return kind(task_id=name, **common, **parameters).execute({"ti": ti})

    def run_task(command, **others):
        # Airflow writes down who it is, to find its task again after a restart.
        overrides = {"containerOverrides": [{"name": "job", "command": command}]}
        return run(
            EcsRunTaskOperator, "run", task_definition="airflow", cluster=cluster, launch_type="FARGATE",
            overrides=overrides, network_configuration=NETWORK, tags={"Owner": "airflow"}, propagate_tags="TASK_DEFINITION",
            waiter_delay=1, waiter_max_attempts=60, reattach=True, **others,
        )

    found = {}
    found["cluster"] = run(EcsCreateClusterOperator, "make", cluster_name=cluster)["status"]
    found["definition"] = run(
        EcsRegisterTaskDefinitionOperator, "register", family="airflow",
        container_definitions=[{"name": "job", "image": image, "essential": True, "command": ["true"]}],
        register_task_kwargs={
            "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        },
    )
    run_task(["sh", "-c", "exit 0"])
    found["succeeded"] = ti.pushed["ecs_task_arn"]
    try:
        run_task(["sh", "-c", "exit 3"])
    except Exception as error:
        found["failed"] = f"{type(error).__name__}: {error}"
    # A worker that went away, and the next one that finds the task that it had started.
    run_task(["sleep", "600"], wait_for_completion=False)
    started = ti.pushed.pop("ecs_task_arn")
    run_task(["sleep", "600"], wait_for_completion=False)
    found["found again"] = ti.pushed["ecs_task_arn"] == started
    sensor = EcsTaskStateSensor(
        task_id="sense", cluster=cluster, task=started, target_state="RUNNING", poke_interval=1, timeout=60, **common
    )
    sensor.execute({"ti": ti})
    killed = EcsRunTaskOperator(task_id="kill", task_definition="airflow", cluster=cluster, overrides={}, **common)
    killed.arn = started
    killed.on_kill()
    killed._wait_for_task_ended()
    found["deregistered"] = run(EcsDeregisterTaskDefinitionOperator, "deregister", task_definition=found["definition"])
    found["deleted"] = run(EcsDeleteClusterOperator, "delete", cluster_name=cluster)["status"]
    print("\n" + json.dumps(found))


main(*sys.argv[1:])
