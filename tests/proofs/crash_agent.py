#!/usr/bin/env python3
"""kill -9 of agents at random moments: no container is restarted, run twice or forgotten, no end goes unreported.

    tests/proofs/crash_agent.py --rounds 100 [--seed N]

A real server and two real agents with containers. In each round tasks are started (some go on, some end by themselves
with a known exit code, some have an image that does not exist, some ignore SIGTERM, some have two containers that
depend on each other), stopped and killed behind Longshore's back; meanwhile one agent, both, or both and the server get
SIGKILL, in some rounds again while they start; while they are away more containers die and more tasks are told to stop.

A recorder follows the engine's events by itself. Whenever everything has settled (every tenth round and at the end):

- no container was started twice, and no second one for the same container of a task;
- the lasting containers are the same with the same start;
- what ended by itself is STOPPED with its own exit code, also if nobody was there to see it;
- what was killed is STOPPED with 137, what was told to stop is STOPPED, what could not be pulled says so;
- everything else runs, in exactly the containers that the engine shows: no orphan, nothing missing.
"""

import random
import sys
import threading
import time

from common import (
    BUSYBOX,
    WEB_1,
    ControlPlane,
    Findings,
    NoAnswer,
    Workplace,
    all_tasks,
    client,
    conclude,
    docker,
    eventually,
    free_port,
    options,
)
from recorder import Recorder, now_ns

AGENTS = 2
LASTING = 6
SERVICE_TASKS = 2
WORK_SECS_MAX = 0.8
START_KILL_SECS_MAX = 0.3
SETTLE_EVERY = 10
# Tasks that go on and are there to be stopped or killed.
GOING_ON_MAX = 8

# Kind: its containers, and the exit code with which the essential one ends by itself.
WAIT = {"image": BUSYBOX, "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"]}
KINDS = {
    "lasting": ([{"name": "main", "image": WEB_1}], None),
    "long": ([{"name": "main", "image": WEB_1}], None),
    "stubborn": (
        [{"name": "main", "image": WEB_1, "stopTimeout": 2, "environment": [{"name": "IGNORE_TERM", "value": "1"}]}],
        None,
    ),
    "pair": (
        [
            {"name": "main", "image": WEB_1, "dependsOn": [{"containerName": "side", "condition": "START"}]},
            {"name": "side", "essential": False, **WAIT},
        ],
        None,
    ),
    "at-once": ([{"name": "main", "image": WEB_1, "command": ["exit", "7"]}], 7),
    "brief": ([{"name": "main", "image": BUSYBOX, "command": ["sh", "-c", "sleep 0.5; exit 3"]}], 3),
    "missing": ([{"name": "main", "image": "127.0.0.1:9/nobody/has-this:1"}], None),
}
WEIGHTS = {"long": 4, "stubborn": 1, "pair": 2, "at-once": 3, "brief": 4, "missing": 1}
# An agent tries to pull for about a minute before it gives up, too long for a short run.
MISSING_FROM_ROUNDS = 20


class World:
    def __init__(self, place, seed, rounds):
        self.place = place
        self.cluster = f"{place.name}-c"
        self.findings = Findings()
        self.rng = random.Random(seed)
        self.acts = random.Random(f"{seed}/acts")
        settings = ("--settle-secs", "1", "--instance-lost-secs", "0")
        self.plane = place.started(ControlPlane("server", place.directory / "data", free_port(), settings))
        self.ecs = client(self.plane)
        self.ecs.create_cluster(clusterName=self.cluster)
        self.recorder = Recorder(self.cluster)
        place.stack.callback(self.recorder.close)
        self.agents = [
            place.started(
                place.agent(
                    self.plane, self.cluster, f"agent-{number}", number, ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION="1m"
                )
            )
            for number in range(AGENTS)
        ]
        for kind, (containers, _) in KINDS.items():
            containers = [{"cpu": 1, "memory": 8, **one} for one in containers]
            self.ecs.register_task_definition(family=self.family(kind), containerDefinitions=containers)
        self.weights = {**WEIGHTS, "missing": WEIGHTS["missing"] if rounds >= MISSING_FROM_ROUNDS else 0}
        self.told = set()  # tasks whose stop was acknowledged, or may have been asked for
        self.killed = set()  # tasks whose container was killed behind Longshore's back
        self.agent_kills = self.server_kills = self.ended = 0
        self.checked = set()
        self.wait_connected()
        self.start_lasting()

    def family(self, kind):
        return f"{self.place.name}-{kind}"

    def kind(self, task):
        return task["group"].removeprefix(f"family:{self.place.name}-")

    def start_lasting(self):
        run = self.ecs.run_task(cluster=self.cluster, taskDefinition=self.family("lasting"), count=LASTING)
        if run["failures"]:
            raise AssertionError(f"the lasting tasks cannot be placed: {run['failures']}")
        self.ecs.create_service(
            cluster=self.cluster,
            serviceName="lasting",
            desiredCount=SERVICE_TASKS,
            taskDefinition=self.family("lasting"),
        )
        all_of_them = LASTING + SERVICE_TASKS
        eventually(
            self.tasks, lambda all: [t["lastStatus"] for t in all].count("RUNNING") == all_of_them, 60, "lasting tasks"
        )
        self.lasting = {task["taskArn"] for task in self.tasks()}
        self.starts = self.container_starts()

    def tasks(self):
        return all_tasks(self.ecs, self.cluster)

    def container_starts(self):
        return docker.starts_of_cluster(self.cluster)

    def wait_connected(self):
        def look():
            found = self.ecs.list_container_instances(cluster=self.cluster, filter="agentConnected == true")
            arns = found["containerInstanceArns"]
            if not arns:
                return 0
            found = self.ecs.describe_container_instances(cluster=self.cluster, containerInstances=arns)
            # Not those that are only expected back after a restart of the server.
            return sum("statusReason" not in instance for instance in found["containerInstances"])

        eventually(look, lambda connected: connected == AGENTS, 90, "all agents", interval_secs=0.05)

    # ---- what happens

    def run_something(self):
        kind = self.acts.choices(list(self.weights), weights=self.weights.values())[0]
        self.ecs.run_task(cluster=self.cluster, taskDefinition=self.family(kind))

    def victims(self):
        """Containers that go on, of tasks that nothing was done to yet."""
        families = [self.family(kind) for kind in ("long", "stubborn", "pair")]
        lives = [life for family in families for life in self.recorder.of(family, "main")]
        untouched = [life for life in lives if life.runs(now_ns()) and life.task not in self.told | self.killed]
        return sorted(untouched, key=lambda life: life.task)

    def stop_something(self):
        victims = self.victims()
        if victims:
            arn = self.acts.choice(victims).task
            # Also if no answer comes: it may have been heard.
            self.told.add(arn)
            self.asked = arn
            self.ecs.stop_task(cluster=self.cluster, task=arn)

    def kill_something(self):
        victims = self.victims()
        if victims:
            life = self.acts.choice(victims)
            self.killed.add(life.task)
            self.recorder.kill(life)

    def act(self, times):
        for _ in range(times):
            crowded = len(self.victims()) >= GOING_ON_MAX
            act = self.acts.choices(
                [self.run_something, self.stop_something, self.kill_something],
                weights=[0 if crowded else 6, 3, 2],
            )[0]
            try:
                act()
            except NoAnswer:
                return
            except docker.EngineError:
                # It ended at the same moment.
                continue
            except Exception as error:  # noqa: BLE001  a refusal is a finding, whatever it is
                self.findings.add(f"{act.__name__}: {error!r}")

    def round(self, number, last):
        self.findings.where = f"round {number}"
        self.asked = None
        worker = threading.Thread(target=self.act, args=(self.rng.randrange(3, 7),))
        worker.start()
        time.sleep(self.rng.uniform(0, WORK_SECS_MAX))
        dead = self.rng.sample(self.agents, self.rng.choice([1, 1, AGENTS]))
        server = self.rng.random() < 0.3
        for agent in dead:
            agent.kill()
            self.agent_kills += 1
        if server:
            self.plane.kill()
            self.server_kills += 1
        worker.join()
        if server:
            self.plane.start()
            self.ecs = client(self.plane)
            self.ask_again()
        # Nobody watches now.
        self.act(self.rng.randrange(0, 3))
        for agent in dead:
            while self.rng.random() < 0.25:
                agent.start()
                time.sleep(self.rng.uniform(0, START_KILL_SECS_MAX))
                agent.kill()
                self.agent_kills += 1
            agent.start()
        starts = self.container_starts()
        self.findings.expect(self.starts.items() <= starts.items(), f"lasting containers changed: {starts}")
        if last or number % SETTLE_EVERY == SETTLE_EVERY - 1:
            self.settle(last)

    def ask_again(self):
        """A stop without an answer is asked for again, so that it is known what has to become of the task."""
        if self.asked is not None:
            self.ecs.stop_task(cluster=self.cluster, task=self.asked)

    # ---- what has to have come of it

    def settle(self, last):
        self.wait_connected()

        def open_ends():
            found = []
            for task in self.tasks():
                arn, kind, status = task["taskArn"], self.kind(task) if "group" in task else "", task["lastStatus"]
                by_itself = kind in ("at-once", "brief", "missing")
                if kind == "missing" and not last:
                    continue
                over = by_itself or arn in self.told | self.killed
                if status != ("STOPPED" if over else "RUNNING"):
                    found.append((arn, kind, status, task["desiredStatus"], arn in self.told, arn in self.killed))
            return found

        try:
            eventually(open_ends, lambda found: not found, 120 if last else 60, "the end of all changes")
        except AssertionError as error:
            self.findings.add(str(error))
        tasks = {task["taskArn"]: task for task in self.tasks()}
        for arn, task in tasks.items():
            if arn not in self.checked and task["lastStatus"] == "STOPPED":
                self.checked.add(arn)
                self.check_end(task)
        self.compare_engine(tasks)
        self.recorder.check(self.findings)

    def check_end(self, task):
        kind, arn = self.kind(task), task["taskArn"]
        self.ended += 1
        main = next(one for one in task["containers"] if one["name"] == "main")
        code, expected = main.get("exitCode"), KINDS[kind][1]
        about = f"{kind} {arn} ({task.get('stopCode')}: {task.get('stoppedReason')}, {main.get('reason')}, exit {code})"
        self.findings.expect(task.get("stopCode") and task.get("stoppedReason"), f"{about} does not say why it ended")
        life = next((one for one in self.recorder.of(self.family(kind), "main") if one.task == arn), None)
        ran = life is not None and life.started is not None
        if ran:
            self.findings.expect(code == life.exit_code, f"{about}: the engine saw exit code {life.exit_code}")
        if expected is not None:
            self.findings.expect(code == expected, f"{about}: should have ended with {expected}")
        if kind == "missing":
            text = f"{task.get('stoppedReason')} {main.get('reason')}"
            self.findings.expect("CannotPull" in text, f"{about}: its image cannot be pulled")
        if arn in self.killed and arn not in self.told:
            self.findings.expect(code == 137, f"{about}: was killed with SIGKILL")
            self.findings.expect(task.get("stopCode") == "EssentialContainerExited", f"{about}: ended by itself")

    def compare_engine(self, tasks):
        running = {arn for arn, task in tasks.items() if task["lastStatus"] == "RUNNING"}
        mains = {life.task: life for life in self.recorder.running() if life.name == "main"}
        for life in self.recorder.running():
            status = tasks[life.task]["lastStatus"] if life.task in tasks else "unknown"
            self.findings.expect(life.task in running, f"an orphan: {life.name} of {life.task}, which is {status}")
        for arn in running - set(mains):
            self.findings.add(f"{arn} is RUNNING without its container")
        for arn in self.lasting:
            self.findings.expect(arn in running, f"lasting task {arn} does not run")


def main():
    chosen = options(__doc__.splitlines()[0], 100)
    begun = time.monotonic()
    with Workplace("agent", chosen.keep) as place:
        world = World(place, chosen.seed, chosen.rounds)
        for number in range(chosen.rounds):
            world.round(number, number == chosen.rounds - 1)
            if sys.stdout.isatty() or number % 10 == 9:
                print(f"  round {number + 1}: {world.ended} tasks ended", flush=True)
        place.keep |= bool(world.findings.texts)
    numbers = {
        "rounds": chosen.rounds,
        "agent-kills": world.agent_kills,
        "server-kills": world.server_kills,
        "ended": world.ended,
        "told-to-stop": len(world.told),
        "killed-containers": len(world.killed),
        "containers": len(world.recorder.lives),
        "events": world.recorder.events,
    }
    return conclude("crash_agent", world.findings, chosen.seed, begun, numbers)


if __name__ == "__main__":
    sys.exit(main())
