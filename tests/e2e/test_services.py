"""Services without load balancers (ecs-behaviour W9 to W12, W14, W16; ecs-services E2; ecs-engine D2, D4)."""

import collections
import unittest

from harness import docker
from harness.cases import DEPLOYMENT_ID, FIXED_PORT, TASK_ID, UpCase, attribute, endpoint, resource
from harness.http_get import get
from harness.wait import eventually
from test_tasks import WAITER, checked_container, eventually_get

SPREAD = [{"type": "spread", "field": "attribute:ecs.availability-zone"}]


def web(**others):
    """The walkthrough's container with its fixed host port; a small web server instead of tomcat."""
    return {
        "name": "tomcat",
        "cpu": 102,
        "memory": 50,
        "portMappings": [{"containerPort": 8080, "hostPort": FIXED_PORT}],
        **others,
    }


class Services(UpCase):
    def test_w9_create_describe_and_list(self):
        definition = self.register("created", {"command": ["sleep", "300"]})
        arguments = (
            "create-service",
            *("--cluster", self.cluster),
            *("--service-name", "created"),
            *("--task-definition", "created"),
            *("--desired-count", 1),
        )
        service = self.aws.json(*arguments)["service"]
        self.addCleanup(self.remove_service, "created")
        self.assertEqual((service["status"], service["serviceName"]), ("ACTIVE", "created"))
        self.assert_arn(service["serviceArn"], f"service/{self.cluster}/created")
        self.assert_arn(service["clusterArn"], f"cluster/{self.cluster}")
        self.assertEqual(service["taskDefinition"], definition)
        self.assertEqual((service["desiredCount"], service["runningCount"], service["pendingCount"]), (1, 0, 0))
        for empty in ("loadBalancers", "serviceRegistries", "events", "placementConstraints", "placementStrategy"):
            self.assertEqual(service[empty], [], empty)
        percents = service["deploymentConfiguration"]
        self.assertEqual((percents["maximumPercent"], percents["minimumHealthyPercent"]), (200, 100))
        self.assertEqual(service["schedulingStrategy"], "REPLICA")
        self.assertEqual(service["launchType"], "EC2")
        self.assertEqual((service["propagateTags"], service["enableExecuteCommand"]), ("NONE", False))
        self.assertNotIn("networkConfiguration", service)
        [deployment] = service["deployments"]
        self.assertEqual(deployment["status"], "PRIMARY")
        self.assertRegex(deployment["id"], rf"\A{DEPLOYMENT_ID}\Z")
        counts = [deployment[key] for key in ("desiredCount", "pendingCount", "runningCount", "failedTasks")]
        self.assertEqual(counts, [1, 0, 0, 0])
        self.assertEqual(deployment["taskDefinition"], definition)
        self.assertEqual(deployment["createdAt"], deployment["updatedAt"])
        self.assertEqual(deployment["rolloutState"], "IN_PROGRESS")
        self.assertEqual(deployment["rolloutStateReason"], f"ECS deployment {deployment['id']} in progress.")

        # Idempotent with the same parameters, and refused with others.
        again = self.aws.json(*arguments)["service"]
        self.assertEqual(again["serviceArn"], service["serviceArn"])
        self.assertEqual(again["deployments"][0]["id"], deployment["id"])
        self.assert_refused(
            "InvalidParameterException",
            "Creation of service was not idempotent.",
            self.ecs.create_service,
            cluster=self.cluster,
            serviceName="created",
            taskDefinition="created",
            desiredCount=2,
        )
        listed = self.ecs.list_services(cluster=self.cluster, maxResults=100)["serviceArns"]
        self.assertIn(service["serviceArn"], listed)
        for name in ("created", service["serviceArn"]):
            self.assertEqual(self.service(name)["serviceArn"], service["serviceArn"])

    def test_w10_it_runs(self):
        instances = {instance["containerInstanceArn"]: instance for instance in self.instances()}
        definition = self.register("running", web())
        created = self.create_service("running", definition, 1)
        service = self.wait_running("running", 1)
        [deployment] = service["deployments"]
        self.assertEqual(deployment["id"], created["deployments"][0]["id"])
        self.assertEqual(deployment["rolloutStateReason"], f"ECS deployment {deployment['id']} completed.")

        [task] = self.service_tasks("running")
        self.assertEqual((task["lastStatus"], task["desiredStatus"]), ("RUNNING", "RUNNING"))
        self.assertEqual((task["group"], task["startedBy"]), ("service:running", deployment["id"]))
        self.assertEqual(task["taskDefinitionArn"], definition)
        [binding] = task["containers"][0]["networkBindings"]
        self.assertEqual((binding["containerPort"], binding["protocol"]), (8080, "tcp"))
        self.assertEqual(binding["hostPort"], FIXED_PORT)
        self.assertEqual(eventually_get(task)[0], 200)

        texts = self.wait_message("running", "has reached a steady state.")
        identifier = task["taskArn"].rpartition("/")[2]
        self.assertEqual(
            texts,
            [
                f"(service running) has started 1 tasks: (task {identifier}).",
                f"(service running) (deployment {deployment['id']}) deployment completed.",
                "(service running) has reached a steady state.",
            ],
        )
        events = self.service("running")["events"]
        self.assertEqual(len({event["id"] for event in events}), 3)
        times = [event["createdAt"] for event in events]
        self.assertEqual(times, sorted(times, reverse=True), "newest first")
        self.aws.json("wait", "services-stable", "--cluster", self.cluster, "--services", "running")

        before = instances[task["containerInstanceArn"]]
        after = self.instance(task["containerInstanceArn"])
        self.assertEqual(resource(before, "CPU") - resource(after, "CPU"), 102)
        self.assertEqual(resource(before, "MEMORY") - resource(after, "MEMORY"), 50)
        self.assertEqual(set(resource(after, "PORTS")) - set(resource(before, "PORTS")), {str(FIXED_PORT)})
        cluster = self.ecs.describe_clusters(clusters=[self.cluster])["clusters"][0]
        self.assertEqual(cluster["registeredContainerInstancesCount"], 3)
        self.assertGreaterEqual(cluster["activeServicesCount"], 1)
        self.assertGreaterEqual(cluster["runningTasksCount"], 1)

    def test_w11_a_killed_container_is_replaced(self):
        self.create_service("healing", self.register("healing", {"command": ["sleep", "300"]}), 1)
        self.wait_running("healing", 1)
        [task] = self.service_tasks("healing")
        docker.kill(docker.container_of_task(task["taskArn"]))
        ended = self.wait_task(task["taskArn"], "STOPPED")
        self.assertEqual(ended["stopCode"], "EssentialContainerExited")
        self.assertEqual(ended["stoppedReason"], "Essential container in task exited")
        self.assertEqual(ended["containers"][0]["exitCode"], 137)
        replacement = self.wait_replacement("healing", task["taskArn"])

        # StopTask has the same effect.
        self.ecs.stop_task(cluster=self.cluster, task=replacement["taskArn"])
        ended = self.wait_task(replacement["taskArn"], "STOPPED")
        self.assertEqual((ended["stopCode"], ended["stoppedReason"]), ("UserInitiated", "Task stopped by user"))
        third = self.wait_replacement("healing", replacement["taskArn"])
        service = self.wait_running("healing", 1)
        # Losing tasks is no new deployment.
        self.assertEqual(third["startedBy"], task["startedBy"])
        self.assertEqual(service["deployments"][0]["id"], task["startedBy"])
        stopped = self.ecs.list_tasks(cluster=self.cluster, serviceName="healing", desiredStatus="STOPPED")
        self.assertCountEqual(stopped["taskArns"], [task["taskArn"], replacement["taskArn"]])

    def wait_replacement(self, name, gone):
        """The one running task of the service, once it is not `gone`."""

        def there(tasks):
            return len(tasks) == 1 and tasks[0]["taskArn"] != gone and tasks[0]["lastStatus"] == "RUNNING"

        return eventually(lambda: self.service_tasks(name), there, what=f"a replacement in {name}")[0]

    def test_w12_spread_full_house_and_scale_in(self):
        definition = self.register("spread", web(cpu=10))
        self.create_service("spread", definition, 1)
        self.wait_running("spread", 1)
        deployment = self.service("spread")["deployments"][0]["id"]

        # One on each instance.
        updated = self.ecs.update_service(cluster=self.cluster, service="spread", desiredCount=3)["service"]
        self.assertEqual(updated["desiredCount"], 3)
        service = self.wait_running("spread", 3)
        self.assertEqual(service["deployments"][0]["id"], deployment, "scaling is no new deployment")
        tasks = self.service_tasks("spread")
        self.assertEqual(len({task["containerInstanceArn"] for task in tasks}), 3)
        self.assertEqual(len({task["availabilityZone"] for task in tasks}), 3)

        # A fourth has no port anywhere.
        self.ecs.update_service(cluster=self.cluster, service="spread", desiredCount=4)
        texts = self.wait_message("spread", "was unable to place a task")
        self.assertRegex(
            next(text for text in texts if "unable to place" in text),
            r"\A\(service spread\) was unable to place a task because no container instance met all of its "
            rf"requirements\. The closest matching \(container-instance {TASK_ID}\) is already using a port required "
            r"by your task\. For more information, see the Troubleshooting section",
        )
        service = self.service("spread")
        self.assertEqual((service["desiredCount"], service["runningCount"]), (4, 3))
        # The same event is not told again while nothing changes.
        self.assertEqual(sum("unable to place" in text for text in self.messages("spread")), 1)

        # Scale in: what remains is in different zones.
        self.ecs.update_service(cluster=self.cluster, service="spread", desiredCount=2)
        self.wait_running("spread", 2)
        remaining = self.service_tasks("spread")
        self.assertEqual(len({task["availabilityZone"] for task in remaining}), 2)
        [stopped] = self.service_tasks("spread", "STOPPED")
        stopped = self.wait_task(stopped["taskArn"], "STOPPED")
        self.assertEqual(stopped["stopCode"], "ServiceSchedulerInitiated")
        self.assertEqual(
            stopped["stoppedReason"], f"Scaling activity initiated by (deployment {stopped['startedBy']})"
        )
        identifier = stopped["taskArn"].rpartition("/")[2]
        self.wait_message("spread", f"(service spread) has stopped 1 running tasks: (task {identifier}).")

    def test_w14_delete(self):
        definition = self.register("deleted", {"command": ["sleep", "300"]})
        self.create_service("deleted", definition, 1)
        self.wait_running("deleted", 1)
        self.assert_refused(
            "InvalidParameterException",
            "The service cannot be stopped while it is scaled above 0.",
            self.ecs.delete_service,
            cluster=self.cluster,
            service="deleted",
        )
        [task] = self.service_tasks("deleted")
        self.aws.json(
            *("update-service", "--cluster", self.cluster, "--service", "deleted", "--desired-count", 0)
        )
        identifier = task["taskArn"].rpartition("/")[2]
        self.wait_message("deleted", f"(service deleted) has stopped 1 running tasks: (task {identifier}).")
        self.wait_task(task["taskArn"], "STOPPED")
        deleted = self.ecs.delete_service(cluster=self.cluster, service="deleted")["service"]
        self.assertEqual(deleted["status"], "DRAINING")
        self.assertNotIn(
            deleted["serviceArn"], self.ecs.list_services(cluster=self.cluster, maxResults=100)["serviceArns"]
        )
        self.wait_service("deleted", lambda service: service["status"] == "INACTIVE", what="INACTIVE")
        self.aws.json("wait", "services-inactive", "--cluster", self.cluster, "--services", "deleted")
        self.ecs.get_waiter("services_inactive").wait(
            cluster=self.cluster, services=["deleted"], WaiterConfig=WAITER
        )
        self.assert_refused(
            "ServiceNotActiveException",
            "Service was not ACTIVE.",
            self.ecs.update_service,
            cluster=self.cluster,
            service="deleted",
            desiredCount=1,
        )

        # The name is free again; by force it goes with its tasks.
        again = self.create_service("deleted", definition, 2)
        self.assertEqual((again["status"], again["events"]), ("ACTIVE", []))
        self.wait_running("deleted", 2)
        tasks = self.service_tasks("deleted")
        forced = self.ecs.delete_service(cluster=self.cluster, service="deleted", force=True)["service"]
        self.assertEqual(forced["status"], "DRAINING")
        for task in tasks:
            self.wait_task(task["taskArn"], "STOPPED")
        service = self.wait_service("deleted", lambda service: service["status"] == "INACTIVE", what="INACTIVE")
        self.assertEqual((service["runningCount"], service["desiredCount"]), (0, 0))

    def test_w14_cluster_with_instances_and_services_cannot_be_deleted(self):
        self.assert_refused(
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
            self.ecs.delete_cluster,
            cluster=self.cluster,
        )

    def test_a11_stable_means_settled(self):
        """The waiter of every deployment script returns once, and only once, what was asked for runs."""
        self.create_service("awaited", self.register("awaited", {"command": ["sleep", "300"], "memory": 8}), 3)
        self.ecs.get_waiter("services_stable").wait(
            cluster=self.cluster, services=["awaited"], WaiterConfig=WAITER
        )
        service = self.service("awaited")
        self.assertEqual((service["runningCount"], len(service["deployments"])), (3, 1))

    def test_w16_distinct_instance(self):
        definition = self.register("distinct-service", {"command": ["sleep", "300"], "memory": 8})
        self.create_service("distinct", definition, 4, placementConstraints=[{"type": "distinctInstance"}])
        self.wait_message("distinct", "(service distinct) was unable to place a task because no container instance")
        self.wait_service("distinct", lambda service: service["runningCount"] == 3, what="3 running")
        tasks = self.service_tasks("distinct")
        self.assertEqual(len({task["containerInstanceArn"] for task in tasks}), 3)
        self.assertNotIn("steady state", " ".join(self.messages("distinct")))

    def test_w16_member_of(self):
        chosen = self.instances()[0]["containerInstanceArn"]
        stack = {"name": "stack", "targetType": "container-instance", "targetId": chosen}
        self.ecs.put_attributes(cluster=self.cluster, attributes=[{**stack, "value": "prod"}])
        self.addCleanup(self.ecs.delete_attributes, cluster=self.cluster, attributes=[stack])
        definition = self.register("labelled-service", {"command": ["sleep", "300"], "memory": 8})
        wanted = [{"type": "memberOf", "expression": "attribute:stack == prod"}]
        created = self.create_service("labelled", definition, 3, placementConstraints=wanted)
        self.assertEqual(created["placementConstraints"], wanted)
        self.wait_running("labelled", 3)
        self.assertEqual({task["containerInstanceArn"] for task in self.service_tasks("labelled")}, {chosen})

    def test_binpack_fills_one_instance_first(self):
        definition = self.register("packed", {"command": ["sleep", "300"], "memory": 8})
        strategy = [{"type": "binpack", "field": "memory"}]
        created = self.create_service("packed", definition, 3, placementStrategy=strategy)
        self.assertEqual(created["placementStrategy"], strategy)
        self.wait_running("packed", 3)
        self.assertEqual(len({task["containerInstanceArn"] for task in self.service_tasks("packed")}), 1)

    def test_w18_a_task_that_fails_its_health_checks_is_replaced(self):
        self.create_service("sick", self.register("sick", checked_container()), 1)
        # Running is not enough: with a health check, healthy is what completes a deployment.
        self.wait_running("sick", 1, 30)
        [task] = self.service_tasks("sick")
        self.assertEqual(task["healthStatus"], "HEALTHY")
        get(endpoint(task), "/fail-health")
        ended = self.wait_task(task["taskArn"], "STOPPED", 40)
        self.assertEqual(ended["stopCode"], "ServiceSchedulerInitiated")
        self.assertEqual(ended["stoppedReason"], "Task failed container health checks")
        self.wait_replacement("sick", task["taskArn"])

    def test_daemon_runs_one_on_each_instance(self):
        definition = self.register("everywhere", {"command": ["sleep", "300"], "memory": 8})
        created = self.ecs.create_service(
            cluster=self.cluster, serviceName="everywhere", taskDefinition=definition, schedulingStrategy="DAEMON"
        )["service"]
        self.addCleanup(self.remove_service, "everywhere")
        percents = created["deploymentConfiguration"]
        self.assertEqual((percents["maximumPercent"], percents["minimumHealthyPercent"]), (100, 0))
        service = self.wait_running("everywhere", 3)
        self.assertEqual(service["desiredCount"], 3)
        tasks = self.service_tasks("everywhere")
        self.assertEqual(len({task["containerInstanceArn"] for task in tasks}), 3)

    def test_d2_draining_moves_service_tasks_and_leaves_the_others(self):
        definition = self.register("moved", {"command": ["sleep", "300"], "memory": 8})
        self.create_service("moved", definition, 3)
        self.wait_running("moved", 3)
        leaving = self.instances()[0]["containerInstanceArn"]
        alone = self.ecs.start_task(
            cluster=self.cluster, taskDefinition=definition, containerInstances=[leaving]
        )["tasks"][0]["taskArn"]
        self.addCleanup(self.stop_task_quietly, alone)
        self.wait_task(alone, "RUNNING")
        answer = self.set_state(leaving, "DRAINING")
        self.addCleanup(self.set_state, leaving, "ACTIVE")
        self.assertEqual(answer["containerInstances"][0]["status"], "DRAINING")

        def moved(tasks):
            running = [task for task in tasks if task["lastStatus"] == "RUNNING"]
            return len(tasks) == 3 == len(running) and leaving not in {task["containerInstanceArn"] for task in tasks}

        eventually(lambda: self.service_tasks("moved"), moved, 30, "three tasks elsewhere")
        self.assertEqual(self.task(alone)["desiredStatus"], "RUNNING")
        self.assertEqual(self.instance(leaving)["status"], "DRAINING")
        refused = self.ecs.start_task(
            cluster=self.cluster, taskDefinition=definition, containerInstances=[leaving]
        )
        self.assertEqual(refused["tasks"], [])
        self.assertTrue(refused["failures"])
        self.assert_refused(
            "InvalidParameterException",
            "Container instance status should be one of [ACTIVE, DRAINING]",
            self.ecs.update_container_instances_state,
            cluster=self.cluster,
            containerInstances=[leaving],
            status="INACTIVE",
        )

    def set_state(self, instance, status):
        return self.ecs.update_container_instances_state(
            cluster=self.cluster, containerInstances=[instance], status=status
        )

    def test_tags_and_managed_tags(self):
        definition = self.register("labels", {"command": ["sleep", "300"], "memory": 8})
        self.create_service(
            "labels",
            definition,
            1,
            tags=[{"key": "team", "value": "blue"}],
            propagateTags="SERVICE",
            enableECSManagedTags=True,
        )
        self.wait_running("labels", 1)
        [task] = self.service_tasks("labels")
        described = self.ecs.describe_tasks(cluster=self.cluster, tasks=[task["taskArn"]], include=["TAGS"])
        tags = {tag["key"]: tag["value"] for tag in described["tasks"][0]["tags"]}
        self.assertEqual(
            tags, {"team": "blue", "aws:ecs:clusterName": self.cluster, "aws:ecs:serviceName": "labels"}
        )


class UnevenZones(UpCase):
    """One zone with three instances and one with a single one, besides a draining one."""

    instances_wanted = 5
    zones_wanted = 2

    def test_w12_the_emptier_zone_first(self):
        zones = collections.defaultdict(list)
        for instance in self.instances():
            zones[attribute(instance, "ecs.availability-zone")].append(instance["containerInstanceArn"])
        (big, many), (small, few) = sorted(zones.items(), key=lambda zone: -len(zone[1]))
        self.assertEqual((len(many), len(few)), (3, 2))
        self.ecs.update_container_instances_state(
            cluster=self.cluster, containerInstances=few[:1], status="DRAINING"
        )
        definition = self.register("balanced", {"command": ["sleep", "300"], "memory": 8})
        # Fewest tasks alone would take four instances in turn; by zones it is two and two.
        self.create_service("balanced", definition, 4, placementStrategy=SPREAD)
        self.wait_running("balanced", 4)
        used = collections.Counter(task["availabilityZone"] for task in self.service_tasks("balanced"))
        self.assertEqual(used, {big: 2, small: 2})
        # Scale in keeps the balance.
        self.ecs.update_service(cluster=self.cluster, service="balanced", desiredCount=2)
        self.wait_running("balanced", 2)
        used = collections.Counter(task["availabilityZone"] for task in self.service_tasks("balanced"))
        self.assertEqual(used, {big: 1, small: 1})


if __name__ == "__main__":
    unittest.main()
