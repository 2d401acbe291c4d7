"""Full disks, a dead engine, a hung one, containers that do not die: each ends in a reason, and the instance recovers.

An agent reaches the engine through `harness.engine_proxy`, where the tests put the faults.
"""

import contextlib
import json
import pathlib
import subprocess
import unittest

from harness import docker
from harness.cases import BUSYBOX, EngineCase
from harness.engine_proxy import HANG, EngineProxy
from harness.process import Agent
from harness.wait import eventually

NO_SPACE = "mkdir /var/lib/docker/overlay2/0: no space left on device"
UNREACHABLE = "Cannot connect to the Docker daemon"
SHORT_OF_SPACE = "the data directory is full; from its reserve"


class Hygiene(EngineCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_plane("server", "--settle-secs", "1")

    def agent(self, name, **variables):
        """An agent in a cluster of its own behind a proxy of its own."""
        self.cluster = f"{type(self).cluster}-{name}"
        self.ecs.create_cluster(clusterName=self.cluster)
        self.proxy = EngineProxy(self.directory / f"{name}.sock")
        self.proxy.up()
        self.addCleanup(self.proxy.down)
        # In the file, as on a machine whose agent a service manager starts.
        config = self.directory / f"{name}.config"
        config.write_text(f"DOCKER_HOST={self.proxy.host}\n")
        self.agent_process = Agent(
            self.plane,
            variables.pop("data_dir", self.directory / name),
            self.cluster,
            LONGSHORE_ECS_CONFIG=config,
            **{"ECS_CONTAINER_STOP_TIMEOUT": "1s", "LONGSHORE_LOG": "info", **variables},
        )
        self.agent_process.log_path = self.directory / f"{name}.log"
        self.addCleanup(self.agent_process.stop)
        self.agent_process.start()
        # Before the agent stops: faults are over, so that the tasks of the test can end.
        self.addCleanup(self.proxy.clear)
        self.wait_connected()

    def wait_connected(self):
        def one(found):
            return len(found) == 1 and found[0]["agentConnected"]

        return eventually(self.instances, one, 40, "one connected instance")[0]

    def sleeper(self, family="sleeper", **container):
        return self.register(family, {"image": BUSYBOX, "memory": 8, "command": ["sleep", "600"], **container})

    def run_one(self, definition):
        [task] = self.run_tasks(taskDefinition=definition)
        return task["taskArn"]

    def assert_fails_to_start(self, arn, reason, timeout_secs=30):
        ended = self.wait_task(arn, "STOPPED", timeout_secs)
        self.assertEqual(ended["stopCode"], "TaskFailedToStart")
        self.assertRegex(ended["stoppedReason"], reason)
        return ended

    def assert_runs(self, definition):
        """The instance is as good as before."""
        arn = self.run_one(definition)
        self.wait_task(arn, "RUNNING")
        return arn

    def wait_log(self, text, timeout_secs=20):
        log = self.agent_process.log_path
        eventually(lambda: text in log.read_text(errors="replace"), timeout_secs=timeout_secs, what=f"{text!r} in {log}")

    def test_an_engine_without_space(self):
        self.agent("no-space")
        definition = self.sleeper()
        for call, name in (("create", "CannotCreateContainerError"), ("[0-9a-f]+/start", "CannotStartContainerError")):
            self.proxy.rule(rf"^POST .*/containers/{call}", (500, NO_SPACE))
            self.assert_fails_to_start(self.run_one(definition), f"^{name}: .*no space left on device")
            self.proxy.clear()
            self.assert_runs(definition)
        self.wait_log("the container runtime says that its disk is full")

    def test_a_pull_without_space_and_one_that_hangs(self):
        self.agent("pulls", ECS_IMAGE_PULL_BEHAVIOR="always", ECS_IMAGE_PULL_INACTIVITY_TIMEOUT="1s")
        definition = self.sleeper(image="registry.invalid/app:1")
        digest = {"Descriptor": {"digest": f"sha256:{'0' * 64}", "mediaType": "x", "size": 1}, "Platforms": []}
        manifest = (200, json.dumps(digest))
        for outcome, reason in (
            ((500, NO_SPACE), "^CannotPullContainerError: .*no space left on device"),
            (HANG, "^CannotPullContainerError: no progress of the pull for 1s"),
        ):
            self.proxy.rule("^GET .*/distribution/", manifest)
            self.proxy.rule("^POST .*/images/create", outcome)
            self.assert_fails_to_start(self.run_one(definition), reason, 60)
            self.proxy.clear()

    def test_a_start_that_hangs(self):
        # Less than 45 s cannot be configured.
        self.agent("hung-start", ECS_CONTAINER_START_TIMEOUT="45s")
        definition = self.sleeper()
        self.proxy.rule(r"^POST .*/containers/[0-9a-f]+/start", HANG)
        reason = "^DockerTimeoutError: Could not transition to started; timed out after waiting 45s"
        self.assert_fails_to_start(self.run_one(definition), reason, 75)
        self.proxy.clear()
        self.assert_runs(definition)

    def test_a_dead_engine(self):
        self.agent("dead", ECS_MANIFEST_PULL_TIMEOUT="30s")
        definition = self.sleeper()
        lasting, victim = self.assert_runs(definition), self.assert_runs(definition)
        before = docker.start_of(docker.container_of_task(lasting))
        self.proxy.down()
        self.wait_log("the container runtime does not answer")
        # What ends now, nobody can see; nothing is guessed.
        docker.kill(docker.container_of_task(victim))
        late = self.run_one(definition)
        self.assert_fails_to_start(late, f"^CannotPullContainerError: .*{UNREACHABLE}", 60)
        self.assertEqual(self.task(victim)["lastStatus"], "RUNNING")
        self.assertTrue(self.wait_connected()["agentConnected"], "the agent itself is well")

        # The engine is back: the truth is told, and what went on was left alone.
        self.proxy.up()
        ended = self.wait_task(victim, "STOPPED")
        self.assertEqual(ended["containers"][0]["exitCode"], 137)
        self.assertEqual(ended["stopCode"], "EssentialContainerExited")
        self.assertEqual(self.task(lasting)["lastStatus"], "RUNNING")
        self.assertEqual(docker.start_of(docker.container_of_task(lasting)), before)
        self.assert_runs(definition)

    def test_an_engine_that_dies_while_a_task_starts_and_is_stopped(self):
        self.agent("dying")
        definition = self.sleeper()
        stopping = self.assert_runs(definition)
        self.proxy.rule(r"^POST .*/containers/[0-9a-f]+/start", HANG)
        starting = self.run_one(definition)
        eventually(
            lambda: docker.containers_of_task(starting, running_only=False), what="the container that is to be started"
        )
        self.proxy.down()
        self.ecs.stop_task(cluster=self.cluster, task=stopping)
        self.wait_log("the container runtime does not answer")
        self.proxy.clear()
        self.proxy.up()
        # The start was not heard of by the engine: the look finds that out, and it is asked again.
        self.wait_task(starting, "RUNNING", 40)
        self.assertEqual(len(docker.containers_of_task(starting, running_only=False)), 1)
        ended = self.wait_task(stopping, "STOPPED", 60)
        self.assertEqual(ended["stopCode"], "UserInitiated")
        self.assertNotIn("reason", ended["containers"][0])

    def test_a_container_that_does_not_die(self):
        self.agent("undying")
        definition = self.sleeper()
        arn = self.assert_runs(definition)
        undead = docker.container_of_task(arn)
        stuck = "cannot stop container: tried to kill container, but did not receive an exit event"
        self.proxy.rule(r"^POST .*/containers/[0-9a-f]+/(stop|kill)", (500, stuck))
        self.proxy.rule(r"^DELETE .*/containers/", (500, stuck))
        self.ecs.stop_task(cluster=self.cluster, task=arn)
        ended = self.wait_task(arn, "STOPPED", 60)
        self.assertEqual(ended["stopCode"], "UserInitiated")
        self.assertRegex(ended["containers"][0]["reason"], f"^CannotStopContainerError: .*{stuck}")
        self.assertIn(undead, docker.running_of_cluster(self.cluster), "it still runs, and the reason says so")
        self.proxy.clear()
        self.assert_runs(definition)

    def test_a_full_disk_cleans_up_early(self):
        # Any disk in use is above this mark.
        self.agent("pressure", LONGSHORE_DISK_HIGH_WATER="1")
        self.wait_log("1 % is the mark")
        definition = self.sleeper()
        lasting, ended = self.assert_runs(definition), self.assert_runs(definition)
        self.ecs.stop_task(cluster=self.cluster, task=ended)
        self.wait_task(ended, "STOPPED")
        # Otherwise they would stay for three hours.
        self.wait_engine(lambda: docker.containers_of_task(ended, running_only=False), "the stopped container")
        self.wait_log("go early, because the disk is full")
        self.assertEqual(self.task(lasting)["lastStatus"], "RUNNING")
        docker.container_of_task(lasting)

    def test_a_full_data_directory(self):
        mount = self.directory / "small"
        mount.mkdir()
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest(f"cannot mount a small file system: {error}")
        self.addCleanup(subprocess.run, ["umount", "-l", mount], check=True)
        self.agent("full", data_dir=mount / "agent")
        definition = self.sleeper()
        lasting, first = self.assert_runs(definition), self.assert_runs(definition)
        process = self.agent_process.child.pid

        # Full: tasks are taken until the agent notices, and declined from then on, with a reason.
        filler = mount / "filler"
        fill(filler)

        def run_and_see():
            task = self.task(self.run_one(definition))
            task = eventually(
                lambda: self.task(task["taskArn"]), lambda t: t["lastStatus"] in ("RUNNING", "STOPPED"), what="an end"
            )
            return task["lastStatus"] == "STOPPED" and task

        declined = eventually(run_and_see, timeout_secs=60, what="a task that is declined")
        self.assertEqual(declined["stopCode"], "TaskFailedToStart")
        self.assertRegex(declined["stoppedReason"], "^ResourceInitializationError: .*data directory .* is full")
        self.wait_log(SHORT_OF_SPACE)
        # What is under way still ends, and the end is told: there is a reserve for that.
        self.ecs.stop_task(cluster=self.cluster, task=first)
        self.wait_task(first, "STOPPED")

        # Even the reserve is gone: a stop waits for space, and is not lost. Nothing is acknowledged that is not safe.
        fill(filler)
        victims = [task["taskArn"] for task in self.tasks(desiredStatus="RUNNING") if task["taskArn"] != lasting]
        victims.append(lasting)
        for arn in victims:
            self.ecs.stop_task(cluster=self.cluster, task=arn)
        for arn in victims:
            eventually(lambda arn=arn: not docker.containers_of_task(arn), what=f"the end of the container of {arn}")
            fill(filler)
        filler.unlink()
        for arn in victims:
            self.assertEqual(self.wait_task(arn, "STOPPED", 30)["stopCode"], "UserInitiated")
        self.wait_log("the data directory has space again; the agent takes new tasks")
        arn = self.assert_runs(definition)
        self.assertEqual(self.agent_process.child.pid, process)
        self.assertTrue(self.agent_process.running, "it is still the same agent")

        # And what it wrote meanwhile is whole.
        before = docker.start_of(docker.container_of_task(arn))
        self.agent_process.kill()
        self.agent_process.start()
        self.wait_connected()
        self.assertEqual(self.task(arn)["lastStatus"], "RUNNING")
        self.assertEqual(docker.start_of(docker.container_of_task(arn)), before)


def fill(path):
    """Writes until the file system is full."""
    with pathlib.Path(path).open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 1024)


if __name__ == "__main__":
    unittest.main()
