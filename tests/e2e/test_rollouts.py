"""Rolling updates and tasks that never come up (ecs-behaviour W13; ecs-services E2 to E4)."""

import http.client
import threading
import unittest

from harness.cases import BUSYBOX, WEB_2, UpCase, endpoint
from harness.http_get import get
from harness.wait import STRETCH, eventually
from test_tasks import WAITER

# Serves until it is told to stop, and then for one more second: those who looked up its address a moment
# ago still get an answer. This is what a program has to do for clients that know tasks by DescribeTasks.
LINGERING = (
    "mkdir /srv; echo $VERSION > /srv/index.html; httpd -p 8080 -h /srv; "
    "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done"
)


class Watch:
    """Looks at a service as fast as it can, from a thread of its own, until the block ends."""

    def __init__(self, case, look):
        self.case = case
        self.look = look
        self.seen = []
        self.failure = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        client = self.case.client()
        while not self._end.is_set():
            try:
                self.seen.append(self.look(client))
            except Exception as error:  # noqa: BLE001 - told to the test, which fails with it
                self.failure = error
                return

    def __enter__(self):
        self._thread.start()
        eventually(lambda: bool(self.seen) or self.failure is not None, what="a first look")
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join(30 * STRETCH)
        if self.failure is not None:
            raise AssertionError(f"the watch failed: {self.failure!r}") from self.failure


class Rollouts(UpCase):
    """The image that does not exist is tried from the beginning, so that its pauses pass while others run."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Nothing listens on port 1: the pull is refused at once, from this machine.
        cls.ecs.register_task_definition(
            family="imageless",
            containerDefinitions=[{"name": "web", "image": "127.0.0.1:1/nobody/nothing:1", "memory": 20}],
        )
        cls.ecs.create_service(
            cluster=cls.cluster, serviceName="imageless", taskDefinition="imageless", desiredCount=1
        )

    def watch(self, name):
        """What DescribeServices and DescribeTasks say: (running + pending, running, running and wanted)."""

        def look(client):
            service = client.describe_services(cluster=self.cluster, services=[name])["services"][0]
            arns = client.list_tasks(cluster=self.cluster, serviceName=name)["taskArns"]
            tasks = client.describe_tasks(cluster=self.cluster, tasks=arns)["tasks"] if arns else []
            wanted = [task for task in tasks if task["desiredStatus"] == task["lastStatus"] == "RUNNING"]
            active = service["runningCount"] + service["pendingCount"]
            by_deployment = sum(entry["runningCount"] for entry in service["deployments"])
            return active, service["runningCount"], len(wanted), by_deployment

        return Watch(self, look)

    def roll(self, name, desired, minimum, maximum, least, most):
        """Rolls a service from one revision to the next and checks every look at it against the bounds."""
        old = self.register(name, {"memory": 8, "environment": [{"name": "V", "value": "1"}]})
        new = self.register(name, {"memory": 8, "image": WEB_2})
        self.create_service(
            name,
            old,
            desired,
            deploymentConfiguration={"minimumHealthyPercent": minimum, "maximumPercent": maximum},
        )
        before = self.wait_running(name, desired)["deployments"][0]
        with self.watch(name) as watch:
            updated = self.ecs.update_service(cluster=self.cluster, service=name, taskDefinition=new)["service"]
            self.assertEqual(
                [(entry["status"], entry["taskDefinition"]) for entry in updated["deployments"]],
                [("PRIMARY", new), ("ACTIVE", old)],
            )
            self.assertEqual(updated["deployments"][0]["rolloutState"], "IN_PROGRESS")
            self.assertEqual(updated["deployments"][1]["id"], before["id"])
            after = self.wait_running(name, desired, 60)
        [primary] = after["deployments"]
        self.assertEqual((primary["taskDefinition"], after["taskDefinition"]), (new, new))
        self.assertEqual(primary["id"], updated["deployments"][0]["id"])
        self.assertEqual({task["taskDefinitionArn"] for task in self.service_tasks(name)}, {new})

        self.assertGreater(len(watch.seen), 20, "the watch was too slow to prove anything")
        self.assertLessEqual(max(active for active, *_ in watch.seen), most)
        self.assertGreaterEqual(min(running for _, running, *_ in watch.seen), least)
        self.assertGreaterEqual(min(wanted for _, _, wanted, _ in watch.seen), least)
        for _, running, _, by_deployment in watch.seen:
            self.assertEqual(running, by_deployment)
        self.wait_message(name, f"(deployment {primary['id']}) deployment completed.")
        self.wait_message(name, "has reached a steady state.", at_least=2)
        return watch

    def test_start_first(self):
        self.roll("surge", 3, 100, 200, least=3, most=6)

    def test_a_few_at_a_time(self):
        self.roll("window", 4, 75, 125, least=3, most=5)

    def test_stop_first(self):
        watch = self.roll("inplace", 2, 50, 100, least=1, most=2)
        # With no room above, it really had to go below.
        self.assertEqual(min(wanted for _, _, wanted, _ in watch.seen), 1)

    def test_bounds_that_leave_no_way_are_told(self):
        old = self.register("stuck", {"memory": 8})
        new = self.register("stuck", {"memory": 8, "image": WEB_2})
        bounds = {"minimumHealthyPercent": 100, "maximumPercent": 125}
        self.create_service("stuck", old, 3, deploymentConfiguration=bounds)
        self.wait_running("stuck", 3)
        self.ecs.update_service(cluster=self.cluster, service="stuck", taskDefinition=new)
        self.wait_message(
            "stuck",
            "(service stuck) was unable to stop or start tasks during a deployment because of the service "
            "deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
        )
        self.assertEqual({task["taskDefinitionArn"] for task in self.service_tasks("stuck")}, {old})
        # The advice helps.
        self.ecs.update_service(
            cluster=self.cluster,
            service="stuck",
            deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 200},
        )
        self.wait_running("stuck", 3, 40)
        self.assertEqual({task["taskDefinitionArn"] for task in self.service_tasks("stuck")}, {new})

    def test_force_new_deployment_and_no_change(self):
        definition = self.register("forced", {"memory": 8})
        self.create_service("forced", definition, 1)
        first = self.wait_running("forced", 1)["deployments"][0]["id"]
        same = self.ecs.update_service(cluster=self.cluster, service="forced", taskDefinition=definition)["service"]
        self.assertEqual([entry["id"] for entry in same["deployments"]], [first])
        [task] = self.service_tasks("forced")
        self.ecs.update_service(cluster=self.cluster, service="forced", forceNewDeployment=True)
        self.ecs.get_waiter("services_stable").wait(
            cluster=self.cluster, services=["forced"], WaiterConfig=WAITER
        )
        [replacement] = self.service_tasks("forced")
        self.assertNotEqual(replacement["taskArn"], task["taskArn"])
        self.assertNotEqual(self.service("forced")["deployments"][0]["id"], first)

    def test_clients_of_a_rolling_service_see_no_failure(self):
        """Every request, to an endpoint that DescribeTasks named just before, is answered; none is tried again."""

        def container(version):
            return {
                "image": BUSYBOX,
                "memory": 16,
                "command": ["sh", "-c", LINGERING],
                "environment": [{"name": "VERSION", "value": version}],
                "portMappings": [{"containerPort": 8080}],
                "stopTimeout": 10,
                "healthCheck": {
                    "command": ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:8080/ || exit 1"],
                    "interval": 5,
                    "timeout": 2,
                    "retries": 3,
                },
            }

        old = self.register("visited", container("one"))
        new = self.register("visited", container("two"))
        self.create_service("visited", old, 3)
        self.wait_running("visited", 3, 40)
        turn = iter(range(1_000_000))

        def visit(client):
            arns = client.list_tasks(cluster=self.cluster, serviceName="visited")["taskArns"]
            tasks = client.describe_tasks(cluster=self.cluster, tasks=arns)["tasks"]
            ready = [
                task
                for task in tasks
                if task["desiredStatus"] == task["lastStatus"] == "RUNNING" and task["healthStatus"] == "HEALTHY"
            ]
            if not ready:
                return "nobody is ready"
            chosen = ready[next(turn) % len(ready)]
            try:
                status, text = get(endpoint(chosen))
            except (OSError, http.client.HTTPException) as error:
                return f"{endpoint(chosen)}: {error!r}"
            return text.strip() if status == 200 else f"{endpoint(chosen)}: {status}"

        with Watch(self, visit) as watch:
            self.ecs.update_service(cluster=self.cluster, service="visited", taskDefinition=new)
            self.wait_running("visited", 3, 60)
            so_far = len(watch.seen)
            eventually(lambda: len(watch.seen) > so_far + 10, what="visits of the new tasks")
        answers = set(watch.seen)
        self.assertEqual(answers, {"one", "two"})
        self.assertGreater(len(watch.seen), 50)
        # Once the last old one is out of the list, nobody meets it again.
        self.assertEqual(set(watch.seen[-10:]), {"two"})

    def test_w13_crash_loop_and_its_cure(self):
        greedy = {"command": ["allocate", "200"]}
        sick = self.register("greedy", {**greedy, "memory": 50})
        cured = self.register("greedy", {**greedy, "memory": 400})
        self.create_service("greedy", sick, 1)
        self.wait_message("greedy", "(service greedy) has started 1 tasks", at_least=3)
        ended = eventually(lambda: self.service_tasks("greedy", "STOPPED"), what="a stopped task")[0]
        ended = self.wait_task(ended["taskArn"], "STOPPED")
        self.assertEqual(ended["containers"][0]["exitCode"], 137)
        self.assertEqual(
            ended["containers"][0]["reason"], "OutOfMemoryError: Container killed due to memory usage"
        )
        self.assertEqual(ended["stopCode"], "EssentialContainerExited")
        service = self.service("greedy")
        self.assertEqual(service["status"], "ACTIVE")
        self.assertNotIn("steady state", " ".join(self.messages("greedy")))

        updated = self.ecs.update_service(cluster=self.cluster, service="greedy", taskDefinition=cured)["service"]
        self.assertEqual(
            [(entry["status"], entry["taskDefinition"]) for entry in updated["deployments"]][0], ("PRIMARY", cured)
        )
        self.wait_running("greedy", 1, 30)
        [task] = self.service_tasks("greedy")
        self.assertEqual(task["taskDefinitionArn"], cured)
        self.wait_message("greedy", "(service greedy) has reached a steady state.")

    def test_e4_circuit_breaker_rolls_back(self):
        good = self.register("broken", {"memory": 8})
        bad = self.register("broken", {"memory": 8, "entryPoint": ["/no/such/program"]})
        self.create_service(
            "broken",
            good,
            1,
            deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
        )
        first = self.wait_running("broken", 1)["deployments"][0]["id"]
        [task] = self.service_tasks("broken")
        failing = self.ecs.update_service(cluster=self.cluster, service="broken", taskDefinition=bad)["service"]
        failed = failing["deployments"][0]["id"]
        self.wait_message("broken", f"(deployment {failed}) deployment failed: tasks failed to start.", 60)

        def rolled_back(service):
            deployments = service["deployments"]
            return len(deployments) == 1 and deployments[0]["taskDefinition"] == good and service["runningCount"] == 1

        service = self.wait_service("broken", rolled_back, 40, "the old revision")
        # Tools tell a rollback by the id.
        self.assertNotIn(service["deployments"][0]["id"], (failed, first))
        self.assertEqual(service["taskDefinition"], good)
        # What ran all the time ran all the time, or was replaced by its equal; never was nobody there.
        self.assertEqual(len(self.service_tasks("broken")), 1)
        self.assertEqual(self.task(task["taskArn"])["taskDefinitionArn"], good)

    def test_z_w13_image_that_does_not_exist(self):
        """Last, because the pauses between attempts are part of it."""
        self.addCleanup(self.remove_service, "imageless")
        self.wait_message("imageless", "(service imageless) is unable to consistently start tasks successfully.", 240)
        stopped = self.service_tasks("imageless", "STOPPED")
        self.assertGreaterEqual(len(stopped), 2)
        for task in stopped:
            task = self.wait_task(task["taskArn"], "STOPPED")
            self.assertEqual(task["stopCode"], "TaskFailedToStart")
            self.assertRegex(task["stoppedReason"], r"\ACannotPullContainerError: ")
        service = self.service("imageless")
        self.assertEqual((service["status"], service["runningCount"]), ("ACTIVE", 0))
        self.assertGreaterEqual(service["deployments"][0]["failedTasks"], 2)


if __name__ == "__main__":
    unittest.main()
