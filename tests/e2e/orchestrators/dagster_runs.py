"""Dagster's launcher for ECS, inside of a task: its runs become tasks like that one.

`DAGSTER_HOME` has a dagster.yaml that names the launcher. Writes what it found to /out/dagster, as JSON.
"""

import json
import os
import time

from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.code_pointer import FileCodePointer
from dagster._core.launcher.base import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.utils import make_new_run_id

IMAGE = os.environ["IMAGE"]
WAIT_SECS = 60


def launch(instance, command):
    """A run of a job, launched; its id. In place of Dagster itself its task runs `command`."""
    code = RepositoryPythonOrigin("python", FileCodePointer("jobs.py", "jobs"), container_image=IMAGE)
    location = GrpcServerCodeLocationOrigin(host="localhost", port=4000, location_name="here")
    run = DagsterRun(
        job_name="job",
        run_id=make_new_run_id(),
        status=DagsterRunStatus.STARTING,
        tags={"ecs/container_overrides": json.dumps({"command": command})},
        job_code_origin=JobPythonOrigin("job", code),
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, "jobs"), "job"),
    )
    instance.add_run(run)
    instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
    return run.run_id


def wait(instance, run_id, wanted):
    """The health of the run's task, once it is one of `wanted`."""
    deadline = time.monotonic() + WAIT_SECS
    while True:
        health = instance.run_launcher.check_run_worker_health(instance.get_run_by_id(run_id))
        if health.status.name in wanted or time.monotonic() > deadline:
            return {"status": health.status.name, "text": health.msg}
        time.sleep(0.5)


def main():
    found = {}
    with DagsterInstance.get() as instance:
        good = launch(instance, ["true"])
        found["good"] = wait(instance, good, {"SUCCESS", "FAILED"})
        bad = launch(instance, ["sh", "-c", "exit 4"])
        found["bad"] = wait(instance, bad, {"SUCCESS", "FAILED"})
        long = launch(instance, ["sleep", "600"])
        found["long"] = wait(instance, long, {"RUNNING", "FAILED"})
        found["terminated"] = instance.run_launcher.terminate(long)
        found["tasks"] = {
            name: instance.get_run_by_id(run).tags["ecs/task_arn"] for name, run in (("good", good), ("long", long))
        }
    return found


try:
    told = main()
except BaseException as error:
    told = {"error": repr(error)}
with open("/out/dagster.new", "w") as out:
    json.dump(told, out)
os.rename("/out/dagster.new", "/out/dagster")
