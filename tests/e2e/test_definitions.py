"""Clusters and task definitions (ecs-behaviour W1, W2, W6 to W8, A2 to A4): a control plane without machines."""

import json
import unittest

import botocore.exceptions

from harness.cases import ServerCase


class Clusters(ServerCase):
    def test_w1_create_is_idempotent(self):
        first = self.aws.json("create-cluster", "--cluster-name", "deep-dive-cluster")["cluster"]
        self.assertEqual(first["status"], "ACTIVE")
        self.assertEqual(first["clusterName"], "deep-dive-cluster")
        self.assert_arn(first["clusterArn"], "cluster/deep-dive-cluster")
        for count in (
            "registeredContainerInstancesCount",
            "pendingTasksCount",
            "runningTasksCount",
            "activeServicesCount",
        ):
            self.assertEqual(first[count], 0, count)
        again = self.aws.json("create-cluster", "--cluster-name", "deep-dive-cluster")["cluster"]
        self.assertEqual(again["clusterArn"], first["clusterArn"])
        self.assertEqual(again["status"], "ACTIVE")

    def test_w2_list_and_describe(self):
        arn = self.aws.json("create-cluster", "--cluster-name", "shown")["cluster"]["clusterArn"]
        self.assertIn(arn, self.aws.json("list-clusters")["clusterArns"])
        found = self.aws.json("describe-clusters", "--clusters", "shown")
        self.assertEqual([cluster["clusterArn"] for cluster in found["clusters"]], [arn])
        self.assertEqual(found["failures"], [])
        # An unknown one is a failure in the answer, and exit code 0.
        missing = self.aws.json("describe-clusters", "--clusters", "nope")
        self.assertEqual(missing["clusters"], [])
        self.assertEqual(len(missing["failures"]), 1)
        self.assert_arn(missing["failures"][0]["arn"], "cluster/nope")
        self.assertEqual(missing["failures"][0]["reason"], "MISSING")

    def test_w2_default_cluster_is_missing_on_a_fresh_server(self):
        answer = self.ecs.describe_clusters()
        self.assertEqual(answer["clusters"], [])
        self.assert_arn(answer["failures"][0]["arn"], "cluster/default")
        self.assertEqual(answer["failures"][0]["reason"], "MISSING")

    def test_w14_deleted_cluster_is_inactive_and_comes_back_with_its_arn(self):
        arn = self.ecs.create_cluster(clusterName="short-lived")["cluster"]["clusterArn"]
        deleted = self.ecs.delete_cluster(cluster="short-lived")["cluster"]
        self.assertEqual((deleted["status"], deleted["clusterArn"]), ("INACTIVE", arn))
        self.assertNotIn(arn, self.ecs.list_clusters()["clusterArns"])
        self.assertEqual(self.ecs.describe_clusters(clusters=["short-lived"])["clusters"][0]["status"], "INACTIVE")
        self.assert_refused("ClusterNotFoundException", None, self.ecs.list_tasks, cluster="short-lived")
        self.assert_refused("ClusterNotFoundException", None, self.ecs.delete_cluster, cluster="never-made")
        revived = self.ecs.create_cluster(clusterName="short-lived")["cluster"]
        self.assertEqual((revived["status"], revived["clusterArn"]), ("ACTIVE", arn))

    def test_list_clusters_pages(self):
        names = [f"page-{number:02}" for number in range(7)]
        made = {self.ecs.create_cluster(clusterName=name)["cluster"]["clusterArn"] for name in names}
        pages = list(self.ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 3}))
        self.assertTrue(all(len(page["clusterArns"]) <= 3 for page in pages))
        self.assertTrue(all(len(page["clusterArns"]) == 3 for page in pages[:-1]))
        self.assertNotIn("nextToken", pages[-1])
        listed = [arn for page in pages for arn in page["clusterArns"]]
        self.assertEqual(len(listed), len(set(listed)))
        self.assertLessEqual(made, set(listed))

    def test_unknown_cluster_is_refused_by_every_single_target_call(self):
        calls = [
            (self.ecs.list_tasks, {}),
            (self.ecs.list_services, {}),
            (self.ecs.list_container_instances, {}),
            (self.ecs.describe_tasks, {"tasks": ["0" * 32]}),
            (self.ecs.describe_services, {"services": ["web"]}),
            (self.ecs.stop_task, {"task": "0" * 32}),
            (self.ecs.update_service, {"service": "web", "desiredCount": 1}),
            (self.ecs.delete_service, {"service": "web"}),
        ]
        for operation, parameters in calls:
            with self.subTest(operation=operation.__name__):
                self.assert_refused(
                    "ClusterNotFoundException", "Cluster not found.", operation, cluster="nope", **parameters
                )


class TaskDefinitions(ServerCase):
    WEB = {
        "family": "web",
        "containerDefinitions": [
            {
                "name": "tomcat",
                "image": "tomcat",
                "portMappings": [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}],
                "memory": 50,
                "cpu": 102,
            }
        ],
    }

    def test_w6_to_w8_register_list_deregister(self):
        """One story, because each step shows what the former left."""
        document = self.directory / "web.json"
        document.write_text(json.dumps(self.WEB))
        arguments = ("register-task-definition", "--cli-input-json", f"file://{document}")

        # W6
        first = self.aws.json(*arguments)["taskDefinition"]
        self.assertEqual((first["family"], first["revision"], first["status"]), ("web", 1, "ACTIVE"))
        self.assert_arn(first["taskDefinitionArn"], "task-definition/web:1")
        self.assertEqual((first["volumes"], first["placementConstraints"]), ([], []))
        self.assertNotIn("networkMode", first)
        self.assertIn("EC2", first["compatibilities"])
        container = first["containerDefinitions"][0]
        self.assertIs(container["essential"], True)
        for empty in ("environment", "mountPoints", "volumesFrom"):
            self.assertEqual(container[empty], [], empty)
        self.assertEqual((container["cpu"], container["memory"]), (102, 50))
        self.assertEqual(
            container["portMappings"], [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}]
        )

        # W7
        second = self.aws.json(*arguments)["taskDefinition"]
        self.assertEqual(second["revision"], 2)
        self.assert_arn(second["taskDefinitionArn"], "task-definition/web:2")
        one, two = first["taskDefinitionArn"], second["taskDefinitionArn"]
        self.assertEqual(
            self.aws.json("list-task-definition-families", "--family-prefix", "web")["families"], ["web"]
        )
        self.assertEqual(self.listed(), [one, two])
        self.assertEqual(
            self.aws.json("list-task-definitions", "--family-prefix", "web", "--sort", "DESC")["taskDefinitionArns"],
            [two, one],
        )
        self.assertEqual(self.revision("web"), 2)
        self.assertEqual(self.revision("web:1"), 1)
        self.assertEqual(self.revision(one), 1)

        # W8
        gone = self.aws.json("deregister-task-definition", "--task-definition", "web:2")["taskDefinition"]
        self.assertEqual(gone["status"], "INACTIVE")
        self.assertIn("deregisteredAt", gone)
        self.assertEqual(self.listed(), [one])
        self.assertEqual(self.listed(status="INACTIVE"), [two])
        self.assertEqual(self.revision("web"), 1)
        described = self.ecs.describe_task_definition(taskDefinition="web:2")["taskDefinition"]
        self.assertEqual(described["status"], "INACTIVE")
        self.assert_cli_refused(
            "ClientException",
            "Revision is missing.",
            *("deregister-task-definition", "--task-definition", "web"),
        )
        self.ecs.create_cluster(clusterName="deep-dive-cluster")
        self.assert_cli_refused(
            "ClientException",
            "TaskDefinition is inactive",
            *("run-task", "--cluster", "deep-dive-cluster", "--task-definition", "web:2"),
        )
        self.assertEqual(self.aws.json(*arguments)["taskDefinition"]["revision"], 3)
        self.assert_cli_refused(
            "ClientException",
            "Unable to describe task definition.",
            *("describe-task-definition", "--task-definition", "nothing"),
        )

    def listed(self, **filters):
        return self.ecs.list_task_definitions(familyPrefix="web", **filters)["taskDefinitionArns"]

    def revision(self, name):
        return self.ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]["revision"]

    def test_w16_ten_containers_are_the_limit(self):
        containers = [{"name": f"c{number}"} for number in range(11)]
        self.assert_refused("ClientException", None, lambda: self.register("crowd", *containers))
        self.assertRegex(self.register("crowd", *containers[:10]), r"crowd:1\Z")

    def test_mistakes_are_client_exceptions_and_change_nothing(self):
        mistakes = {
            "no memory": [{"name": "a", "image": "i"}],
            "two of one name": [{"name": "a", "image": "i", "memory": 9}, {"name": "a", "image": "i", "memory": 9}],
            "nothing essential": [{"name": "a", "image": "i", "memory": 9, "essential": False}],
            "no image": [{"name": "a", "memory": 9}],
            "limit below reservation": [{"name": "a", "image": "i", "memory": 9, "memoryReservation": 10}],
            "bad name": [{"name": "a b", "image": "i", "memory": 9}],
            "unknown link": [{"name": "a", "image": "i", "memory": 9, "links": ["b"]}],
            "no containers": [],
        }
        for name, containers in mistakes.items():
            with self.subTest(name):
                self.assert_refused(
                    "ClientException",
                    None,
                    self.ecs.register_task_definition,
                    family="mistaken",
                    containerDefinitions=containers,
                )
        families = self.ecs.list_task_definition_families(familyPrefix="mistaken", status="ALL")["families"]
        self.assertEqual(families, [])

    def test_order_and_pages_of_lists(self):
        # Numeric order of revisions, not the order of texts: 10 comes after 9.
        expected = [self.register("paged", {}) for _ in range(11)]
        pages = list(
            self.ecs.get_paginator("list_task_definitions").paginate(
                familyPrefix="paged", PaginationConfig={"PageSize": 4}
            )
        )
        self.assertEqual([len(page["taskDefinitionArns"]) for page in pages], [4, 4, 3])
        self.assertEqual([arn for page in pages for arn in page["taskDefinitionArns"]], expected)
        descending = self.ecs.get_paginator("list_task_definitions").paginate(
            familyPrefix="paged", sort="DESC", PaginationConfig={"PageSize": 5}
        )
        self.assertEqual(
            [arn for page in descending for arn in page["taskDefinitionArns"]], list(reversed(expected))
        )

    def test_tokens_and_page_sizes_are_checked(self):
        self.assert_refused(
            "InvalidParameterException", None, self.ecs.list_task_definitions, nextToken="not-a-token"
        )
        self.assert_refused("InvalidParameterException", None, self.ecs.list_task_definitions, maxResults=101)
        self.assert_refused("InvalidParameterException", None, self.ecs.list_clusters, maxResults=0)

    def test_documents_come_back_as_they_were_registered(self):
        """What a client sent is echoed; only defaults are added."""
        container = {
            "name": "web",
            "image": "longshore/web:1",
            "memory": 64,
            "memoryReservation": 32,
            "command": ["serve"],
            "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": ""}],
            "healthCheck": {"command": ["CMD", "/web", "check", "http://127.0.0.1:8080/healthz"], "interval": 5},
            "stopTimeout": 3,
            "ulimits": [{"name": "nofile", "softLimit": 100, "hardLimit": 200}],
            "dockerLabels": {"team": "blue"},
        }
        arn = self.register("echoed", container)
        definition = self.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        echoed = definition["containerDefinitions"][0]
        for key, value in container.items():
            if key == "healthCheck":
                self.assertEqual(echoed[key], {**value, "timeout": 5, "retries": 3})
            elif key == "environment":
                self.assertCountEqual(echoed[key], value)
            else:
                self.assertEqual(echoed[key], value, key)


class Services(ServerCase):
    """What services answer where nothing can run."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ecs.create_cluster(clusterName=cls.cluster)

    def test_run_task_without_instances(self):
        arn = self.register("lonely", {})
        self.assert_refused(
            "InvalidParameterException",
            "No Container Instances were found in your cluster.",
            self.ecs.run_task,
            cluster=self.cluster,
            taskDefinition=arn,
        )

    def test_create_service_names_what_is_wrong(self):
        arn = self.register("known", {})
        create = self.ecs.create_service
        common = {"cluster": self.cluster, "serviceName": "wrong", "desiredCount": 1}
        self.assert_refused(
            "ClientException", "TaskDefinition not found.", create, **common, taskDefinition="unknown-family"
        )
        self.assert_refused(
            "ClusterNotFoundException",
            "Cluster not found.",
            create,
            **{**common, "cluster": "nope"},
            taskDefinition=arn,
        )
        refusals = [
            {"placementConstraints": [{"type": "memberOf", "expression": "foo == 1"}]},
            {"placementStrategy": [{"type": "binpack", "field": "colour"}]},
            {"deploymentConfiguration": {"minimumHealthyPercent": 150, "maximumPercent": 100}},
            {"loadBalancers": [{"targetGroupArn": "x", "containerName": "web", "containerPort": 80}]},
            {"serviceName": "not a name"},
            {"desiredCount": -1},
        ]
        for refused in refusals:
            with self.subTest(refused):
                parameters = {**common, "taskDefinition": arn, **refused}
                self.assert_refused("InvalidParameterException", None, create, **parameters)
        self.assertEqual(self.ecs.list_services(cluster=self.cluster)["serviceArns"], [])

    def test_unknown_services(self):
        self.assert_refused(
            "ServiceNotFoundException",
            "Service not found.",
            self.ecs.update_service,
            cluster=self.cluster,
            service="nope",
            desiredCount=1,
        )
        self.assert_refused(
            "ServiceNotFoundException",
            "Service not found.",
            self.ecs.delete_service,
            cluster=self.cluster,
            service="nope",
        )
        answer = self.ecs.describe_services(cluster=self.cluster, services=["nope"])
        self.assertEqual(answer["services"], [])
        self.assert_arn(answer["failures"][0]["arn"], f"service/{self.cluster}/nope")
        self.assertEqual(answer["failures"][0]["reason"], "MISSING")

    def test_event_when_there_is_no_instance(self):
        self.create_service("homeless", self.register("homeless", {}), 1)
        self.wait_message(
            "homeless",
            "(service homeless) was unable to place a task because no container instance met all of its "
            "requirements. Reason: No Container Instances were found in your cluster.",
        )

    def test_list_services_pages_by_ten(self):
        arn = self.register("many", {})
        expected = {self.create_service(f"many-{number:02}", arn, 0)["serviceArn"] for number in range(12)}
        self.assertEqual(len(self.ecs.list_services(cluster=self.cluster)["serviceArns"]), 10)
        pages = self.ecs.get_paginator("list_services").paginate(cluster=self.cluster)
        listed = [arn for page in pages for arn in page["serviceArns"]]
        self.assertEqual(len(listed), len(set(listed)))
        self.assertLessEqual(expected, set(listed))

    def test_an_empty_service_settles(self):
        self.create_service("empty", self.register("empty", {}), 0)
        service = self.wait_running("empty", 0)
        self.assertEqual((service["desiredCount"], service["pendingCount"]), (0, 0))
        # The real waiter, with its own idea of stable.
        self.aws.json("wait", "services-stable", "--cluster", self.cluster, "--services", "empty")

    def test_short_arns_once_asked_for(self):
        """The walkthrough's older answers: a setting per kind of resource, for new resources only."""
        arn = self.register("short", {})
        long = self.create_service("long-arn", arn, 0)["serviceArn"]
        self.assert_arn(long, f"service/{self.cluster}/long-arn")
        self.ecs.put_account_setting(name="serviceLongArnFormat", value="disabled")
        self.addCleanup(self.ecs.put_account_setting, name="serviceLongArnFormat", value="enabled")
        short = self.create_service("short-arn", arn, 0)["serviceArn"]
        self.assert_arn(short, "service/short-arn")
        found = self.ecs.describe_services(cluster=self.cluster, services=[short, long])
        self.assertEqual(found["failures"], [])
        self.assertCountEqual([service["serviceArn"] for service in found["services"]], [short, long])


class Refusals(ServerCase):
    """Bad input gets the modelled error (ecs-behaviour A2)."""

    def test_signature_from_a_known_key_with_another_secret(self):
        import boto3

        env = self.plane.env
        stranger = boto3.session.Session(env["AWS_ACCESS_KEY_ID"], "wrong", region_name=self.region)
        client = stranger.client("ecs", endpoint_url=self.plane.endpoint)
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            client.list_clusters()
        self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 400)

    def test_another_account_sees_nothing(self):
        import boto3

        self.ecs.create_cluster(clusterName="private")
        other = boto3.session.Session("111122223333", "any", region_name=self.region)
        client = other.client("ecs", endpoint_url=self.plane.endpoint)
        self.assertEqual(client.list_clusters()["clusterArns"], [])
        made = client.create_cluster(clusterName="private")["cluster"]["clusterArn"]
        self.assertEqual(made, f"arn:aws:ecs:{self.region}:111122223333:cluster/private")
        elsewhere = boto3.session.Session("111122223333", "any", region_name="eu-west-1")
        client = elsewhere.client("ecs", endpoint_url=self.plane.endpoint)
        self.assertEqual(client.list_clusters()["clusterArns"], [])

    def test_empty_lists_of_ids(self):
        self.ecs.create_cluster(clusterName=self.cluster)
        self.assert_refused(
            "InvalidParameterException",
            "Tasks cannot be empty.",
            self.ecs.describe_tasks,
            cluster=self.cluster,
            tasks=[],
        )
        self.assert_refused(
            "InvalidParameterException",
            "Container Instances cannot be empty.",
            self.ecs.describe_container_instances,
            cluster=self.cluster,
            containerInstances=[],
        )

    def test_unknown_tasks(self):
        self.ecs.create_cluster(clusterName=self.cluster)
        unknown = "0" * 32
        answer = self.ecs.describe_tasks(cluster=self.cluster, tasks=[unknown])
        self.assertEqual(answer["tasks"], [])
        self.assert_arn(answer["failures"][0]["arn"], f"task/{self.cluster}/{unknown}")
        self.assertEqual(answer["failures"][0]["reason"], "MISSING")
        self.assert_refused(
            "InvalidParameterException",
            "The referenced task was not found.",
            self.ecs.stop_task,
            cluster=self.cluster,
            task=unknown,
        )


if __name__ == "__main__":
    unittest.main()
