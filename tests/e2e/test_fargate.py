"""Tasks of FARGATE and FARGATE_SPOT on a pool of agents that belongs to no cluster (ecs-surfaces F1, ecs-services E12)."""

import unittest

from harness import docker
from harness.cases import WEB_1, WEB_2, EngineCase
from harness.process import Agent, free_port
from harness.wait import eventually
from test_awsvpc import answer_of
from test_crashes import steady
from test_rollouts import Watch

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}}
FULL = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
BOTH = [
    {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
    {"capacityProvider": "FARGATE_SPOT", "weight": 1},
]
# What each pool agent has to give: sixteen of the smallest tasks.
POOL_CPU = 4096
POOL_MEMORY = 8192


def address(task):
    """The address of a task's own interface."""
    [attachment] = [entry for entry in task["attachments"] if entry["type"] == "ElasticNetworkInterface"]
    details = {detail["name"]: detail["value"] for detail in attachment["details"]}
    return details["privateIPv4Address"]


class Fargate(EngineCase):
    """A server, two pool agents in two zones, and no container instance at all."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_plane("server", "--settle-secs", "1", port=free_port())
        cls.ecs.create_cluster(
            clusterName=cls.cluster,
            capacityProviders=["FARGATE", "FARGATE_SPOT"],
            # The tests need not name it.
            defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE", "weight": 1}],
        )
        cls.pool = [cls.pool_agent(zone) for zone in "ab"]
        eventually(cls.pool_connected, lambda count: count == len(cls.pool), what="connected pool agents")

    @classmethod
    def pool_agent(cls, zone, name=None, cpu=POOL_CPU):
        agent = Agent(
            cls.plane,
            cls.directory / (name or f"pool-{zone}"),
            LONGSHORE_POOL="true",
            LONGSHORE_AVAILABILITY_ZONE=f"{cls.region}{zone}",
            LONGSHORE_AGENT_CPU=cpu,
            LONGSHORE_AGENT_MEMORY=POOL_MEMORY,
        )
        cls.addClassCleanup(agent.stop)
        agent.start()
        return agent

    @classmethod
    def pool_instances(cls):
        """The pool, as only its operator sees it."""
        arns = cls.ecs.list_container_instances(cluster=".fargate", status="ACTIVE")["containerInstanceArns"]
        return cls.ecs.describe_container_instances(cluster=".fargate", containerInstances=arns)["containerInstances"]

    @classmethod
    def pool_connected(cls):
        try:
            return sum(instance["agentConnected"] for instance in cls.pool_instances())
        except cls.ecs.exceptions.ClusterNotFoundException:
            return 0

    def register_small(self, family, **container):
        return self.register(
            family,
            {"portMappings": [{"containerPort": 8080}], **container},
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
        )

    def run_small(self, definition, **parameters):
        return self.run_tasks(taskDefinition=definition, networkConfiguration=NETWORK, **parameters)

    def test_a_task_answers_on_an_address_of_its_own(self):
        definition = self.register_small("alone")
        answer = self.aws.json(
            *("run-task", "--cluster", self.cluster, "--task-definition", definition, "--launch-type", "FARGATE"),
            *("--network-configuration", "awsvpcConfiguration={subnets=[subnet-1],assignPublicIp=ENABLED}"),
        )
        self.assertEqual(answer["failures"], [])
        [task] = answer["tasks"]
        self.addCleanup(self.stop_task_quietly, task["taskArn"])
        self.assertEqual(task["lastStatus"], "PROVISIONING")
        self.assertEqual([entry["type"] for entry in task["attachments"]], ["ElasticNetworkInterface"])
        running = self.wait_task(task["taskArn"], "RUNNING")
        shown = {key: running.get(key) for key in ("launchType", "platformVersion", "platformFamily", "cpu", "memory")}
        self.assertEqual(
            shown,
            {
                "launchType": "FARGATE",
                "platformVersion": "1.4.0",
                "platformFamily": "Linux",
                "cpu": "256",
                "memory": "512",
            },
        )
        self.assertNotIn("containerInstanceArn", running)
        self.assertNotIn("capacityProviderName", running)
        self.assertEqual(running["ephemeralStorage"], {"sizeInGiB": 20})
        self.assertIn(running["availabilityZone"], (f"{self.region}a", f"{self.region}b"))
        self.assertEqual(running["connectivity"], "CONNECTED")
        self.assertEqual(answer_of(address(running))[0], 200)
        # Its container is found by the cluster that it belongs to, not by the pool.
        self.assertIn(docker.container_of_task(task["taskArn"], "web"), docker.running_of_cluster(self.cluster))
        self.ecs.stop_task(cluster=self.cluster, task=task["taskArn"])
        stopped = self.wait_task(task["taskArn"], "STOPPED")
        self.assertEqual(stopped["stopCode"], "UserInitiated")

    def test_nobody_sees_the_pool(self):
        self.run_small(self.register_small("seen"))
        self.assertEqual(self.ecs.list_container_instances(cluster=self.cluster)["containerInstanceArns"], [])
        answer = self.ecs.describe_clusters(clusters=[self.cluster, ".fargate"], include=["STATISTICS"])
        [cluster] = answer["clusters"]
        self.assertEqual(cluster["registeredContainerInstancesCount"], 0)
        self.assertEqual([failure["reason"] for failure in answer["failures"]], ["MISSING"])
        listed = self.ecs.list_clusters()["clusterArns"]
        self.assertEqual([arn for arn in listed if "fargate" in arn], [])
        self.assert_refused(
            "ClusterNotFoundException", "Cluster not found.", self.ecs.list_tasks, cluster=".fargate"
        )

    def test_without_room_it_says_so(self):
        definition = self.register(
            "big",
            {"portMappings": [{"containerPort": 8080}]},
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="8192",
            memory="16384",
        )
        answer = self.ecs.run_task(
            cluster=self.cluster, taskDefinition=definition, launchType="FARGATE", networkConfiguration=NETWORK
        )
        self.assertEqual(answer["tasks"], [])
        self.assertEqual([failure["reason"] for failure in answer["failures"]], [FULL])
        self.create_service("big", definition, 1, launchType="FARGATE", networkConfiguration=NETWORK)
        self.wait_message("big", f"(service big) was unable to place a task. Reason: {FULL}.")

    def test_both_providers_share_a_service_that_rolls(self):
        old, new = self.register_small("roll"), self.register_small("roll", image=WEB_2)
        self.create_service(
            "roll",
            old,
            4,
            capacityProviderStrategy=BOTH,
            networkConfiguration=NETWORK,
            deploymentConfiguration={"minimumHealthyPercent": 75, "maximumPercent": 150},
        )
        self.wait_running("roll", 4, 60)

        def by_provider():
            tasks = self.service_tasks("roll")
            self.assertEqual({task["launchType"] for task in tasks}, {"FARGATE"})
            zones = [task["availabilityZone"][-1] for task in tasks]
            self.assertEqual(sorted(zones), ["a", "a", "b", "b"])
            return sorted(task["capacityProviderName"] for task in tasks)

        # The base, then one each, then either of them.
        self.assertIn(by_provider().count("FARGATE"), (2, 3))

        def look(client):
            service = client.describe_services(cluster=self.cluster, services=["roll"])["services"][0]
            return service["runningCount"] + service["pendingCount"], service["runningCount"]

        with Watch(self, look) as watch:
            self.ecs.update_service(cluster=self.cluster, service="roll", taskDefinition=new)
            self.wait_running("roll", 4, 90)
        self.assertLessEqual(max(active for active, _ in watch.seen), 6)
        self.assertGreaterEqual(min(running for _, running in watch.seen), 3)
        tasks = self.service_tasks("roll")
        self.assertEqual({task["taskDefinitionArn"] for task in tasks}, {new})
        self.assertIn(by_provider().count("FARGATE"), (2, 3))
        for task in tasks:
            self.assertEqual(answer_of(address(task))[0], 200)

    def test_kill_9_of_everything_changes_nothing(self):
        definition = self.register_small("lasting")
        arns = [task["taskArn"] for task in self.run_small(definition, count=4)]
        before = [steady(self.wait_task(arn, "RUNNING", 60)) for arn in arns]
        starts = [docker.start_of(docker.container_of_task(arn, "web")) for arn in arns]
        self.plane.kill()
        for agent in self.pool:
            agent.kill()
        for agent in self.pool:
            agent.start()
        self.plane.start()
        type(self).ecs = self.client()
        eventually(self.pool_connected, lambda count: count == len(self.pool), 60, "the pool agents again")
        # A task's report comes after the reconnect; what it must not be is another start.
        after = eventually(
            lambda: [steady(self.task(arn)) for arn in arns], lambda now: now == before, what="the tasks as they were"
        )
        self.assertEqual(after, before)
        self.assertEqual([docker.start_of(docker.container_of_task(arn, "web")) for arn in arns], starts)
        self.assertEqual(answer_of(address(self.task(arns[0])))[0], 200)
        self.ecs.stop_task(cluster=self.cluster, task=arns[0])
        self.wait_task(arns[0], "STOPPED")

    def test_draining_an_agent_interrupts_spot(self):
        extra = self.pool_agent("a", "pool-drained")
        eventually(self.pool_connected, lambda count: count == len(self.pool) + 1, what="another pool agent")
        definition = self.register_small("spot", image=WEB_1)
        spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
        self.create_service(
            "spot", definition, 6, capacityProviderStrategy=spot, networkConfiguration=NETWORK,
            availabilityZoneRebalancing="DISABLED",
        )
        self.wait_running("spot", 6, 60)
        drained = max(self.pool_instances(), key=lambda instance: instance["registeredAt"])
        before = drained["runningTasksCount"]
        self.assertGreater(before, 0)
        self.ecs.update_container_instances_state(
            cluster=".fargate", containerInstances=[drained["containerInstanceArn"]], status="DRAINING"
        )

        def interrupted():
            tasks = self.tasks(serviceName="spot", desiredStatus="STOPPED")
            return [task for task in tasks if task.get("stopCode") == "SpotInterruption"]

        for task in eventually(interrupted, lambda tasks: len(tasks) == before, what="interrupted tasks"):
            self.assertEqual(task["stoppedReason"], "Your Spot Task was interrupted.")
        self.wait_running("spot", 6, 60)
        empty = eventually(
            lambda: self.instance(drained["containerInstanceArn"], ".fargate"),
            lambda instance: instance["runningTasksCount"] + instance["pendingTasksCount"] == 0,
            what="an empty instance",
        )
        self.ecs.deregister_container_instance(cluster=".fargate", containerInstance=empty["containerInstanceArn"])
        extra.stop()


class UpServesFargate(EngineCase):
    """`longshore up` has an agent for Fargate without being asked."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_plane("up", "--cluster", cls.cluster)

    def test_it_shares_the_machine(self):
        definition = self.register(
            "small",
            {"portMappings": [{"containerPort": 8080}]},
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
        )
        [task] = self.run_tasks(taskDefinition=definition, launchType="FARGATE", networkConfiguration=NETWORK)
        self.assertEqual(answer_of(address(self.wait_task(task["taskArn"], "RUNNING")))[0], 200)
        [instance] = self.instances()
        self.assertEqual(instance["runningTasksCount"], 0)


if __name__ == "__main__":
    unittest.main()
