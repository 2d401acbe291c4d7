"""kill -9 of the control plane and of the agent (design 7, promises 1 and 2): nothing is lost or started again."""

import threading
import unittest

import botocore.exceptions

from harness import docker
from harness.cases import EngineCase, endpoint
from harness.http_get import get
from harness.process import Agent, free_port
from harness.wait import eventually
from test_tasks import eventually_get

TASKS = 10

# What a client may see of a task that went on running, whatever died beside it. `connectivity`, its time
# and the version do change.
STEADY = (
    "taskArn",
    "taskDefinitionArn",
    "containerInstanceArn",
    "lastStatus",
    "desiredStatus",
    "createdAt",
    "startedAt",
    "group",
    "cpu",
    "memory",
    "availabilityZone",
)
STEADY_CONTAINER = ("containerArn", "name", "lastStatus", "runtimeId", "networkBindings", "image")


def steady(task):
    containers = [{key: container.get(key) for key in STEADY_CONTAINER} for container in task["containers"]]
    return {**{key: task.get(key) for key in STEADY}, "containers": containers}


class Crashes(EngineCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A port that is known before, because agents and clients come back to it.
        cls.start_plane("server", "--settle-secs", "1", port=free_port())
        cls.ecs.create_cluster(clusterName=cls.cluster)
        # Outside of the range that outgoing connections, and other agents on this machine, take ports from.
        cls.agent = Agent(
            cls.plane, cls.directory / "agent", cls.cluster, ECS_DYNAMIC_HOST_PORT_RANGE="20000-20999"
        )
        cls.addClassCleanup(cls.agent.stop)
        cls.agent.start()

    def restart_server(self):
        self.plane.kill()
        self.plane.start()
        type(self).ecs = self.client()

    def wait_connected(self, connected=True):
        def look():
            try:
                return self.instances()
            except botocore.exceptions.BotoCoreError as error:
                return str(error)

        def all_so(found):
            if not isinstance(found, list) or len(found) != 1 or found[0]["agentConnected"] is not connected:
                return False
            # Not one that is only expected back after a restart of the server.
            return not connected or "statusReason" not in found[0]

        return eventually(look, all_so, 40, f"agentConnected {connected}")[0]

    def snapshot(self):
        """Every task that is listed as wanted, as far as it must not change."""
        return {task["taskArn"]: steady(task) for task in self.tasks()}

    def starts(self):
        return docker.starts_of_cluster(self.cluster)

    def test_ten_tasks_outlive_server_and_agent(self):
        instance = self.wait_connected()["containerInstanceArn"]
        definition = self.register("lasting", {"cpu": 16, "memory": 16, "portMappings": [{"containerPort": 8080}]})
        arns = [task["taskArn"] for task in self.run_tasks(taskDefinition=definition, count=TASKS)]
        self.assertEqual(len(arns), TASKS)
        for arn in arns:
            self.wait_task(arn, "RUNNING")
            eventually_get(self.task(arn))
        tasks, containers = self.snapshot(), self.starts()
        self.assertCountEqual(tasks, arns)
        self.assertEqual(len(containers), TASKS)
        remaining = self.instance(instance)["remainingResources"]

        # The server dies. Nothing is forgotten, and the agent finds it again by itself.
        self.restart_server()
        self.assertEqual(self.snapshot(), tasks, "known at once, before any agent has spoken")
        self.assertEqual(self.wait_connected()["containerInstanceArn"], instance)
        self.assert_all_as_before(tasks, containers)
        self.assertEqual(self.instance(instance)["remainingResources"], remaining)

        # The agent dies. It is the same instance afterwards, with the same containers.
        self.agent.kill()
        self.wait_connected(False)
        self.assertEqual(self.starts(), containers, "containers outlive the agent")
        self.agent.start()
        self.assertEqual(self.wait_connected()["containerInstanceArn"], instance)
        self.assert_all_as_before(tasks, containers)

        # Both die at once.
        self.plane.kill()
        self.agent.kill()
        self.plane.start()
        type(self).ecs = self.client()
        self.agent.start()
        self.assertEqual(self.wait_connected()["containerInstanceArn"], instance)
        self.assert_all_as_before(tasks, containers)

        # A container that ends while the agent is away is reported when it is back; it alone.
        self.agent.kill()
        self.wait_connected(False)
        victim = arns[3]
        docker.kill(docker.container_of_task(victim))
        self.assertEqual(self.task(victim)["lastStatus"], "RUNNING", "nobody can know yet")
        self.agent.start()
        ended = self.wait_task(victim, "STOPPED", 40)
        self.assertEqual(ended["stopCode"], "EssentialContainerExited")
        self.assertEqual(ended["stoppedReason"], "Essential container in task exited")
        self.assertEqual(ended["containers"][0]["exitCode"], 137)
        del tasks[victim]
        containers.pop(ended["containers"][0]["runtimeId"])
        self.assert_all_as_before(tasks, containers)
        stopped = self.ecs.list_tasks(cluster=self.cluster, family="lasting", desiredStatus="STOPPED")["taskArns"]
        self.assertEqual(stopped, [victim])

        # And all of it still obeys.
        for arn in tasks:
            self.ecs.stop_task(cluster=self.cluster, task=arn)
        for arn in tasks:
            self.assertEqual(self.wait_task(arn, "STOPPED")["containers"][0]["exitCode"], 0)
        self.wait_engine(lambda: docker.running_of_cluster(self.cluster), "the cluster")

    def assert_all_as_before(self, tasks, containers):
        """API, engine and network agree that nothing happened."""
        self.assertEqual(self.snapshot(), tasks)
        self.assertEqual(self.starts(), containers)
        for task in self.tasks():
            self.assertEqual(task["connectivity"], "CONNECTED")
            self.assertEqual(get(endpoint(task))[0], 200)

    def test_stop_task_while_the_agent_is_away(self):
        """The wish is kept, and carried out when there is somebody to do it."""
        self.wait_connected()
        definition = self.register("late", {"memory": 16})
        [task] = self.run_tasks(taskDefinition=definition)
        self.wait_task(task["taskArn"], "RUNNING")
        self.agent.kill()
        self.wait_connected(False)
        self.ecs.stop_task(cluster=self.cluster, task=task["taskArn"])
        waiting = self.task(task["taskArn"])
        self.assertEqual((waiting["desiredStatus"], waiting["connectivity"]), ("STOPPED", "DISCONNECTED"))
        self.assertNotEqual(waiting["lastStatus"], "STOPPED")
        self.restart_server()
        self.agent.start()
        ended = self.wait_task(task["taskArn"], "STOPPED", 40)
        self.assertEqual((ended["stopCode"], ended["containers"][0]["exitCode"]), ("UserInitiated", 0))

    def test_what_was_acknowledged_is_there_after_kill_9(self):
        """Clients write as fast as they can while the server is killed under them."""
        acknowledged, end = [], threading.Event()

        def write(writer):
            client = self.client()
            for number in range(100_000):
                if end.is_set():
                    return
                try:
                    answer = client.register_task_definition(
                        family=f"acknowledged-{writer}-{number % 7}",
                        containerDefinitions=[{"name": "a", "image": "i", "memory": 8}],
                    )
                    acknowledged.append(answer["taskDefinition"]["taskDefinitionArn"])
                except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                    return

        writers = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(4)]
        for writer in writers:
            writer.start()
        eventually(lambda: len(acknowledged) >= 100, what="a hundred answers")
        self.plane.kill()
        end.set()
        for writer in writers:
            writer.join(30)
        self.plane.start()
        type(self).ecs = self.client()
        pages = self.ecs.get_paginator("list_task_definitions").paginate()
        found = {arn for page in pages for arn in page["taskDefinitionArns"]}
        self.assertEqual(set(acknowledged) - found, set())
        self.assertEqual(len(acknowledged), len(set(acknowledged)), "no revision was given twice")
        self.wait_connected()


if __name__ == "__main__":
    unittest.main()
