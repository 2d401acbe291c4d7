"""RunTask and StartTask, containers of a task, its end (ecs-behaviour W15, W17, W13; ecs-engine D2, D3)."""

import contextlib
import datetime
import socket
import unittest

from harness import docker
from harness.cases import BUSYBOX, FIXED_PORT, TASK_ID, UpCase, attribute, endpoint, resource
from harness.http_get import get
from harness.wait import STRETCH, eventually

WAITER = {"Delay": 1, "MaxAttempts": int(60 * STRETCH)}


class Tasks(UpCase):
    def test_w15_jobs_run_to_their_end_and_stay_there(self):
        definition = self.register("job", {"name": "job", "command": ["exit", "0"], "memory": 20, "cpu": 10})
        answer = self.aws.json(
            *("run-task", "--cluster", self.cluster, "--task-definition", "job", "--count", 3)
        )
        self.assertEqual(answer["failures"], [])
        self.assertEqual(len(answer["tasks"]), 3)
        for task in answer["tasks"]:
            self.assert_arn(task["taskArn"], f"task/{self.cluster}/{TASK_ID}")
            self.assertEqual((task["lastStatus"], task["desiredStatus"]), ("PENDING", "RUNNING"))
            self.assertEqual(task["group"], "family:job")
            self.assertEqual(task["launchType"], "EC2")
            self.assertEqual(task["taskDefinitionArn"], definition)
            self.assertEqual((task["cpu"], task["memory"]), ("10", "20"))
            self.assertEqual(task["overrides"]["containerOverrides"], [{"name": "job"}])
            self.assertEqual((task["attachments"], task["tags"]), ([], []))
            self.assertEqual(task["version"], 1)
            self.assertIn(f":container-instance/{self.cluster}/", task["containerInstanceArn"])
            container = task["containers"][0]
            self.assertEqual((container["name"], container["lastStatus"]), ("job", "PENDING"))
            self.assertEqual((container["cpu"], container["memory"]), ("10", "20"))
            self.assertNotIn("exitCode", container)
        arns = [task["taskArn"] for task in answer["tasks"]]
        self.ecs.get_waiter("tasks_stopped").wait(cluster=self.cluster, tasks=arns, WaiterConfig=WAITER)
        ended = self.ecs.describe_tasks(cluster=self.cluster, tasks=arns)["tasks"]
        for task in ended:
            self.assertEqual(task["desiredStatus"], "STOPPED")
            self.assertEqual(task["stopCode"], "EssentialContainerExited")
            self.assertEqual(task["stoppedReason"], "Essential container in task exited")
            self.assertEqual(task["containers"][0]["lastStatus"], "STOPPED")
            self.assertEqual(task["containers"][0]["exitCode"], 0)
            self.assertNotIn("reason", task["containers"][0])
            times = [task[key] for key in ("createdAt", "startedAt", "stoppingAt", "stoppedAt")]
            self.assertEqual(times, sorted(times))
            self.assertGreaterEqual(task["executionStoppedAt"], task["createdAt"])
        listed = self.ecs.list_tasks(cluster=self.cluster, family="job", desiredStatus="STOPPED")["taskArns"]
        self.assertCountEqual(listed, arns)
        # Nobody starts them again.
        self.assertEqual(self.ecs.list_tasks(cluster=self.cluster, family="job")["taskArns"], [])

    def test_a_running_task_says_where_it_is(self):
        definition = self.register("shown", {"cpu": 64, "portMappings": [{"containerPort": 8080}]})
        before = {instance["containerInstanceArn"]: instance for instance in self.instances()}
        [started] = self.run_tasks(taskDefinition=definition, startedBy="someone", group="mine")
        self.wait_task(started["taskArn"], "RUNNING")
        self.ecs.get_waiter("tasks_running").wait(
            cluster=self.cluster, tasks=[started["taskArn"]], WaiterConfig=WAITER
        )
        task = self.task(started["taskArn"])
        self.assertEqual((task["lastStatus"], task["desiredStatus"]), ("RUNNING", "RUNNING"))
        self.assertEqual((task["startedBy"], task["group"]), ("someone", "mine"))
        self.assertEqual(task["connectivity"], "CONNECTED")
        self.assertEqual(task["healthStatus"], "UNKNOWN")
        self.assertGreater(task["version"], 1)
        # No pull, no time of a pull: the image is here (agent-protocol G8).
        for key in ("createdAt", "startedAt", "connectivityAt"):
            self.assertIsInstance(task[key], datetime.datetime, key)
        container = task["containers"][0]
        self.assert_arn(container["containerArn"], rf"container/{self.cluster}/{TASK_ID}/[0-9a-f-]{{36}}")
        self.assertEqual(container["lastStatus"], "RUNNING")
        self.assertEqual(container["runtimeId"], docker.container_of_task(task["taskArn"]))
        [binding] = container["networkBindings"]
        self.assertEqual((binding["containerPort"], binding["protocol"]), (8080, "tcp"))
        self.assertGreater(binding["hostPort"], 0)
        status, text = eventually_get(task)
        self.assertEqual(status, 200)
        self.assertIn(" 1", text)

        # The instance has less left; a dynamic port is not reserved (D2).
        instance = self.instance(task["containerInstanceArn"])
        earlier = before[task["containerInstanceArn"]]
        self.assertEqual(resource(earlier, "CPU") - resource(instance, "CPU"), 64)
        self.assertEqual(resource(earlier, "MEMORY") - resource(instance, "MEMORY"), 50)
        self.assertEqual(resource(earlier, "PORTS"), resource(instance, "PORTS"))
        self.assertEqual(instance["runningTasksCount"], earlier["runningTasksCount"] + 1)
        self.assertEqual(attribute(instance, "ecs.availability-zone"), task["availabilityZone"])

        # StopTask says so at once, and again without an error.
        stopped = self.ecs.stop_task(cluster=self.cluster, task=task["taskArn"], reason="enough")["task"]
        self.assertEqual(stopped["desiredStatus"], "STOPPED")
        task = self.wait_task(task["taskArn"], "STOPPED")
        self.assertEqual((task["stopCode"], task["stoppedReason"]), ("UserInitiated", "enough"))
        # It left politely: the program ends with 0 on SIGTERM.
        self.assertEqual(task["containers"][0]["exitCode"], 0)
        again = self.ecs.stop_task(cluster=self.cluster, task=task["taskArn"])["task"]
        self.assertEqual((again["lastStatus"], again["stoppedReason"]), ("STOPPED", "enough"))
        after = self.instance(task["containerInstanceArn"])
        self.assertEqual(after["remainingResources"], earlier["remainingResources"])

    def test_d2_shape_of_an_instance(self):
        for instance in self.instances():
            self.assert_arn(instance["containerInstanceArn"], rf"container-instance/{self.cluster}/{TASK_ID}")
            self.assertGreaterEqual(instance["version"], 1)
            self.assertEqual((instance["attachments"], instance["tags"]), ([], []))
            self.assertIsInstance(instance["registeredAt"], datetime.datetime)
            self.assertIn(attribute(instance, "ecs.cpu-architecture"), ("x86_64", "arm64"))
            for entry in instance["remainingResources"]:
                self.assertEqual((entry["doubleValue"], entry["longValue"]), (0.0, 0))
            # As the official agent names it, prefix and all.
            self.assertRegex(instance["versionInfo"]["dockerVersion"], r"\ADockerVersion: \d+\.\d+")

    def test_stop_without_a_reason_and_with_sigkill(self):
        definition = self.register(
            "stubborn",
            {"environment": [{"name": "IGNORE_TERM", "value": "1"}], "stopTimeout": 2},
        )
        [started] = self.run_tasks(taskDefinition=definition)
        task = self.wait_task(started["taskArn"], "RUNNING")
        self.ecs.stop_task(cluster=self.cluster, task=task["taskArn"])
        task = self.wait_task(task["taskArn"], "STOPPED")
        self.assertEqual((task["stopCode"], task["stoppedReason"]), ("UserInitiated", "Task stopped by user"))
        self.assertEqual(task["containers"][0]["exitCode"], 137)
        grace = (task["stoppedAt"] - task["stoppingAt"]).total_seconds()
        self.assertGreaterEqual(grace, 1.9)
        self.assertLess(grace, 15 * STRETCH)

    def test_w15_start_task_goes_exactly_there(self):
        definition = self.register("placed", {"command": ["sleep", "300"]})
        chosen = self.instances()[-1]["containerInstanceArn"]
        answer = self.ecs.start_task(
            cluster=self.cluster, taskDefinition=definition, containerInstances=[chosen], startedBy="scheduler"
        )
        self.assertEqual(answer["failures"], [])
        [task] = answer["tasks"]
        self.addCleanup(self.stop_task_quietly, task["taskArn"])
        self.assertEqual((task["containerInstanceArn"], task["startedBy"]), (chosen, "scheduler"))
        self.wait_task(task["taskArn"], "RUNNING")
        listed = self.ecs.list_tasks(cluster=self.cluster, containerInstance=chosen, family="placed")["taskArns"]
        self.assertEqual(listed, [task["taskArn"]])

        unknown = "0" * 32
        missing = self.ecs.start_task(
            cluster=self.cluster, taskDefinition=definition, containerInstances=[unknown]
        )
        self.assertEqual(missing["tasks"], [])
        self.assert_arn(missing["failures"][0]["arn"], f"container-instance/{self.cluster}/{unknown}")
        self.assertEqual(missing["failures"][0]["reason"], "MISSING")

    def test_w15_what_does_not_fit_is_a_failure_with_its_reason(self):
        instance = self.instances()[0]
        arn = instance["containerInstanceArn"]
        cases = {
            "RESOURCE:MEMORY": {"memory": resource(instance, "MEMORY", "registeredResources") + 1},
            "RESOURCE:CPU": {"cpu": resource(instance, "CPU", "registeredResources") + 1},
            # Reserved by the agent for itself.
            "RESOURCE:PORTS": {"portMappings": [{"containerPort": 80, "hostPort": 51678}]},
        }
        for reason, container in cases.items():
            with self.subTest(reason):
                definition = self.register("too-much", container)
                answer = self.ecs.start_task(
                    cluster=self.cluster, taskDefinition=definition, containerInstances=[arn]
                )
                self.assertEqual(answer["tasks"], [])
                self.assertEqual(
                    [(failure["arn"], failure["reason"]) for failure in answer["failures"]], [(arn, reason)]
                )
                # RunTask looks at all of them: one entry for each instance that was considered.
                answer = self.ecs.run_task(cluster=self.cluster, taskDefinition=definition)
                self.assertEqual(answer["tasks"], [])
                self.assertEqual({failure["reason"] for failure in answer["failures"]}, {reason})
                self.assertEqual(len(answer["failures"]), self.instances_wanted)

    def test_fixed_ports_one_for_each_instance(self):
        definition = self.register(
            "fixed", {"portMappings": [{"containerPort": 8080, "hostPort": FIXED_PORT}], "cpu": 10}
        )
        answer = self.ecs.run_task(cluster=self.cluster, taskDefinition=definition, count=4)
        for task in answer["tasks"]:
            self.addCleanup(self.stop_task_quietly, task["taskArn"])
        self.assertEqual(len(answer["tasks"]), 3)
        self.assertEqual(len({task["containerInstanceArn"] for task in answer["tasks"]}), 3)
        self.assertEqual({failure["reason"] for failure in answer["failures"]}, {"RESOURCE:PORTS"})
        for task in answer["tasks"]:
            running = self.wait_task(task["taskArn"], "RUNNING")
            self.assertEqual(endpoint(running)[1], FIXED_PORT)
            self.assertEqual(eventually_get(running)[0], 200)
            self.assertIn(str(FIXED_PORT), resource(self.instance(running["containerInstanceArn"]), "PORTS"))
        # The port is free again with STOPPED, not later.
        first = answer["tasks"][0]
        self.ecs.stop_task(cluster=self.cluster, task=first["taskArn"])
        self.wait_task(first["taskArn"], "STOPPED")
        self.assertNotIn(str(FIXED_PORT), resource(self.instance(first["containerInstanceArn"]), "PORTS"))
        [replacement] = self.run_tasks(taskDefinition=definition)
        self.assertEqual(replacement["containerInstanceArn"], first["containerInstanceArn"])
        self.wait_task(replacement["taskArn"], "RUNNING")

    def test_stopped_means_that_the_port_is_free(self):
        """Who sees STOPPED may use the fixed port again at once, also while the engine has a lot to clear up."""
        definition = self.register("again", {"portMappings": [{"containerPort": 8080, "hostPort": FIXED_PORT}]})
        crowd = self.register("crowd", {"command": ["sleep", "300"], "memory": 8})
        instance = self.instances()[0]["containerInstanceArn"]
        others = [task["taskArn"] for task in self.run_tasks(taskDefinition=crowd, count=8)]
        for arn in others:
            self.wait_task(arn, "RUNNING")
        for turn in range(4):
            answer = self.ecs.start_task(
                cluster=self.cluster, taskDefinition=definition, containerInstances=[instance]
            )
            self.assertEqual(answer["failures"], [])
            [task] = answer["tasks"]
            self.addCleanup(self.stop_task_quietly, task["taskArn"])
            self.wait_task(task["taskArn"], "RUNNING")
            for arn in [*others[turn * 2 : turn * 2 + 2], task["taskArn"]]:
                self.ecs.stop_task(cluster=self.cluster, task=arn)
            self.wait_task(task["taskArn"], "STOPPED")

    def test_a_dynamic_port_that_something_else_has_is_exchanged_for_another(self):
        """Other programs share the machine's ports (design 2): the agent tries others until one is free."""
        definition = self.register("guest", {"memory": 8, "portMappings": [{"containerPort": 8080}]})
        [task] = self.run_tasks(taskDefinition=definition)
        host, last = endpoint(self.wait_task(task["taskArn"], "RUNNING"))
        taken = set()
        for port in range(last + 1, last + 4):
            stranger = socket.socket()
            self.addCleanup(stranger.close)
            # In use already is just as good.
            with contextlib.suppress(OSError):
                stranger.bind((host, port))
                stranger.listen()
            taken.add(port)
        answer = self.ecs.start_task(
            cluster=self.cluster, taskDefinition=definition, containerInstances=[task["containerInstanceArn"]]
        )
        [second] = answer["tasks"]
        self.addCleanup(self.stop_task_quietly, second["taskArn"])
        running = self.wait_task(second["taskArn"], "RUNNING")
        self.assertNotIn(endpoint(running)[1], taken)
        self.assertEqual(eventually_get(running)[0], 200)
        # One container, and none left of the attempts.
        self.assertEqual(len(docker.containers_of_task(second["taskArn"], running_only=False)), 1)

    def test_a_fixed_port_that_something_else_has_ends_the_task_with_a_reason(self):
        """There is no other port that would do; the scheduler knows only the ports of tasks."""
        definition = self.register("guest-fixed", {"memory": 8, "portMappings": [{"containerPort": 8080}]})
        [task] = self.run_tasks(taskDefinition=definition)
        host, _ = endpoint(self.wait_task(task["taskArn"], "RUNNING"))
        with socket.socket() as stranger:
            stranger.bind((host, 0))
            stranger.listen()
            port = stranger.getsockname()[1]
            definition = self.register(
                "guest-fixed", {"memory": 8, "portMappings": [{"containerPort": 8080, "hostPort": port}]}
            )
            answer = self.ecs.start_task(
                cluster=self.cluster, taskDefinition=definition, containerInstances=[task["containerInstanceArn"]]
            )
            [second] = answer["tasks"]
            self.addCleanup(self.stop_task_quietly, second["taskArn"])
            ended = self.wait_task(second["taskArn"], "STOPPED")
        self.assertEqual(ended["stopCode"], "TaskFailedToStart")
        self.assertRegex(ended["stoppedReason"], "^CannotStartContainerError: .*(already allocated|already in use)")

    def test_overrides_reach_the_container(self):
        definition = self.register(
            "overridden",
            {"command": ["exit", "3"], "environment": [{"name": "KEPT", "value": "yes"}, {"name": "COLOUR", "value": "red"}]},
        )
        override = {
            "name": "web",
            "command": ["env-is", "COLOUR=blue"],
            "environment": [{"name": "COLOUR", "value": "blue"}],
        }
        [task] = self.run_tasks(taskDefinition=definition, overrides={"containerOverrides": [override]})
        self.assertEqual(task["overrides"]["containerOverrides"], [override])
        self.assertEqual(self.wait_task(task["taskArn"], "STOPPED")["containers"][0]["exitCode"], 0)
        kept = {"name": "web", "command": ["env-is", "KEPT=yes"]}
        [task] = self.run_tasks(taskDefinition=definition, overrides={"containerOverrides": [kept]})
        self.assertEqual(self.wait_task(task["taskArn"], "STOPPED")["containers"][0]["exitCode"], 0)
        [task] = self.run_tasks(taskDefinition=definition)
        self.assertEqual(self.wait_task(task["taskArn"], "STOPPED")["containers"][0]["exitCode"], 3)
        self.assert_refused(
            "InvalidParameterException",
            None,
            self.ecs.run_task,
            cluster=self.cluster,
            taskDefinition=definition,
            overrides={"containerOverrides": [{"name": "nobody"}]},
        )

    def test_a7_client_token(self):
        definition = self.register("once", {"command": ["sleep", "300"]})
        first = self.run_tasks(taskDefinition=definition, clientToken="one-time", count=2)
        arns = [task["taskArn"] for task in first]
        replay = self.run_tasks(taskDefinition=definition, clientToken="one-time", count=2)
        self.assertCountEqual([task["taskArn"] for task in replay], arns)
        self.assertEqual(len(self.ecs.list_tasks(cluster=self.cluster, family="once")["taskArns"]), 2)
        error = self.assert_refused(
            "ConflictException",
            None,
            self.ecs.run_task,
            cluster=self.cluster,
            taskDefinition=definition,
            clientToken="one-time",
            count=1,
        )
        self.assertCountEqual(error["resourceIds"], arns)

    def test_list_tasks_pages(self):
        definition = self.register("pages", {"command": ["sleep", "300"], "memory": 8})
        arns = [task["taskArn"] for task in self.run_tasks(taskDefinition=definition, count=5)]
        pages = list(
            self.ecs.get_paginator("list_tasks").paginate(
                cluster=self.cluster, family="pages", PaginationConfig={"PageSize": 2}
            )
        )
        self.assertEqual([len(page["taskArns"]) for page in pages], [2, 2, 1])
        self.assertCountEqual([arn for page in pages for arn in page["taskArns"]], arns)

    def test_w13_out_of_memory(self):
        definition = self.register("greedy", {"command": ["allocate", "200"], "memory": 50})
        [task] = self.run_tasks(taskDefinition=definition)
        task = self.wait_task(task["taskArn"], "STOPPED")
        self.assertEqual(task["stopCode"], "EssentialContainerExited")
        container = task["containers"][0]
        self.assertEqual(container["exitCode"], 137)
        self.assertEqual(container["reason"], "OutOfMemoryError: Container killed due to memory usage")

    def test_program_that_is_not_in_the_image(self):
        definition = self.register("programless", {"image": BUSYBOX, "entryPoint": ["/no/such/program"]})
        [task] = self.run_tasks(taskDefinition=definition)
        task = self.wait_task(task["taskArn"], "STOPPED")
        self.assertEqual(task["stopCode"], "TaskFailedToStart")
        self.assertRegex(task["containers"][0]["reason"], r"\ACannotStartContainerError: ")

    def test_w17_several_containers(self):
        definition = self.register(
            "pair",
            {"name": "tomcat", "portMappings": [{"containerPort": 8080}]},
            {"name": "memcached", "command": ["sleep", "300"], "essential": False},
        )
        [task] = self.run_tasks(taskDefinition=definition)
        arn = task["taskArn"]
        self.wait_task(arn, "RUNNING")
        self.assertEqual(len(docker.containers_of_task(arn)), 2)

        # The non-essential one: the task goes on.
        docker.kill(docker.container_of_task(arn, "memcached"))
        # News of a container alone may wait for the agent's next round, 30 s at most (agent-protocol G8).
        task = eventually(
            lambda: self.task(arn),
            lambda task: by_name(task)["memcached"]["lastStatus"] == "STOPPED",
            40,
            "STOPPED of memcached",
        )
        self.assertEqual(by_name(task)["memcached"]["exitCode"], 137)
        self.assertEqual(by_name(task)["tomcat"]["lastStatus"], "RUNNING")
        self.assertEqual((task["lastStatus"], task["desiredStatus"]), ("RUNNING", "RUNNING"))
        self.ecs.stop_task(cluster=self.cluster, task=arn)

        # The essential one: both end.
        [task] = self.run_tasks(taskDefinition=definition)
        arn = task["taskArn"]
        self.wait_task(arn, "RUNNING")
        docker.kill(docker.container_of_task(arn, "tomcat"))
        task = self.wait_task(arn, "STOPPED")
        self.assertEqual(task["stopCode"], "EssentialContainerExited")
        self.assertEqual(by_name(task)["tomcat"]["exitCode"], 137)
        self.assertEqual(by_name(task)["memcached"]["lastStatus"], "STOPPED")
        # It was asked politely: 128 + SIGTERM.
        self.assertEqual(by_name(task)["memcached"]["exitCode"], 143)
        self.wait_engine(lambda: docker.containers_of_task(arn), "the task")

    def test_containers_start_in_order(self):
        """`dependsOn`: the second starts once the first has succeeded, and the task is RUNNING only then."""
        definition = self.register(
            "ordered",
            {"name": "prepare", "command": ["exit", "0"], "essential": False},
            {"name": "serve", "dependsOn": [{"containerName": "prepare", "condition": "SUCCESS"}]},
        )
        [task] = self.run_tasks(taskDefinition=definition)
        task = self.wait_task(task["taskArn"], "RUNNING")
        self.assertEqual(by_name(task)["prepare"]["lastStatus"], "STOPPED")
        self.assertEqual(by_name(task)["prepare"]["exitCode"], 0)
        self.assertEqual(by_name(task)["serve"]["lastStatus"], "RUNNING")

    def test_a_dependency_that_is_unhealthy_for_a_while_is_waited_for(self):
        """UNHEALTHY is no end (decision 29): the first check fails, and one is enough, before the web server listens."""
        slow = {**checked_container(), "name": "slow", "environment": [{"name": "START_DELAY_MS", "value": "8000"}]}
        definition = self.register(
            "waits", slow, {"name": "app", "dependsOn": [{"containerName": "slow", "condition": "HEALTHY"}]}
        )
        [task] = self.run_tasks(taskDefinition=definition)
        task = self.wait_task(task["taskArn"], "RUNNING", timeout_secs=40)
        self.assertEqual(by_name(task)["app"]["lastStatus"], "RUNNING")
        self.assertGreater((task["startedAt"] - task["createdAt"]).total_seconds(), 8)

    def test_a_dependency_that_is_never_healthy_is_a_failed_start(self):
        """Neither `startedAt` nor EssentialContainerExited, although one essential container ran meanwhile (decision 29)."""
        slow = {**checked_container(), "name": "slow", "command": ["sleep", "300"], "startTimeout": 5}
        definition = self.register(
            "never", slow, {"name": "app", "dependsOn": [{"containerName": "slow", "condition": "HEALTHY"}]}
        )
        [task] = self.run_tasks(taskDefinition=definition)
        task = self.wait_task(task["taskArn"], "STOPPED")
        self.assertNotIn("startedAt", task)
        self.assertEqual(task["stopCode"], "TaskFailedToStart")
        self.assertIn("has timed out", task["stoppedReason"])
        self.assertEqual(by_name(task)["app"]["exitCode"], 143)
        # Stopped while it waits, it has not run either.
        [task] = self.run_tasks(taskDefinition=definition)
        arn = task["taskArn"]
        eventually(lambda: docker.containers_of_task(arn), what="the first container")
        self.ecs.stop_task(cluster=self.cluster, task=arn, reason="enough")
        task = self.wait_task(arn, "STOPPED")
        self.assertNotIn("startedAt", task)
        self.assertEqual(task["stopCode"], "UserInitiated")

    def test_health_of_a_container_is_reported(self):
        definition = self.register("checked", checked_container())
        [task] = self.run_tasks(taskDefinition=definition)
        arn = task["taskArn"]
        self.wait_task(arn, "RUNNING")
        task = eventually(
            lambda: self.task(arn), lambda task: task["healthStatus"] == "HEALTHY", 30, "HEALTHY"
        )
        self.assertEqual(task["containers"][0]["healthStatus"], "HEALTHY")
        get(endpoint(task), "/fail-health")
        task = eventually(
            lambda: self.task(arn), lambda task: task["healthStatus"] == "UNHEALTHY", 30, "UNHEALTHY"
        )
        # Nobody stops a task of its own for it.
        self.assertEqual((task["lastStatus"], task["desiredStatus"]), ("RUNNING", "RUNNING"))

    def test_w16_member_of_puts_tasks_on_the_labelled_instance_only(self):
        definition = self.register("labelled", {"command": ["sleep", "300"], "memory": 8})
        chosen = self.instances()[1]["containerInstanceArn"]
        stack = {"name": "stack", "targetType": "container-instance", "targetId": chosen}
        self.ecs.put_attributes(cluster=self.cluster, attributes=[{**stack, "value": "prod"}])
        self.addCleanup(self.ecs.delete_attributes, cluster=self.cluster, attributes=[stack])
        wanted = [{"type": "memberOf", "expression": "attribute:stack == prod"}]
        tasks = self.run_tasks(taskDefinition=definition, count=4, placementConstraints=wanted)
        self.assertEqual({task["containerInstanceArn"] for task in tasks}, {chosen})
        filtered = self.instances(filter="attribute:stack == prod")
        self.assertEqual([instance["containerInstanceArn"] for instance in filtered], [chosen])
        nowhere = [{"type": "memberOf", "expression": "attribute:stack == test"}]
        answer = self.ecs.run_task(
            cluster=self.cluster, taskDefinition=definition, placementConstraints=nowhere
        )
        self.assertEqual(answer["tasks"], [])
        self.assertEqual(
            {failure["reason"] for failure in answer["failures"]}, {"MemberOf placement constraint unsatisfied."}
        )

    def test_w16_distinct_instance(self):
        definition = self.register("distinct", {"command": ["sleep", "300"], "memory": 8})
        answer = self.ecs.run_task(
            cluster=self.cluster,
            taskDefinition=definition,
            count=4,
            placementConstraints=[{"type": "distinctInstance"}],
        )
        for task in answer["tasks"]:
            self.addCleanup(self.stop_task_quietly, task["taskArn"])
        self.assertEqual(len(answer["tasks"]), 3)
        self.assertEqual(len({task["containerInstanceArn"] for task in answer["tasks"]}), 3)
        self.assertTrue(answer["failures"])

    def test_tags_on_a_task(self):
        definition = self.register("tagged", {"command": ["sleep", "300"]})
        [task] = self.run_tasks(taskDefinition=definition, tags=[{"key": "team", "value": "blue"}])
        self.assertEqual(task["tags"], [{"key": "team", "value": "blue"}])
        answer = self.ecs.describe_tasks(cluster=self.cluster, tasks=[task["taskArn"]], include=["TAGS"])
        self.assertEqual(answer["tasks"][0]["tags"], [{"key": "team", "value": "blue"}])


def by_name(task):
    return {container["name"]: container for container in task["containers"]}


def checked_container():
    """A web server whose image's own client asks it every five seconds, the shortest interval there is."""
    return {
        "portMappings": [{"containerPort": 8080}],
        "healthCheck": {
            "command": ["CMD", "/web", "check", "http://127.0.0.1:8080/healthz"],
            "interval": 5,
            "timeout": 2,
            "retries": 1,
        },
    }


def eventually_get(task, path="/"):
    """RUNNING means that the program was started, not that it listens already."""

    def look():
        try:
            return get(endpoint(task), path)
        except OSError as error:
            return str(error)

    return eventually(look, lambda answer: isinstance(answer, tuple), what=f"an answer of {endpoint(task)}")


if __name__ == "__main__":
    unittest.main()
