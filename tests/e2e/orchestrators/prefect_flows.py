"""Prefect's worker for ECS starts flow runs; what it found, as JSON at the end of standard output.

Needs the environment of a shell that has sourced Longshore's `env` file. Arguments: cluster, image, execution role.
"""

import asyncio
import json
import sys
import uuid

from prefect.client.schemas.objects import FlowRun
from prefect_aws.workers import ecs_worker
from prefect_aws.workers.ecs_worker import ECSJobConfiguration, ECSVariables, ECSWorker


async def main(cluster, image, role):
    found = {"tasks": []}
    worker = ECSWorker(work_pool_name="of-tests")
    flow = uuid.uuid4()

    async def run(command):
        values = ECSVariables(
            command=command, cluster=cluster, image=image, execution_role_arn=role, launch_type="FARGATE", cpu=256,
            memory=512, family="prefect-flows", match_latest_revision_in_family=True, env={"TEAM": "red"},
        ).model_dump(exclude_none=True)
        template = {
            "job_configuration": ECSJobConfiguration.json_template(), "variables": ECSVariables.model_json_schema(),
        }
        # ECS adds this to every answer, and the worker would take it for a difference.
        template["job_configuration"]["task_definition"]["enableFaultInjection"] = False
        configuration = await ECSJobConfiguration.from_template_and_values(base_job_template=template, values=values)
        flow_run = FlowRun(flow_id=flow, name="tried", id=uuid.uuid4())
        configuration.prepare_for_flow_run(flow_run)
        result = await worker.run(flow_run, configuration)
        return result.identifier, configuration

    for command in ("true", "sleep 600"):
        identifier, configuration = await run(command)
        found["tasks"].append(identifier)
        # Another worker process, which knows only what ECS tells it.
        ecs_worker._TASK_DEFINITION_CACHE.clear()
    await worker.kill_infrastructure(identifier, configuration)
    print("\n" + json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
