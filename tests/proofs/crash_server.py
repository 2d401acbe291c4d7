#!/usr/bin/env python3
"""kill -9 of the server at random moments: nothing acknowledged is lost, nothing is half there.

    tests/proofs/crash_server.py --rounds 100 [--seed N]

A real server with a data directory, two real agents with containers that have to stay untouched, and a crowd of
scripted instances (`longshore-crowd`) for tasks in large numbers. In each round eight clients write as fast as they
can, each to things of its own, while a ninth reads; 0 to 300 ms later the server gets SIGKILL, in some rounds once
or twice more while it starts. Then:

- `longshore check` finds nothing wrong with a copy of the directory;
- every write that was acknowledged is there with its content, and whatever the reader was shown still exists;
- a write without an answer is wholly there or wholly not; RunTask of ten tasks left ten or none, and its repetition
  with the same clientToken gives the same ten, never ten more;
- revisions of a family have neither gaps nor repeats, and keep their content;
- the long-running containers are the same ones with the same start, and at the end no container is without a
  running task, no running task without its container, and no container was made twice for one task.

Every client is the only writer of its things, so that what has to be there is known exactly: a `Ledger` holds what
was acknowledged, and at most one request that is in doubt.
"""

import random
import signal
import sys
import threading
import time
import uuid

import botocore.exceptions
from common import (
    BINARY,
    WEB_1,
    ControlPlane,
    Findings,
    NoAnswer,
    Process,
    Workplace,
    all_tasks,
    check_copy,
    client,
    conclude,
    docker,
    eventually,
    free_port,
    in_chunks,
    options,
)

WRITERS = 8
LASTING = 10
SERVICE_TASKS = 3
CROWD_INSTANCES = 6
LOAD_SECS_MAX = 0.3
START_KILL_SECS_MAX = 0.25
# Older entries that are looked at again in a round; all of them in every tenth and at the end.
SAMPLE = 25
FULL_EVERY = 10
RUN_TASK_COUNT = 10


class Ledger:
    """What one client was promised."""

    def __init__(self, number, seed, world):
        self.name = f"w{number}"
        self.rng = random.Random(f"{seed}/{number}")
        self.world = world
        self.ecs = None
        self.acknowledged = 0
        self.families = {}  # family: [content of revision 1, 2, ...]
        self.inactive = set()  # (family, revision)
        self.clusters = {}  # name: tags
        self.services = {}  # name: (status, desired count, task definition)
        self.attributes = {}  # name: value or None
        self.runs = {}  # client token: task ARNs
        self.stopped = set()  # task ARNs told to stop
        self.doubt = None  # (kind, key, after)
        self.touched = set()  # (kind, key) of this round
        self.number = 0
        self.failed = None

    def fresh(self, what):
        self.number += 1
        return f"{self.world.name}-{self.name}-{what}{self.number}"

    # ---- writing

    def work(self, end):
        """Until the server is gone, or somebody says so."""
        while not end.is_set():
            operation = self.rng.choices(
                [
                    self.register, self.deregister, self.create_cluster, self.tag_cluster, self.create_service,
                    self.update_service, self.delete_service, self.put_attributes, self.run_task, self.stop_task,
                ],
                weights=[20, 4, 8, 10, 8, 12, 3, 12, 12, 8],
            )[0]  # fmt: skip
            try:
                operation()
            except self.world.in_doubt:
                return
            except Exception as error:  # noqa: BLE001  a refusal is a finding, whatever it is
                self.failed = f"{self.name}: {operation.__name__}: {error!r}"
                self.doubt = None
                return

    def write(self, kind, key, after, call, **parameters):
        """One request. `after` is what has to be there once it is acknowledged."""
        self.touched.add((kind, key))
        self.doubt = (kind, key, after)
        answer = call(**parameters)
        self.doubt = None
        self.acknowledged += 1
        return answer

    def register(self):
        family = f"{self.world.name}-{self.name}-f{self.rng.randrange(6)}"
        content = f"{self.rng.getrandbits(64):x}"
        revisions = self.families.setdefault(family, [])
        answer = self.write(
            "family", family, content, self.ecs.register_task_definition,
            family=family, containerDefinitions=[definition(content)],
        )  # fmt: skip
        revisions.append(content)
        given = answer["taskDefinition"]["revision"]
        if given != len(revisions):
            self.world.findings.add(f"{family} was given revision {given}, not {len(revisions)}")

    def deregister(self):
        known = [(family, at + 1) for family, revisions in self.families.items() for at in range(len(revisions))]
        free = [one for one in known if one not in self.inactive]
        if not free:
            return
        family, revision = self.rng.choice(free)
        self.write(
            "inactive", (family, revision), True, self.ecs.deregister_task_definition,
            taskDefinition=f"{family}:{revision}",
        )  # fmt: skip
        self.inactive.add((family, revision))

    def create_cluster(self):
        name = self.fresh("c")
        tags = {"made": name}
        self.write("cluster", name, tags, self.ecs.create_cluster, clusterName=name, tags=as_tags(tags))
        self.clusters[name] = tags

    def tag_cluster(self):
        if not self.clusters:
            return
        name = self.rng.choice(sorted(self.clusters))
        key, value = f"k{self.rng.randrange(5)}", f"{self.rng.getrandbits(32):x}"
        after = {**self.clusters[name], key: value}
        arn = self.world.cluster_arn(name)
        self.write("cluster", name, after, self.ecs.tag_resource, resourceArn=arn, tags=as_tags({key: value}))
        self.clusters[name] = after

    def create_service(self):
        name = self.fresh("s")
        after = ("ACTIVE", self.rng.randrange(1, 20), self.world.definitions[0])
        self.write(
            "service", name, after, self.ecs.create_service,
            cluster=self.world.idle, serviceName=name, desiredCount=after[1], taskDefinition=after[2],
        )  # fmt: skip
        self.services[name] = after

    def update_service(self):
        name = self.active_service()
        if name is None:
            return
        after = ("ACTIVE", self.rng.randrange(1, 20), self.rng.choice(self.world.definitions))
        self.write(
            "service", name, after, self.ecs.update_service,
            cluster=self.world.idle, service=name, desiredCount=after[1], taskDefinition=after[2],
        )  # fmt: skip
        self.services[name] = after

    def delete_service(self):
        name = self.active_service()
        if name is None:
            return
        _, _, task_definition = self.services[name]
        after = ("GONE", 0, task_definition)
        self.write(
            "service", name, after, self.ecs.delete_service, cluster=self.world.idle, service=name, force=True
        )
        self.services[name] = after

    def active_service(self):
        active = sorted(name for name, (status, _, _) in self.services.items() if status == "ACTIVE")
        return self.rng.choice(active) if active else None

    def put_attributes(self):
        # An instance takes ten of them.
        name, instance = self.name, self.world.instance
        if self.attributes.get(name) is not None and self.rng.random() < 0.3:
            self.write(
                "attribute", name, None, self.ecs.delete_attributes,
                cluster=self.world.cluster, attributes=[{"name": name, "targetId": instance}],
            )  # fmt: skip
            self.attributes[name] = None
            return
        value = f"{self.rng.getrandbits(32):x}"
        self.write(
            "attribute", name, value, self.ecs.put_attributes,
            cluster=self.world.cluster, attributes=[{"name": name, "value": value, "targetId": instance}],
        )  # fmt: skip
        self.attributes[name] = value

    def run_task(self):
        token = uuid.UUID(int=self.rng.getrandbits(128)).hex
        answer = self.write("run", token, None, self.ecs.run_task, **self.run_parameters(token))
        self.runs[token] = [task["taskArn"] for task in answer["tasks"]]

    def run_parameters(self, token):
        return {
            "cluster": self.world.crowd,
            "taskDefinition": self.world.definitions[0],
            "count": RUN_TASK_COUNT,
            "clientToken": token,
            "startedBy": token,
        }

    def stop_task(self):
        arns = [arn for token in list(self.runs)[-20:] for arn in self.runs[token] if arn not in self.stopped]
        if not arns:
            return
        arn = self.rng.choice(arns)
        self.write("stop", arn, True, self.ecs.stop_task, cluster=self.world.crowd, task=arn)
        self.stopped.add(arn)

    # ---- looking

    def verify(self, everything):
        """Compares what is there with what was promised; afterwards nothing is in doubt."""
        found = self.world.findings
        doubt, self.doubt = self.doubt, None
        chosen = self.chosen(everything)
        if doubt is not None:
            chosen.add(doubt[:2])
        for family in sorted(key for kind, key in chosen if kind == "family"):
            self.verify_family(family, doubt, everything)
        for family, revision in sorted(key for kind, key in chosen if kind == "inactive"):
            status = self.ecs.describe_task_definition(taskDefinition=f"{family}:{revision}")["taskDefinition"]["status"]
            if doubt and doubt[:2] == ("inactive", (family, revision)):
                if status == "INACTIVE":
                    self.inactive.add((family, revision))
                continue
            found.expect(status == "INACTIVE", f"{family}:{revision} was deregistered and is {status}")
        self.verify_clusters({key for kind, key in chosen if kind == "cluster"}, doubt)
        self.verify_services({key for kind, key in chosen if kind == "service"}, doubt)
        self.verify_attributes({key for kind, key in chosen if kind == "attribute"}, doubt)
        self.verify_runs({key for kind, key in chosen if kind == "run"}, doubt)
        self.verify_stops({key for kind, key in chosen if kind == "stop"}, doubt)
        self.touched.clear()

    def chosen(self, everything):
        known = [("family", key) for key in self.families] + [("inactive", key) for key in self.inactive]
        known += [("cluster", key) for key in self.clusters] + [("service", key) for key in self.services]
        known += [("attribute", key) for key in self.attributes] + [("run", key) for key in self.runs]
        known += [("stop", key) for key in self.stopped]
        if everything:
            return set(known)
        touched = {one for one in self.touched if one in set(known)}
        return touched | set(self.rng.sample(sorted(known, key=str), min(SAMPLE // WRITERS + 1, len(known))))

    def verify_family(self, family, doubt, everything):
        found, promised = self.world.findings, self.families[family]
        last = len(promised)
        arns = self.pages("list_task_definitions", "taskDefinitionArns", familyPrefix=family, status="ACTIVE")
        arns += self.pages("list_task_definitions", "taskDefinitionArns", familyPrefix=family, status="INACTIVE")
        there = sorted(int(arn.rsplit(":", 1)[1]) for arn in arns if arn.rsplit("/", 1)[1].rsplit(":", 1)[0] == family)
        if doubt and doubt[:2] == ("family", family) and there == list(range(1, last + 2)):
            promised.append(doubt[2])
            last += 1
            self.world.in_doubt_there += 1
        found.expect(there == list(range(1, last + 1)), f"{family} has revisions {there}, not 1 to {last}")
        first = 0 if everything else max(0, last - 4)
        for revision in range(first + 1, last + 1):
            content = self.ecs.describe_task_definition(taskDefinition=f"{family}:{revision}")["taskDefinition"]
            have, want = content["containerDefinitions"][0]["environment"], promised[revision - 1]
            same = have == environment(want)
            found.expect(same, f"{family}:{revision} holds {str(have)[:100]}, not what was registered with {want}")

    def verify_clusters(self, names, doubt):
        there = {}
        for chunk in in_chunks(sorted(names), 100):
            answer = self.ecs.describe_clusters(clusters=chunk, include=["TAGS"])
            for cluster in answer["clusters"]:
                there[cluster["clusterName"]] = {tag["key"]: tag["value"] for tag in cluster["tags"]}
        self.compare("cluster", names, self.clusters, there, doubt)

    def verify_services(self, names, doubt):
        there = {}
        for chunk in in_chunks(sorted(names), 10):
            answer = self.ecs.describe_services(cluster=self.world.idle, services=chunk)
            for service in answer["services"]:
                status = "ACTIVE" if service["status"] == "ACTIVE" else "GONE"
                desired = service["desiredCount"] if status == "ACTIVE" else 0
                there[service["serviceName"]] = (status, desired, service["taskDefinition"])
                deployments = service["deployments"]
                if status == "ACTIVE":
                    primary = [one for one in deployments if one["status"] == "PRIMARY"]
                    whole = len(primary) == 1 and primary[0]["taskDefinition"] == service["taskDefinition"]
                    self.world.findings.expect(whole, f"service {service['serviceName']} has deployments {deployments}")
        for name in names:
            # A deleted service may be forgotten after a while.
            if name not in there and self.services.get(name, ("",))[0] == "GONE":
                there[name] = self.services[name]
        self.compare("service", names, self.services, there, doubt)

    def verify_attributes(self, names, doubt):
        if not names:
            return
        answer = self.ecs.describe_container_instances(
            cluster=self.world.cluster, containerInstances=[self.world.instance]
        )
        have = {one["name"]: one.get("value") for one in answer["containerInstances"][0]["attributes"]}
        self.compare("attribute", names, self.attributes, {name: have.get(name) for name in names}, doubt)

    def compare(self, kind, names, promised, there, doubt):
        """Each is as promised; the one in doubt may also be as it would be after its request."""
        for name in sorted(names):
            before, now = promised.get(name), there.get(name)
            if doubt and doubt[:2] == (kind, name):
                if now == doubt[2] and now != before:
                    promised[name] = now
                    self.world.in_doubt_there += 1
                else:
                    text = f"{kind} {name} is {now}: neither {before} as before nor {doubt[2]} as asked for"
                    self.world.findings.expect(now == before, text)
            else:
                self.world.findings.expect(now == before, f"{kind} {name} is {now}, and {before} was acknowledged")

    def verify_runs(self, tokens, doubt):
        found = self.world.findings
        for token in sorted(tokens):
            there = set(self.tasks_of(token))
            if not doubt or doubt[:2] != ("run", token):
                promised = set(self.runs[token])
                found.expect(there == promised, f"RunTask {token} promised {len(promised)} tasks, {len(there)} are there")
                continue
            found.expect(len(there) in (0, RUN_TASK_COUNT), f"RunTask {token} without an answer left {len(there)} tasks")
            self.world.in_doubt_there += bool(there)
            again = {task["taskArn"] for task in self.ecs.run_task(**self.run_parameters(token))["tasks"]}
            if there:
                found.expect(again == there, f"the repetition of RunTask {token} gave {len(again - there)} other tasks")
            after = set(self.tasks_of(token))
            found.expect(after == again | there, f"RunTask {token} and its repetition left {len(after)} tasks")
            self.runs[token] = sorted(after)
            self.world.repeated += 1

    def verify_stops(self, arns, doubt):
        for chunk in in_chunks(sorted(arns), 100):
            answer = self.ecs.describe_tasks(cluster=self.world.crowd, tasks=chunk)
            self.world.findings.expect(not answer["failures"], f"tasks are missing: {answer['failures']}")
            for task in answer["tasks"]:
                arn, desired = task["taskArn"], task["desiredStatus"]
                if doubt and doubt[:2] == ("stop", arn):
                    if desired == "STOPPED":
                        self.stopped.add(arn)
                    continue
                self.world.findings.expect(desired == "STOPPED", f"{arn} was told to stop and is wanted {desired}")

    def tasks_of(self, token):
        arns = []
        for desired in ("RUNNING", "STOPPED"):
            arns += self.pages(
                "list_tasks", "taskArns", cluster=self.world.crowd, startedBy=token, desiredStatus=desired
            )
        return arns

    def pages(self, operation, member, **parameters):
        pages = self.ecs.get_paginator(operation).paginate(**parameters)
        return [one for page in pages for one in page[member]]


def definition(content):
    return {
        "name": "a",
        "image": WEB_1,
        "cpu": 1,
        "memory": 6,
        "environment": environment(content),
    }


def environment(content):
    """Some are large, so that the store writes tables and drops journals while it is killed."""
    padding = content * 2500 if len(content) > 8 and content[-1] in "0123456" else ""
    return [{"name": "CONTENT", "value": content}, {"name": "PADDING", "value": padding}]


def as_tags(tags):
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]


class Reader:
    """Remembers what it was shown; nothing of it may be gone after a crash."""

    def __init__(self, world):
        self.world = world
        self.ecs = None
        self.shown = set()
        self.failed = None

    def work(self, end):
        while not end.is_set():
            try:
                answer = self.ecs.list_task_definitions(sort="DESC", maxResults=100, status="ACTIVE")
                self.shown.update(answer["taskDefinitionArns"])
            except self.world.in_doubt:
                return
            except botocore.exceptions.ClientError as error:
                self.failed = f"reader: {error!r}"
                return

    def verify(self, there):
        missing = self.shown - there
        self.world.findings.expect(not missing, f"revisions were shown and are gone: {sorted(missing)[:5]}")


class World:
    # What leaves open whether a request took effect.
    in_doubt = NoAnswer

    def __init__(self, place, seed):
        self.place = place
        self.name = place.name
        self.findings = Findings()
        self.rng = random.Random(seed)
        self.cluster, self.crowd, self.idle = (f"{self.name}-{kind}" for kind in ("real", "crowd", "idle"))
        self.in_doubt_there = self.repeated = self.kills = self.tasks = 0
        self.crowd_process = None
        settings = ("--settle-secs", "1", "--instance-lost-secs", "0")
        self.plane = place.started(self.server(ControlPlane("server", place.directory / "data", free_port(), settings)))
        self.ecs = client(self.plane)
        for name in (self.cluster, self.crowd, self.idle):
            self.ecs.create_cluster(clusterName=name)
        self.agents = [
            place.started(place.agent(self.plane, self.cluster, f"agent-{number}", number)) for number in range(2)
        ]
        self.definitions = [
            self.ecs.register_task_definition(family=f"{self.name}-base", containerDefinitions=[definition(str(at))])[
                "taskDefinition"
            ]["taskDefinitionArn"]
            for at in range(3)
        ]
        self.ledgers = [Ledger(number, seed, self) for number in range(WRITERS)]
        self.reader = Reader(self)
        self.start_crowd()
        self.wait_connected(self.cluster, len(self.agents))
        self.instance = self.ecs.list_container_instances(cluster=self.cluster)["containerInstanceArns"][0]
        self.start_lasting()

    def server(self, plane):
        """The program under test."""
        return plane

    def cluster_arn(self, name):
        return self.plane_cluster_arn.rsplit("/", 1)[0] + "/" + name

    # ---- what has to last

    def start_lasting(self):
        answer = self.ecs.describe_clusters(clusters=[self.cluster])
        self.plane_cluster_arn = answer["clusters"][0]["clusterArn"]
        run = self.ecs.run_task(cluster=self.cluster, taskDefinition=self.definitions[0], count=LASTING)
        if run["failures"]:
            raise AssertionError(f"the lasting tasks cannot be placed: {run['failures']}")
        self.ecs.create_service(
            cluster=self.cluster, serviceName="lasting", desiredCount=SERVICE_TASKS, taskDefinition=self.definitions[0]
        )
        eventually(
            lambda: [task["lastStatus"] for task in self.real_tasks()],
            lambda all: all.count("RUNNING") == LASTING + SERVICE_TASKS,
            60,
            "the lasting tasks",
        )
        self.lasting = {task["taskArn"] for task in self.real_tasks()}
        self.starts = self.container_starts()

    def real_tasks(self):
        return all_tasks(self.ecs, self.cluster)

    def container_starts(self):
        return docker.starts_of_cluster(self.cluster)

    # ---- the crowd

    def start_crowd(self):
        """Agents wait longer after each failure, up to two minutes; a new crowd is there at once."""
        if self.crowd_process is not None:
            self.crowd_process.child.send_signal(signal.SIGINT)
            self.crowd_process.wait_end()
            for arn in self.ecs.list_container_instances(cluster=self.crowd)["containerInstanceArns"]:
                self.ecs.deregister_container_instance(cluster=self.crowd, containerInstance=arn, force=True)
        crowd = Process([self.crowd, CROWD_INSTANCES], self.place.directory / "crowd.log", self.plane.env)
        crowd.arguments[0] = str(BINARY.parent / "examples" / "attend")
        if self.crowd_process is None:
            self.place.started(crowd)
            self.place.stack.callback(lambda: self.crowd_process.running and self.crowd_process.kill())
        else:
            crowd.start()
        self.crowd_process = crowd
        self.wait_connected(self.crowd, CROWD_INSTANCES)

    def wait_connected(self, cluster, count):
        def look():
            found = self.ecs.list_container_instances(cluster=cluster, filter="agentConnected == true")
            return len(found["containerInstanceArns"])

        eventually(look, lambda connected: connected >= count, 60, f"{count} agents in {cluster}", interval_secs=0.05)

    # ---- a round

    def round(self, number, last):
        self.findings.where = f"round {number}"
        if number % 4 == 0 and number:
            self.start_crowd()
        end = threading.Event()
        for one in [*self.ledgers, self.reader]:
            one.ecs = client(self.plane)
        threads = [threading.Thread(target=one.work, args=(end,)) for one in [*self.ledgers, self.reader]]
        for thread in threads:
            thread.start()
        self.churn()
        time.sleep(self.rng.uniform(0, LOAD_SECS_MAX))
        self.kill()
        end.set()
        for thread in threads:
            thread.join()
        check_copy(self.plane.data_dir, self.findings)
        self.restart()
        for one in [*self.ledgers, self.reader]:
            one.ecs = self.ecs
            if one.failed:
                self.findings.add(f"a request was refused: {one.failed}")
                one.failed = None
        everything = last or number % FULL_EVERY == FULL_EVERY - 1
        for ledger in self.ledgers:
            ledger.verify(everything)
        if everything:
            pages = self.ecs.get_paginator("list_task_definitions")
            there = {
                arn
                for status in ("ACTIVE", "INACTIVE")
                for page in pages.paginate(status=status)
                for arn in page["taskDefinitionArns"]
            }
            self.reader.verify(there)
        starts = self.container_starts()
        self.findings.expect(
            self.starts.items() <= starts.items(), f"containers changed: {self.starts} are now {starts}"
        )

    def churn(self):
        """Something for the real agents as well: one task more, or one less, of those that need not last."""
        try:
            others = [task for task in self.real_tasks() if task["taskArn"] not in self.lasting]
            alive = [task["taskArn"] for task in others if task["desiredStatus"] == "RUNNING"]
            if alive and self.rng.random() < 0.6:
                self.ecs.stop_task(cluster=self.cluster, task=self.rng.choice(sorted(alive)))
            elif len(alive) < 4:
                self.ecs.run_task(cluster=self.cluster, taskDefinition=self.definitions[1])
        except self.in_doubt:
            pass

    def kill(self):
        self.plane.kill()
        self.kills += 1

    def restart(self):
        """Sometimes it dies again before it is ready."""
        while self.rng.random() < 0.3:
            Process.start(self.plane)
            time.sleep(self.rng.uniform(0, START_KILL_SECS_MAX))
            self.kill()
        self.plane.start()
        self.ecs = client(self.plane)

    # ---- the end

    def settle(self):
        """All agents are back and everything has become what it is wanted to be."""
        self.findings.where = "end"
        for agent in self.agents:
            agent.stop()
            agent.start()
        self.wait_connected(self.cluster, len(self.agents))

        def unsettled():
            return [
                (task["taskArn"], task["lastStatus"], task["desiredStatus"])
                for task in self.real_tasks()
                if task["lastStatus"] != task["desiredStatus"]
            ]

        try:
            eventually(unsettled, lambda found: not found, 60, "the end of all changes")
        except AssertionError as error:
            self.findings.add(str(error))
        tasks = {task["taskArn"]: task for task in self.real_tasks()}
        for arn in self.lasting:
            status = tasks[arn]["lastStatus"] if arn in tasks else "missing"
            self.findings.expect(status == "RUNNING", f"lasting task {arn} is {status}")
        self.compare_engine(tasks)
        starts = self.container_starts()
        self.findings.expect(self.starts.items() <= starts.items(), "lasting containers changed at the end")
        given = [arn for ledger in self.ledgers for arns in ledger.runs.values() for arn in arns]
        self.findings.expect(len(given) == len(set(given)), "a task's ARN was given twice")

    def numbers(self):
        """What else to tell at the end."""
        return {}

    def compare_engine(self, tasks):
        """No orphan, nothing missing, nothing twice."""
        # The engine's list may lag behind the ends that it has told already.
        count = sum(task["lastStatus"] == "RUNNING" for task in tasks.values())
        try:
            eventually(lambda: docker.running_of_cluster(self.cluster), lambda found: len(found) == count, 20)
        except AssertionError as error:
            self.findings.add(str(error))
        running = {arn for arn, task in tasks.items() if task["lastStatus"] == "RUNNING"}
        alive, made = {}, {}
        for container in docker.all_of_cluster(self.cluster):
            arn = container["Labels"][docker.LABEL_TASK]
            made.setdefault(arn, []).append(container["Id"])
            if container["State"] == "running":
                alive.setdefault(arn, []).append(container["Id"])
        for arn in set(alive) - running:
            status = tasks[arn]["lastStatus"] if arn in tasks else "unknown"
            self.findings.add(f"an orphan: container {alive[arn]} of {arn}, which is {status}")
        for arn in running - set(alive):
            self.findings.add(f"{arn} is RUNNING without a container")
        for arn, containers in made.items():
            self.findings.expect(len(containers) == 1, f"{arn} was given {len(containers)} containers")
        self.tasks = len(tasks)


def main(name="server", make_world=World, description=__doc__):
    chosen = options(description.splitlines()[0], 100)
    begun = time.monotonic()
    with Workplace(name, chosen.keep) as place:
        world = make_world(place, chosen.seed)
        for number in range(chosen.rounds):
            world.round(number, number == chosen.rounds - 1)
            if sys.stdout.isatty() or number % 10 == 9:
                acknowledged = sum(ledger.acknowledged for ledger in world.ledgers)
                print(f"  round {number + 1}: {acknowledged} acknowledged", flush=True)
        world.settle()
        place.keep |= bool(world.findings.texts)
    ledgers = world.ledgers
    numbers = {
        "rounds": chosen.rounds,
        "kills": world.kills,
        "acknowledged": sum(ledger.acknowledged for ledger in ledgers),
        "revisions": sum(len(revisions) for ledger in ledgers for revisions in ledger.families.values()),
        "tasks": sum(len(arns) for ledger in ledgers for arns in ledger.runs.values()),
        "in-doubt-and-there": world.in_doubt_there,
        "repeated-RunTask": world.repeated,
        "lasting-containers": len(world.starts),
        **world.numbers(),
    }
    return conclude(f"crash_{name}", world.findings, chosen.seed, begun, numbers)


if __name__ == "__main__":
    sys.exit(main())
