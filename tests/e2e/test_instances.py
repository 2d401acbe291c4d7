"""Container instances: agents join, leave, come back and are deregistered (ecs-behaviour W3 to W5; ecs-engine D2)."""

import json
import unittest

from harness import docker
from harness.cases import EngineCase, attribute, resource
from harness.http_get import get
from harness.process import Agent, ControlPlane, free_port, port_is_free
from harness.wait import eventually

INTROSPECTION_PORT = 51678


class Instances(EngineCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_plane("server", "--settle-secs", "1")

    def agent(self, name, cluster, **variables):
        """An agent of its own, started; its data directory is kept between starts."""
        agent = Agent(self.plane, self.directory / name, cluster, **variables)
        self.addCleanup(agent.stop)
        agent.start()
        return agent

    def make_cluster(self, name):
        cluster = f"{self.cluster}-{name}"
        self.ecs.create_cluster(clusterName=cluster)
        return cluster

    def joined(self, agent, cluster):
        """The cluster's one instance, once it is connected."""

        def look():
            agent.must_run()
            return self.instances(cluster)

        def one_connected(found):
            return len(found) == 1 and found[0]["agentConnected"]

        return eventually(look, one_connected, what=f"an instance in {cluster}")[0]

    def test_w3_an_instance_joins(self):
        cluster = self.make_cluster("joined")
        port = INTROSPECTION_PORT if port_is_free(INTROSPECTION_PORT) else free_port()
        agent = self.agent(
            "joined",
            cluster,
            LONGSHORE_INTROSPECTION_PORT=port,
            LONGSHORE_AVAILABILITY_ZONE=f"{self.region}b",
            ECS_INSTANCE_ATTRIBUTES=json.dumps({"stack": "prod"}),
            ECS_RESERVED_MEMORY=256,
        )
        self.joined(agent, cluster)
        [arn] = self.aws.json("list-container-instances", "--cluster", cluster)["containerInstanceArns"]
        self.assert_arn(arn, rf"container-instance/{cluster}/[0-9a-f]{{32}}")
        [instance] = self.aws.json(
            *("describe-container-instances", "--cluster", cluster, "--container-instances", arn)
        )["containerInstances"]
        self.assertEqual((instance["status"], instance["agentConnected"]), ("ACTIVE", True))
        self.assertEqual((instance["runningTasksCount"], instance["pendingTasksCount"]), (0, 0))
        self.assertRegex(instance["ec2InstanceId"], r"\Ai-[0-9a-f]{17}\Z")
        registered = instance["registeredResources"]
        self.assertEqual([entry["name"] for entry in registered], ["CPU", "MEMORY", "PORTS", "PORTS_UDP"])
        self.assertEqual(resource(instance, "CPU", "registeredResources") % 1024, 0)
        self.assertGreater(resource(instance, "MEMORY", "registeredResources"), 0)
        self.assertLessEqual(
            {"22", "2375", "2376", "51678", "51679"}, set(resource(instance, "PORTS", "registeredResources"))
        )
        self.assertEqual(resource(instance, "PORTS_UDP", "registeredResources"), [])
        self.assertEqual(instance["remainingResources"], registered)
        self.assertEqual(attribute(instance, "ecs.os-type"), "linux")
        self.assertEqual(attribute(instance, "ecs.availability-zone"), f"{self.region}b")
        self.assertEqual(attribute(instance, "stack"), "prod")
        self.assertRegex(instance["versionInfo"]["agentVersion"], r"\A\d+\.\d+\.\d+\Z")
        self.assertTrue(instance["versionInfo"]["dockerVersion"])
        described = self.ecs.describe_clusters(clusters=[cluster])["clusters"][0]
        self.assertEqual(described["registeredContainerInstancesCount"], 1)

        status, text = get(("127.0.0.1", port), "/v1/metadata")
        self.assertEqual(status, 200)
        metadata = json.loads(text)
        self.assertEqual((metadata["Cluster"], metadata["ContainerInstanceArn"]), (cluster, arn))
        self.assertRegex(metadata["Version"], rf"\A\w.* v?{instance['versionInfo']['agentVersion']}")

    def test_w4_default_cluster_comes_into_being(self):
        self.assertEqual(self.ecs.describe_clusters()["clusters"], [])
        agent = self.agent("default", None)
        # The cluster is missing until the agent has made it.
        eventually(lambda: self.ecs.describe_clusters()["clusters"], what="the cluster `default`")
        self.joined(agent, "default")
        self.assertEqual(len(self.ecs.list_container_instances()["containerInstanceArns"]), 1)

    def test_a_named_cluster_that_is_missing_ends_the_agent(self):
        agent = self.agent("lost", f"{self.cluster}-never-made")
        self.assertNotEqual(agent.wait_end(), 0)
        self.assertIn("Cluster not found.", agent.log_tail())
        self.assertEqual(self.ecs.describe_clusters(clusters=[f"{self.cluster}-never-made"])["clusters"], [])

    def test_w5_stop_start_and_deregister(self):
        cluster, second = self.make_cluster("first"), self.make_cluster("second")
        agent = self.agent("moving", cluster)
        arn = self.joined(agent, cluster)["containerInstanceArn"]

        # Stopped: still there, still ACTIVE, not connected, and no place for a task.
        self.assertEqual(agent.stop(), 0, agent.log_tail())
        stopped = eventually(
            lambda: self.instance(arn, cluster), lambda instance: not instance["agentConnected"], what="disconnected"
        )
        self.assertEqual(stopped["status"], "ACTIVE")
        self.assertEqual(self.ecs.list_container_instances(cluster=cluster)["containerInstanceArns"], [arn])
        definition = self.register("job", {"command": ["exit", "0"]})
        answer = self.ecs.run_task(cluster=cluster, taskDefinition=definition)
        self.assertEqual(answer["tasks"], [])
        self.assertEqual([(entry["arn"], entry["reason"]) for entry in answer["failures"]], [(arn, "AGENT")])
        answer = self.ecs.start_task(cluster=cluster, taskDefinition=definition, containerInstances=[arn])
        self.assertEqual([entry["reason"] for entry in answer["failures"]], ["AGENT"])

        # Started again: the same instance.
        agent.start()
        again = self.joined(agent, cluster)
        self.assertEqual(again["containerInstanceArn"], arn)

        # With a task on it, it is not let go without force.
        sleeper = self.register("sleeper", {"command": ["sleep", "300"]})
        [task] = self.ecs.run_task(cluster=cluster, taskDefinition=sleeper)["tasks"]
        self.wait_in(cluster, task["taskArn"], "RUNNING")
        self.assert_refused(
            "InvalidParameterException",
            "Found running tasks on the instance.",
            self.ecs.deregister_container_instance,
            cluster=cluster,
            containerInstance=arn,
        )
        gone = self.aws.json(
            *("deregister-container-instance", "--cluster", cluster, "--container-instance", arn, "--force")
        )["containerInstance"]
        self.assertEqual(gone["status"], "INACTIVE")
        self.assertEqual(self.ecs.list_container_instances(cluster=cluster)["containerInstanceArns"], [])
        self.assertEqual(self.instance(arn, cluster)["status"], "INACTIVE")
        ended = self.wait_in(cluster, task["taskArn"], "STOPPED")
        self.assertEqual(ended["stoppedReason"], "Container instance deregistration forced by user.")
        described = self.ecs.describe_clusters(clusters=[cluster])["clusters"][0]
        self.assertEqual(described["registeredContainerInstancesCount"], 0)
        answer = self.ecs.start_task(cluster=cluster, taskDefinition=definition, containerInstances=[arn])
        self.assertEqual([entry["reason"] for entry in answer["failures"]], ["INACTIVE"])
        agent.stop()

        # The machine in another cluster is another instance, and in that one only.
        moved = self.agent("moved", second)
        other = self.joined(moved, second)["containerInstanceArn"]
        self.assertNotEqual(other, arn)
        self.assert_arn(other, rf"container-instance/{second}/[0-9a-f]{{32}}")
        self.assertEqual(self.ecs.list_container_instances(cluster=cluster)["containerInstanceArns"], [])
        # Without instances the first cluster can go.
        self.assertEqual(self.ecs.delete_cluster(cluster=cluster)["cluster"]["status"], "INACTIVE")

    def wait_in(self, cluster, arn, status):
        """Like `wait_task`, in one of this class's many clusters."""
        return eventually(
            lambda: self.ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"][0],
            lambda task: task["lastStatus"] == status,
            what=f"{status} of {arn}",
        )

    def test_an_instance_is_in_the_cluster_it_registered_with(self):
        """A data directory from one cluster does not make an instance in another."""
        cluster, other = self.make_cluster("home"), self.make_cluster("abroad")
        agent = self.agent("settled", cluster)
        arn = self.joined(agent, cluster)["containerInstanceArn"]
        agent.stop()
        astray = self.agent("settled", other)
        self.assertNotEqual(astray.wait_end(), 0)
        self.assertEqual(self.ecs.list_container_instances(cluster=other)["containerInstanceArns"], [])
        self.assertEqual(self.ecs.list_container_instances(cluster=cluster)["containerInstanceArns"], [arn])


class Up(EngineCase):
    """`longshore up` as a newcomer types it."""

    def test_ready_means_that_a_task_can_run_and_a_missing_cluster_is_made(self):
        plane = ControlPlane("up", self.directory / "made", options=("--cluster", self.cluster))
        self.addCleanup(plane.stop)
        type(self).plane = plane
        plane.start()
        type(self).ecs = self.client()
        # No waiting: `up` has said that it is ready.
        [instance] = self.instances()
        self.assertEqual((instance["status"], instance["agentConnected"]), ("ACTIVE", True))
        definition = self.register("first", {"command": ["exit", "0"]})
        [task] = self.run_tasks(taskDefinition=definition)
        self.assertEqual(self.wait_task(task["taskArn"], "STOPPED")["containers"][0]["exitCode"], 0)
        arn = instance["containerInstanceArn"]

        # What it knew, it knows again: definition, task, instance.
        self.assertEqual(plane.stop(), 0, plane.log_tail())
        plane.start()
        type(self).ecs = self.client()
        [instance] = self.instances()
        self.assertEqual((instance["containerInstanceArn"], instance["agentConnected"]), (arn, True))
        self.assertEqual(self.task(task["taskArn"])["lastStatus"], "STOPPED")
        self.assertEqual(self.ecs.list_task_definitions()["taskDefinitionArns"], [definition])

    def test_a_deregistered_instance_is_a_new_one_at_the_next_start(self):
        plane = ControlPlane("up", self.directory / "left", options=("--cluster", self.cluster))
        self.addCleanup(plane.stop)
        type(self).plane = plane
        plane.start()
        type(self).ecs = self.client()
        [old] = [instance["containerInstanceArn"] for instance in self.instances()]
        definition = self.register("left", {"command": ["sleep", "600"]})
        [task] = [task["taskArn"] for task in self.run_tasks(taskDefinition=definition)]
        self.wait_task(task, "RUNNING")
        self.assertNotEqual(docker.containers_of_task(task), [])
        gone = self.ecs.deregister_container_instance(cluster=self.cluster, containerInstance=old, force=True)
        self.assertEqual(gone["containerInstance"]["status"], "INACTIVE")
        self.assertEqual(plane.stop(), 0, plane.log_tail())

        plane.start()
        type(self).ecs = self.client()
        [new] = self.instances()
        self.assertEqual((new["status"], new["agentConnected"]), ("ACTIVE", True))
        self.assertNotEqual(new["containerInstanceArn"], old)
        self.assertEqual(self.instance(old)["status"], "INACTIVE")
        self.assertIn(f"{old} was deregistered; joining as a new container instance", plane.log_tail(100))
        # The tasks of the old instance end with it, and do not become the new one's.
        self.wait_engine(lambda: docker.containers_of_task(task), "the old instance's task")
        self.assertEqual(self.task(task)["containerInstanceArn"], old)
        # Only the new one is a candidate, and the old one no failure.
        large = self.register("large", {"memory": 10_000_000})
        answer = self.ecs.run_task(cluster=self.cluster, taskDefinition=large)
        self.assertEqual(
            [(entry["arn"], entry["reason"]) for entry in answer["failures"]],
            [(new["containerInstanceArn"], "RESOURCE:MEMORY")],
        )


if __name__ == "__main__":
    unittest.main()
