"""Tasks with a network interface of their own (agent-protocol G12; ecs-engine D3): addresses, localhost, crashes."""

import unittest

from harness import docker
from harness.cases import BUSYBOX, WEB_2, EngineCase, UpCase, attribute
from harness.http_get import get
from harness.process import Agent, free_port
from harness.wait import eventually
from test_tasks import WAITER

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-0123456789abcdef0"], "securityGroups": ["sg-1"]}}


def address(task):
    """The task's own address, as its containers show it; all show the same."""
    found = {
        interface["privateIpv4Address"]
        for container in task["containers"]
        for interface in container["networkInterfaces"]
    }
    [only] = found
    return only


def answer_of(ip, port=8080):
    """RUNNING means that the program was started, not that it listens already."""

    def look():
        try:
            return get((ip, port))
        except OSError as error:
            return str(error)

    return eventually(look, lambda answer: isinstance(answer, tuple), what=f"an answer of {ip}:{port}")


class Network:
    """What both classes below do."""

    def register_vpc(self, family, *containers, **others):
        web = {"cpu": 16, "memory": 16, "portMappings": [{"containerPort": 8080}]}
        return self.register(family, *(containers or [web]), networkMode="awsvpc", **others)

    def run_vpc(self, definition, count=1):
        return self.run_tasks(taskDefinition=definition, count=count, networkConfiguration=NETWORK)


class Awsvpc(Network, UpCase):
    instances_wanted = 2
    zones_wanted = 2

    def test_tasks_with_the_same_port_answer_at_addresses_of_their_own(self):
        definition = self.register_vpc("own-address")
        before = {instance["containerInstanceArn"]: instance for instance in self.instances()}
        tasks = self.run_vpc(definition, count=4)
        for task in tasks:
            self.assertEqual(task["lastStatus"], "PROVISIONING")
            [attachment] = task["attachments"]
            self.assertEqual((attachment["type"], attachment["status"]), ("ElasticNetworkInterface", "PRECREATED"))
            self.assertEqual(attachment["details"], [{"name": "subnetId", "value": "subnet-0123456789abcdef0"}])
        arns = [task["taskArn"] for task in tasks]
        self.ecs.get_waiter("tasks_running").wait(cluster=self.cluster, tasks=arns, WaiterConfig=WAITER)
        running = [self.task(arn) for arn in arns]
        self.assertEqual(len({address(task) for task in running}), 4)
        for task in running:
            [attachment] = task["attachments"]
            self.assertEqual(attachment["status"], "ATTACHED")
            details = {detail["name"]: detail["value"] for detail in attachment["details"]}
            self.assertEqual(details["privateIPv4Address"], address(task))
            self.assertRegex(details["networkInterfaceId"], r"\Aeni-[0-9a-f]{17}\Z")
            self.assertRegex(details["macAddress"], r"\A02(:[0-9a-f]{2}){5}\Z")
            [container] = task["containers"]
            self.assertEqual(container["networkBindings"], [])
            self.assertEqual(container["networkInterfaces"][0]["attachmentId"], attachment["id"])
            self.assertEqual(answer_of(address(task))[0], 200)
            # The address and the MAC address are what the container really has.
            own = docker.endpoints_of(docker.container_of_task(task["taskArn"], docker.PAUSE))
            self.assertEqual(own, [(details["privateIPv4Address"], details["macAddress"])])
        # No host port is used, and nothing of the network counts as a resource.
        for instance in self.instances():
            ports = [entry for entry in instance["remainingResources"] if entry["name"] == "PORTS"]
            self.assertEqual(
                ports,
                [e for e in before[instance["containerInstanceArn"]]["remainingResources"] if e["name"] == "PORTS"],
            )
            self.assertIn("ecs.capability.task-eni", {entry["name"] for entry in instance["attributes"]})
            self.assertTrue(attribute(instance, "ecs.subnet-id").startswith("subnet-"))
        # After the end nothing of the network runs on, and the attachment says so.
        self.ecs.stop_task(cluster=self.cluster, task=arns[0])
        ended = self.wait_task(arns[0], "STOPPED")
        self.assertEqual(ended["attachments"][0]["status"], "DELETED")
        self.wait_engine(lambda: docker.containers_of_task(arns[0]), "the task")

    def test_containers_of_a_task_meet_on_localhost(self):
        # The client is essential: when it has its answer it ends, and the task with it.
        ask = "until wget -q -O - http://127.0.0.1:8080/; do sleep 0.1; done"
        definition = self.register_vpc(
            "localhost",
            {"name": "web", "cpu": 16, "memory": 16},
            {
                "name": "client",
                "image": BUSYBOX,
                "cpu": 16,
                "memory": 16,
                "entryPoint": ["sh", "-c"],
                "command": [ask],
                "dependsOn": [{"containerName": "web", "condition": "START"}],
            },
        )
        [task] = self.run_vpc(definition)
        ended = self.wait_task(task["taskArn"], "STOPPED", 40)
        exits = {container["name"]: container.get("exitCode") for container in ended["containers"]}
        self.assertEqual(exits["client"], 0, ended)
        self.assertEqual(sorted(exits), ["client", "web"], "the agent's own container is not shown")

    def test_a_service_rolls_from_address_to_address(self):
        first = self.register_vpc("rolling")
        self.create_service("rolling", first, 2, networkConfiguration=NETWORK)
        self.wait_running("rolling", 2, 40)
        before = {address(self.task(task["taskArn"])) for task in self.service_tasks("rolling")}
        self.assertEqual(len(before), 2)
        told = self.plane.ask("endpoints", "rolling", "--cluster", self.cluster)
        self.assertEqual(sorted(told.split()), sorted(f"{own}:8080" for own in before))
        second = self.register_vpc(
            "rolling", {"image": WEB_2, "cpu": 16, "memory": 16, "portMappings": [{"containerPort": 8080}]}
        )
        self.ecs.update_service(cluster=self.cluster, service="rolling", taskDefinition=second)
        self.wait_service("rolling", lambda s: s["deployments"][0]["taskDefinition"] == second, what="the update")
        self.wait_running("rolling", 2, 60)
        for task in self.service_tasks("rolling"):
            self.assertEqual(task["taskDefinitionArn"], second)
            status, text = answer_of(address(self.task(task["taskArn"])))
            self.assertEqual(status, 200)
            self.assertIn(" 2", text)
        # Another subnet is another deployment.
        moved = {"awsvpcConfiguration": {"subnets": ["subnet-0fedcba9876543210"]}}
        self.ecs.update_service(cluster=self.cluster, service="rolling", networkConfiguration=moved)
        self.wait_running("rolling", 2, 60)
        shown = self.service("rolling")["networkConfiguration"]["awsvpcConfiguration"]["subnets"]
        self.assertEqual(shown, ["subnet-0fedcba9876543210"])
        for task in self.service_tasks("rolling"):
            details = self.task(task["taskArn"])["attachments"][0]["details"]
            self.assertIn({"name": "subnetId", "value": "subnet-0fedcba9876543210"}, details)

    def test_a_task_whose_network_dies_says_so(self):
        [task] = self.run_vpc(self.register_vpc("netless"))
        self.wait_task(task["taskArn"], "RUNNING")
        docker.kill(docker.container_of_task(task["taskArn"], docker.PAUSE))
        ended = self.wait_task(task["taskArn"], "STOPPED", 40)
        self.assertIn("ContainerNetworkingError", ended["stoppedReason"])
        self.wait_engine(lambda: docker.containers_of_task(task["taskArn"]), "the task")


class AwsvpcCrashes(Network, EngineCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_plane("server", "--settle-secs", "1", port=free_port())
        cls.ecs.create_cluster(clusterName=cls.cluster)

    def agent(self, name, **variables):
        agent = Agent(self.plane, self.directory / name, self.cluster, **variables)
        self.addCleanup(agent.stop)
        agent.start()
        eventually(self.connected, what="an instance")
        return agent

    def connected(self):
        """The instance whose agent is connected, if there is one."""
        found = [instance for instance in self.instances() if instance["agentConnected"]]
        return found[0] if found else None

    def refusal(self, definition):
        """Why the connected instance takes no task."""
        answer = self.ecs.run_task(cluster=self.cluster, taskDefinition=definition, networkConfiguration=NETWORK)
        self.assertEqual(answer["tasks"], [])
        reasons = {failure["arn"]: failure["reason"] for failure in answer["failures"]}
        return reasons[self.connected()["containerInstanceArn"]]

    def leave(self, agent):
        """The agent ends in order, and its instance with it."""
        instance = self.connected()["containerInstanceArn"]
        self.assertEqual(agent.stop(), 0)
        self.ecs.deregister_container_instance(cluster=self.cluster, containerInstance=instance, force=True)

    def test_kill_9_of_the_agent_leaves_tasks_alone(self):
        agent = self.agent("agent", ECS_ENABLE_TASK_ENI="true")
        [task] = self.run_vpc(self.register_vpc("lasting"))
        self.wait_task(task["taskArn"], "RUNNING")
        shown = self.task(task["taskArn"])
        answer_of(address(shown))
        starts = [docker.start_of(container) for container in sorted(docker.containers_of_task(task["taskArn"]))]
        self.assertEqual(len(starts), 2)
        agent.kill()
        eventually(lambda: not self.connected(), what="the end of the connection")
        self.assertEqual(get((address(shown), 8080))[0], 200)
        agent.start()
        eventually(self.connected, what="the agent", timeout_secs=40)
        again = self.task(task["taskArn"])
        self.assertEqual((again["lastStatus"], address(again)), ("RUNNING", address(shown)))
        found = [docker.start_of(container) for container in sorted(docker.containers_of_task(task["taskArn"]))]
        self.assertEqual(found, starts)
        self.ecs.stop_task(cluster=self.cluster, task=task["taskArn"])
        self.wait_task(task["taskArn"], "STOPPED")
        self.wait_engine(lambda: docker.containers_of_task(task["taskArn"]), "the task")
        self.leave(agent)

    def test_refusals_name_what_is_missing(self):
        definition = self.register_vpc("refused")
        plain = self.agent("plain")
        self.assertEqual(self.refusal(definition), "ATTRIBUTE")
        self.leave(plain)
        # 8 addresses: the network's, the broadcast's and the gateway's are no task's.
        self.agent("small", ECS_ENABLE_TASK_ENI="true", LONGSHORE_TASK_NETWORK="10.213.77.0/29")
        tasks = self.run_vpc(definition, count=5)
        self.assertEqual(self.refusal(definition), "RESOURCE:ENI")
        for task in tasks:
            self.wait_task(task["taskArn"], "RUNNING", 40)
        addresses = sorted(address(self.task(task["taskArn"])) for task in tasks)
        self.assertEqual(addresses, [f"10.213.77.{n}" for n in range(2, 7)])


if __name__ == "__main__":
    unittest.main()
