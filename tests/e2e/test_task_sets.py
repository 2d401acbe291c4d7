"""Task sets of the EXTERNAL deployment controller (ecs-services E7, ecs-operations B7): a shift from one
version to the other, as a deployment tool does it, with the server killed in the middle."""

import unittest

from harness import docker
from harness.cases import DEPLOYMENT_ID, WEB_2, EngineCase, endpoint
from harness.http_get import get
from harness.process import Agent, free_port
from harness.wait import eventually

DESIRED = 4


class TaskSets(EngineCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A port that is known before, because the agent comes back to it.
        cls.start_plane("server", "--settle-secs", "1", port=free_port())
        cls.ecs.create_cluster(clusterName=cls.cluster)
        cls.agent = Agent(
            cls.plane, cls.directory / "agent", cls.cluster, ECS_DYNAMIC_HOST_PORT_RANGE="21000-21999"
        )
        cls.addClassCleanup(cls.agent.stop)
        cls.agent.start()

    def setUp(self):
        super().setUp()
        eventually(
            self.instances,
            lambda found: len(found) == 1 and found[0]["agentConnected"],
            40,
            "a connected instance",
        )

    def restart_server(self):
        self.plane.kill()
        self.plane.start()
        type(self).ecs = self.client()

    def external_service(self, name, desired, **others):
        service = self.ecs.create_service(
            cluster=self.cluster,
            serviceName=name,
            desiredCount=desired,
            deploymentController={"type": "EXTERNAL"},
            **others,
        )["service"]
        self.addCleanup(self.remove_service, name)
        return service

    def create_set(self, service, definition, percent, **others):
        return self.ecs.create_task_set(
            cluster=self.cluster,
            service=service,
            taskDefinition=definition,
            scale={"value": percent, "unit": "PERCENT"},
            **others,
        )["taskSet"]

    def update_set(self, service, task_set, percent):
        return self.ecs.update_task_set(
            cluster=self.cluster,
            service=service,
            taskSet=task_set,
            scale={"value": percent, "unit": "PERCENT"},
        )["taskSet"]

    def task_set(self, service, task_set):
        answer = self.ecs.describe_task_sets(cluster=self.cluster, service=service, taskSets=[task_set])
        self.assertEqual(answer["failures"], [])
        return answer["taskSets"][0]

    def wait_steady(self, service, task_set, count):
        """The set once it is stable with so many tasks."""

        def steady(found):
            return found["stabilityStatus"] == "STEADY_STATE" and found["runningCount"] == count

        found = eventually(lambda: self.task_set(service, task_set), steady, 30, f"{count} tasks of {task_set}")
        self.assertEqual((found["computedDesiredCount"], found["pendingCount"]), (count, 0))
        return found

    def tasks_of(self, task_set):
        return self.tasks(startedBy=task_set, desiredStatus="RUNNING")

    def versions(self, task_set):
        """The versions that the tasks of a set answer, each asked on its own."""
        return {get(endpoint(task))[1].split()[-1] for task in self.tasks_of(task_set)}

    def starts(self):
        return docker.starts_of_cluster(self.cluster)

    def test_a_shift_from_blue_to_green(self):
        port = {"portMappings": [{"containerPort": 8080}], "cpu": 16, "memory": 16}
        old, new = self.register("shift", port), self.register("shift", {**port, "image": WEB_2})
        service = self.external_service("shift", DESIRED)
        self.assertEqual((service["deployments"], service["taskSets"]), ([], []))
        self.assertNotIn("taskDefinition", service)

        blue = self.create_set("shift", old, 100, externalId="blue", tags=[{"key": "colour", "value": "blue"}])
        self.assertRegex(blue["id"], rf"\A{DEPLOYMENT_ID}\Z")
        self.assert_arn(blue["taskSetArn"], f"task-set/{self.cluster}/shift/{blue['id']}")
        self.assertEqual((blue["status"], blue["stabilityStatus"]), ("ACTIVE", "STABILIZING"))
        primary = self.ecs.update_service_primary_task_set(
            cluster=self.cluster, service="shift", primaryTaskSet=blue["taskSetArn"]
        )["taskSet"]
        self.assertEqual(primary["status"], "PRIMARY")
        blue = self.wait_steady("shift", blue["id"], DESIRED)
        self.assertEqual(self.service("shift")["taskDefinition"], old)
        self.assertEqual(self.versions(blue["id"]), {"1"})
        [task, *_] = self.tasks_of(blue["id"])
        self.assertEqual((task["startedBy"], task["group"]), (blue["id"], "service:shift"))

        # Half of it, beside the old one.
        green = self.create_set("shift", new, 50, clientToken="green-1")
        self.assertEqual(self.create_set("shift", new, 50, clientToken="green-1")["id"], green["id"])
        self.wait_steady("shift", green["id"], DESIRED // 2)
        self.assertEqual(self.versions(green["id"]), {"2"})
        self.wait_steady("shift", blue["id"], DESIRED)
        before = self.starts()
        self.assertEqual(len(before), DESIRED + DESIRED // 2)

        # All of it; and the server dies before it has seen to it.
        self.assertEqual(self.update_set("shift", green["id"], 100)["stabilityStatus"], "STABILIZING")
        self.restart_server()
        found = self.task_set("shift", green["id"])
        self.assertEqual((found["scale"], found["computedDesiredCount"]), ({"value": 100.0, "unit": "PERCENT"}, DESIRED))
        self.wait_steady("shift", green["id"], DESIRED)
        after = self.starts()
        self.assertEqual({container: after.get(container) for container in before}, before, "nothing is started again")
        self.assertEqual(len(after), 2 * DESIRED)

        self.ecs.update_service_primary_task_set(cluster=self.cluster, service="shift", primaryTaskSet=green["id"])
        service = self.service("shift")
        self.assertEqual(service["taskDefinition"], new)
        statuses = {entry["id"]: entry["status"] for entry in service["taskSets"]}
        self.assertEqual(statuses, {green["id"]: "PRIMARY", blue["id"]: "ACTIVE"})

        self.assert_refused(
            "InvalidParameterException",
            None,
            self.ecs.delete_task_set,
            cluster=self.cluster,
            service="shift",
            taskSet=blue["id"],
        )
        self.update_set("shift", blue["id"], 0)
        self.wait_steady("shift", blue["id"], 0)
        deleted = self.ecs.delete_task_set(cluster=self.cluster, service="shift", taskSet=blue["id"])["taskSet"]
        self.assertEqual(deleted["status"], "DRAINING")

        def gone(answer):
            return [failure["reason"] for failure in answer["failures"]] == ["MISSING"]

        eventually(
            lambda: self.ecs.describe_task_sets(cluster=self.cluster, service="shift", taskSets=[blue["id"]]),
            gone,
            what="the end of the old set",
        )
        self.assertEqual(len(self.service_tasks("shift")), DESIRED)
        self.assertEqual(self.versions(green["id"]), {"2"})
        self.wait_engine(lambda: len(self.starts()) != DESIRED, "the old tasks")
        texts = "\n".join(self.messages("shift"))
        self.assertIn(f"has updated computedDesiredCount for taskSet {green['id']} to {DESIRED}.", texts)

    def test_a_killed_container_is_replaced_in_its_set(self):
        definition = self.register("healed", {"cpu": 16, "memory": 16, "portMappings": [{"containerPort": 8080}]})
        self.external_service("healed", 2, enableECSManagedTags=True)
        one, other = self.create_set("healed", definition, 100), self.create_set("healed", definition, 50)
        self.wait_steady("healed", one["id"], 2)
        [kept] = (self.wait_steady("healed", other["id"], 1), self.tasks_of(other["id"]))[1]
        victim = self.tasks_of(one["id"])[0]["taskArn"]
        docker.kill(docker.container_of_task(victim))
        self.wait_task(victim, "STOPPED")
        self.wait_steady("healed", one["id"], 2)
        self.assertEqual([task["taskArn"] for task in self.tasks_of(other["id"])], [kept["taskArn"]])

        # The service's count scales both, by the command line as well.
        self.aws.json("update-service", "--cluster", self.cluster, "--service", "healed", "--desired-count", 1)
        self.wait_steady("healed", one["id"], 1)
        shown = self.aws.json(
            "describe-task-sets", "--cluster", self.cluster, "--service", "healed", "--task-sets", other["taskSetArn"]
        )["taskSets"]
        self.assertEqual([entry["id"] for entry in shown], [other["id"]])
        # 50 % of one task is one task.
        self.assertEqual(shown[0]["computedDesiredCount"], 1)

    def test_a_service_goes_with_its_sets_by_force(self):
        definition = self.register("forced", {"cpu": 16, "memory": 16})
        self.external_service("forced", 1)
        task_set = self.create_set("forced", definition, 100)
        self.wait_steady("forced", task_set["id"], 1)
        self.assert_refused(
            "InvalidParameterException",
            "The service cannot be stopped while it is scaled above 0.",
            self.ecs.delete_service,
            cluster=self.cluster,
            service="forced",
        )
        self.ecs.delete_service(cluster=self.cluster, service="forced", force=True)
        service = self.wait_service("forced", lambda found: found["status"] == "INACTIVE", what="INACTIVE")
        self.assertEqual(service["taskSets"], [])


if __name__ == "__main__":
    unittest.main()
