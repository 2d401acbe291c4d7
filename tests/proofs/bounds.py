#!/usr/bin/env python3
"""minimumHealthyPercent and maximumPercent, watched from outside while services roll, crash, drain and scale.

    tests/proofs/bounds.py [--only NAME] [--short]

A recorder follows the container engine's events, without asking Longshore. One task of these services is one
container. At an instant a task *runs* from its `start` event to its `die` event. It is *healthy* if it runs, was sent no
signal yet, and either its last `health_status` event was healthy or, without a health check, it has run for the settle
time of the server (1 s here). With D the desired count, low = ceil(D * min / 100) and high = floor(D * max / 100).

What Longshore promises is about what it does itself; that a container crashes is not its doing:

U. After each start of a container, at most `high` tasks run. (Longshore counts more: tasks that it has promised and that
   do not run yet. So more can never be seen here than it has counted.)
L. When a healthy task is sent its first signal, and not by the proof, at least `low` others are healthy. A task that
   crashed, or lost its health, counts for KNOWN_AFTER longer: that long a decision may take to reach the container, and
   so it may have been made before the crash.
P. In scenarios without crashes and without a rise of D: `low` holds at every instant, not only when something is done.

When D or the percentages change, the wider bounds of before and after hold for KNOWN_AFTER. For DAEMON, D is the number of
instances. Four HTTP clients ask the tasks all the time (`load.py`); in scenarios without crashes no request may fail. The
test image serves on for LINGER_MS after SIGTERM, as a task behind a load balancer has to.

One line per scenario: the bounds, fewest healthy and most running tasks seen, requests and failures.
"""

import dataclasses
import math
import sys
import time

from common import (
    WEB_1,
    WEB_2,
    ControlPlane,
    Findings,
    Workplace,
    client,
    conclude,
    eventually,
    free_port,
    options,
)
from load import Load
from recorder import Recorder, now_ns

INSTANCES = 3
SETTLE_SECS = 1.0
LINGER_MS = 1500
SECOND = 1_000_000_000
KNOWN_AFTER = 2 * SECOND
# Longshore counts from the container's start as the agent tells it, in ms.
CLOCK_TOLERANCE = SECOND // 100


@dataclasses.dataclass(frozen=True)
class Wish:
    """What holds from an instant on."""

    since: int
    desired: int
    minimum: int
    maximum: int

    @property
    def low(self):
        return math.ceil(self.desired * self.minimum / 100)

    @property
    def high(self):
        return self.desired * self.maximum // 100


class Judge:
    """Counts again, from the recorded lives and the wishes, at every instant that matters."""

    def __init__(self, lives, wishes, checked, begun, ended):
        self.lives, self.wishes, self.checked = lives, wishes, checked
        self.settle = int(SETTLE_SECS * SECOND) - CLOCK_TOLERANCE
        self.begun, self.ended = begun, ended
        self.fewest = self.most = None

    def in_force(self, at):
        """The newest wish, and those that it replaced just now."""
        newest = max(index for index, wish in enumerate(self.wishes) if wish.since <= at or index == 0)
        return [
            wish
            for index, wish in enumerate(self.wishes)
            if index == newest or (index < newest and self.wishes[index + 1].since > at - KNOWN_AFTER)
        ]

    def low(self, at):
        return min(wish.low for wish in self.in_force(at))

    def high(self, at):
        return max(wish.high for wish in self.in_force(at))

    def running(self, at):
        return sum(life.runs(at) for life in self.lives)

    def healthy(self, at):
        return [life for life in self.lives if life.healthy(at, self.settle, self.checked)]

    def known_healthy(self, at):
        """Those that Longshore may believe to be healthy."""
        found = self.healthy(at)
        for life in self.lives:
            if life in found or life.told(at) and not life.crashed:
                continue
            ends = [life.died] if life.died is not None else []
            ends += [when for when, healthy in life.health if not healthy]
            if life.crashed and life.signalled is not None:
                ends.append(life.signalled)
            for end in ends:
                if end <= at < end + KNOWN_AFTER and life.healthy(end - 1, self.settle, self.checked):
                    found.append(life)
                    break
        return found

    def instants(self):
        """Every time at which something changed, or was about to."""
        found = {self.begun, self.ended}
        for life in self.lives:
            for at in [*life.starts, life.signalled, life.died, *(when for when, _ in life.health)]:
                if at is not None and self.begun <= at <= self.ended:
                    found.update((at, at - 1))
        return sorted(found)

    def judge(self, plain):
        """What was outside of the bounds, in words."""
        problems = []
        counts = [(at, len(self.healthy(at)), self.running(at)) for at in self.instants() if at >= self.begun]
        self.fewest = min(healthy for _, healthy, _ in counts)
        self.most = max(running for _, _, running in counts)
        for life in self.lives:
            at = life.started
            if at is not None and self.begun <= at <= self.ended and self.running(at) > self.high(at):
                problems.append(f"U: {self.running(at)} tasks run after a start, {self.high(at)} are allowed")
            at = life.signalled
            if at is None or life.crashed or not self.begun <= at <= self.ended:
                continue
            if life.healthy(at - 1, self.settle, self.checked):
                others = [other for other in self.known_healthy(at) if other is not life]
                if len(others) < self.low(at):
                    when = (at - self.begun) / SECOND
                    problems.append(f"L: a healthy task is stopped at {when:.2f} s; {len(others)} of {self.low(at)} stay")
        if plain:
            for at, healthy, _ in counts:
                if healthy < self.low(at):
                    when = (at - self.begun) / SECOND
                    problems.append(f"P: {healthy} of {self.low(at)} tasks are healthy at {when:.2f} s")
        return problems


class World:
    def __init__(self, place):
        self.place = place
        self.cluster = f"{place.name}-c"
        self.findings = Findings()
        settings = ("--settle-secs", SETTLE_SECS)
        self.plane = place.started(ControlPlane("server", place.directory / "data", free_port(), settings))
        self.ecs = client(self.plane)
        self.ecs.create_cluster(clusterName=self.cluster)
        self.recorder = Recorder(self.cluster)
        place.stack.callback(self.recorder.close)
        self.agents = [
            place.started(place.agent(self.plane, self.cluster, f"agent-{number}", number))
            for number in range(INSTANCES)
        ]
        self.wait_connected()
        self.requests = self.failures = 0

    def wait_connected(self):
        def look():
            found = self.ecs.list_container_instances(cluster=self.cluster, filter="agentConnected == true")
            return len(found["containerInstanceArns"])

        eventually(look, lambda connected: connected == INSTANCES, 60, "all agents", interval_secs=0.05)

    def restart_server(self):
        self.plane.kill()
        self.plane.start()
        self.ecs = client(self.plane)


class Scenario:
    """One service in its own family, from CreateService to its end."""

    # Nothing crashes and D does not rise: P holds, and no request may fail.
    healthy = True
    daemon = False
    checked = False
    http = True
    breaker = False

    def __init__(self, world, name, desired, minimum, maximum, act=None, **changes):
        self.world, self.name, self.act = world, name, act
        self.family = f"{world.place.name}-{name}"
        self.desired, self.minimum, self.maximum = desired, minimum, maximum
        for key, value in changes.items():
            if not hasattr(type(self), key):
                raise AttributeError(key)
            setattr(self, key, value)
        self.wishes = []

    # ---- what happens

    def register(self, image, **changes):
        container = {
            "name": "web",
            "image": image,
            "cpu": 16,
            "memory": 16,
            "portMappings": [{"containerPort": 8080}],
            "environment": [{"name": "LINGER_MS", "value": str(LINGER_MS)}],
            **changes,
        }
        if self.checked:
            check = ["CMD", "/web", "check", "http://127.0.0.1:8080/healthz"]
            container["healthCheck"] = {"command": check, "interval": 5, "timeout": 2, "retries": 2}
        answer = self.world.ecs.register_task_definition(family=self.family, containerDefinitions=[container])
        return answer["taskDefinition"]["taskDefinitionArn"]

    def wish(self, desired=None):
        self.desired = self.desired if desired is None else desired
        self.wishes.append(Wish(now_ns(), self.desired, self.minimum, self.maximum))

    def create(self):
        configuration = {"minimumHealthyPercent": self.minimum, "maximumPercent": self.maximum}
        if self.breaker:
            configuration["deploymentCircuitBreaker"] = {"enable": True, "rollback": True}
        how = {"schedulingStrategy": "DAEMON"} if self.daemon else {"desiredCount": self.desired}
        if not self.daemon:
            how["placementStrategy"] = [{"type": "spread", "field": "instanceId"}]
        self.world.ecs.create_service(
            cluster=self.world.cluster,
            serviceName=self.name,
            taskDefinition=self.register(WEB_1),
            deploymentConfiguration=configuration,
            **how,
        )
        self.wait_completed()

        def healthy():
            judge = Judge(self.world.recorder.of(self.family), [], self.checked, 0, 0)
            return len(judge.healthy(now_ns()))

        eventually(healthy, lambda count: count == self.desired, 30, "healthy tasks by the engine's events")

    def update(self, **changes):
        self.world.ecs.update_service(cluster=self.world.cluster, service=self.name, **changes)

    def service(self):
        return self.world.ecs.describe_services(cluster=self.world.cluster, services=[self.name])["services"][0]

    def settled(self):
        service = self.service()
        deployments = service["deployments"]
        return (
            len(deployments) == 1
            and deployments[0]["rolloutState"] == "COMPLETED"
            and service["runningCount"] == self.desired
            and service["pendingCount"] == 0
        )

    def wait_completed(self):
        eventually(self.settled, timeout_secs=120, what=f"the end of all changes of {self.name}")

    def wait_new(self, count=1, revision=2):
        """Until that many containers of the new revision have started."""

        def new():
            lives = self.world.recorder.of(self.family)
            return len([life for life in lives if life.revision == revision and life.started])

        eventually(new, lambda found: found >= count, 60, "a container of the new revision", interval_secs=0.02)

    def roll(self):
        self.update(taskDefinition=self.register(WEB_2))

    # ---- how it is judged

    def run(self):
        world = self.world
        world.findings.where = self.name
        began = time.monotonic()
        self.create()
        load = Load(world.plane, world.cluster, self.name) if self.http else None
        try:
            if load:
                eventually(lambda: len(load.addresses), lambda count: count == self.desired, 20, "addresses to ask")
            begun = now_ns()
            self.wish()
            (self.act or Scenario.only_roll)(self)
            # Old tasks serve on for a while, which counts as well.
            eventually(
                lambda: len(world.recorder.running(self.family)), lambda count: count == self.desired, 60, "the last stop"
            )
            ended = now_ns()
        finally:
            if load:
                load.stop()
        judge = Judge(world.recorder.of(self.family), self.wishes, self.checked, begun, ended)
        problems = judge.judge(self.healthy)
        failures = [failure for failure in (load.failures if load else ()) if self.healthy]
        for problem in problems:
            world.findings.add(problem)
        for at, address, problem in failures[:5]:
            world.findings.add(f"a request failed after {(at - begun) / SECOND:.2f} s: {address} {problem}")
        if load and self.healthy:
            world.findings.expect(load.requests > 0, "nobody asked anything")
        requests, failed = (load.requests, len(load.failures)) if load else (0, 0)
        world.requests += requests
        world.failures += len(failures)
        low, high = min(wish.low for wish in self.wishes), max(wish.high for wish in self.wishes)
        allowed = "" if self.healthy else " (allowed here)"
        print(
            f"  {self.name:<24} D {self.wishes[0].desired:>2} {self.minimum}/{self.maximum}: "
            f"healthy {judge.fewest} of at least {low}, running {judge.most} of at most {high}, "
            f"{requests} requests, {failed} failed{allowed if failed else ''}, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        self.remove()

    def remove(self):
        self.world.ecs.delete_service(cluster=self.world.cluster, service=self.name, force=True)
        eventually(lambda: self.world.recorder.running(self.family), lambda left: not left, 60, "the end of the service")

    def only_roll(self):
        self.roll()
        self.wait_new()
        self.wait_completed()


# ---- scenarios


def stuck(scenario):
    """Neither a start nor a stop is possible: nothing happens, and an event says why."""
    scenario.roll()
    part = "was unable to stop or start tasks during a deployment because of the service deployment configuration"
    eventually(lambda: [event["message"] for event in scenario.service()["events"]], lambda all: any(part in text for text in all), 20, "the event")  # fmt: skip


def more_while_rolling(scenario):
    scenario.roll()
    scenario.wait_new()
    scenario.wish(scenario.desired + 2)
    scenario.update(desiredCount=scenario.desired)
    scenario.wait_completed()


def fewer_while_rolling(scenario):
    scenario.roll()
    scenario.wait_new()
    scenario.wish(scenario.desired - 3)
    scenario.update(desiredCount=scenario.desired)
    scenario.wait_completed()


def crash_while_rolling(scenario):
    """Kills an old and a new container, each as soon as there is one that is healthy."""
    recorder = scenario.world.recorder
    scenario.roll()
    for revision in (1, 2):
        scenario.wait_new()
        alive = [life for life in recorder.running(scenario.family) if life.revision == revision and not life.signalled]
        if alive:
            recorder.kill(alive[0])
    scenario.wait_completed()


def drain(scenario):
    """Empties an instance, then lets it take tasks again."""
    ecs, cluster = scenario.world.ecs, scenario.world.cluster
    arns = ecs.list_tasks(cluster=cluster, serviceName=scenario.name)["taskArns"]
    instance = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"][0]["containerInstanceArn"]
    ecs.update_container_instances_state(cluster=cluster, containerInstances=[instance], status="DRAINING")
    try:

        def empty():
            found = ecs.describe_container_instances(cluster=cluster, containerInstances=[instance])
            one = found["containerInstances"][0]
            return one["runningTasksCount"] + one["pendingTasksCount"]

        eventually(empty, lambda count: count == 0, 60, "an empty instance")
        scenario.wait_completed()
    finally:
        ecs.update_container_instances_state(cluster=cluster, containerInstances=[instance], status="ACTIVE")


def server_killed(scenario):
    """kill -9 of the server twice during the roll."""
    scenario.roll()
    scenario.wait_new(1)
    scenario.world.restart_server()
    scenario.wait_new(2)
    scenario.world.restart_server()
    scenario.wait_completed()


def agent_killed(scenario):
    """kill -9 of an agent during the roll."""
    scenario.roll()
    scenario.wait_new(1)
    agent = scenario.world.agents[0]
    agent.kill()
    agent.start()
    scenario.wait_completed()


def bad_revision(scenario):
    """It cannot start: the circuit breaker takes the old one back."""
    scenario.update(taskDefinition=scenario.register(WEB_2, entryPoint=["/no/such/program"]))

    def rolled_back():
        service = scenario.service()
        deployments = service["deployments"]
        failed = any("deployment failed: tasks failed to start" in event["message"] for event in service["events"])
        return failed and len(deployments) == 1 and deployments[0]["taskDefinition"].endswith(":1")

    eventually(rolled_back, timeout_secs=120, what="the rollback")
    scenario.wait_completed()


def scenarios(world, short):
    def make(*arguments, **changes):
        return Scenario(world, *arguments, **changes)

    if short:
        return [
            make("roll-4-75-125", 4, 75, 125),
            make("server-killed", 2, 100, 150, server_killed),
            make("bad-revision", 2, 100, 200, bad_revision, breaker=True),
        ]
    return [
        # The worked table of ecs-services E2.
        make("roll-1-100-200", 1, 100, 200),
        make("roll-1-0-100", 1, 0, 100, http=False),
        make("roll-2-50-100", 2, 50, 100),
        make("roll-3-100-200", 3, 100, 200),
        make("roll-4-75-125", 4, 75, 125),
        make("stuck-3-100-125", 3, 100, 125, stuck),
        make("stuck-2-75-100", 2, 75, 100, stuck),
        make("roll-10-50-150", 10, 50, 150),
        make("roll-checked", 3, 100, 150, checked=True),
        make("more-while-rolling", 4, 75, 125, more_while_rolling, healthy=False),
        make("fewer-while-rolling", 6, 50, 150, fewer_while_rolling),
        make("crash-while-rolling", 4, 75, 125, crash_while_rolling, healthy=False),
        make("crash-checked", 4, 75, 125, crash_while_rolling, healthy=False, checked=True),
        make("drain-100-200", 3, 100, 200, drain),
        make("drain-50-100", 4, 50, 100, drain),
        make("server-killed", 4, 75, 125, server_killed),
        make("agent-killed", 4, 75, 125, agent_killed),
        make("bad-revision", 3, 100, 200, bad_revision, breaker=True),
        make("daemon-roll", INSTANCES, 50, 100, daemon=True),
    ]


def main():
    flags = {"short": {"action": "store_true", "help": "three scenarios"}, "only": {"help": "scenarios with this in their names"}}
    chosen = options(__doc__.splitlines()[0], None, **flags)
    begun = time.monotonic()
    done = 0
    with Workplace("bounds", chosen.keep) as place:
        world = World(place)
        for scenario in scenarios(world, chosen.short):
            if chosen.only and chosen.only not in scenario.name:
                continue
            try:
                scenario.run()
            except AssertionError as error:
                world.findings.add(str(error)[:1500])
                scenario.remove()
            done += 1
        world.findings.where = "end"
        world.recorder.check(world.findings)
        place.keep |= bool(world.findings.texts)
    numbers = {"scenarios": done, "requests": world.requests, "failed": world.failures, "events": world.recorder.events}
    return conclude("bounds", world.findings, "-", begun, numbers)


if __name__ == "__main__":
    sys.exit(main())
