#!/usr/bin/env python3
"""A panic in the server at random moments: nothing acknowledged is lost, and the server never looks well while it is not.

    tests/proofs/crash_panic.py --rounds 100 [--seed N]

The same load and the same judgement as in `crash_server.py`, whose header says what has to hold. But nobody kills the
server: it is `panicky` (crates/longshore-hostile/examples), the real server over a store, a clock and a source of chance
that panic once when SIGUSR1 says so, and with a command that panics half-way. Where it is, a round draws. Then:

- after a panic in a transaction, in the tables or in the committer the server ends by itself, with exit status 1 and a
  message that says what happened and that the next start recovers;
- after a panic anywhere else it either ends like that, or goes on: then `/readyz` says ready, and a new service gets
  its task, so the controllers still work;
- a request that was answered with an error of the server's own is in doubt, as one without an answer is;
- nothing of what the half command did is ever there.
"""

import os
import random
import signal
import sys
import urllib.error
import urllib.request

import botocore.exceptions
import crash_server
from common import BINARY, STRETCH, NoAnswer, TimedOut, eventually

FATAL = ("transaction", "tables", "store-before", "store-after")
# Whoever meets these next: a connection, which fails alone, or a controller, without which the server must not go on.
ANYWHERE = ("clock", "seeds")

# The panic, the end of the process, and a machine that is busy with the load.
END_SECS = 20
# Nothing ends a server that goes on, so this much is waited in each such round.
GOES_ON_SECS = 0.5


class ServerFault(Exception):
    """An answer of HTTP 500 or above."""


def ready(endpoint):
    """Status and text of /readyz; None without an answer."""
    try:
        with urllib.request.urlopen(f"{endpoint}/readyz", timeout=5 * STRETCH) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None


def tell_faults_apart(**told):
    """botocore hook: an error of the server's own is no refusal."""
    status = told["parsed"].get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500:
        raise ServerFault(f"HTTP {status}: {told['parsed'].get('Error')}")


class PanicWorld(crash_server.World):
    in_doubt = (*NoAnswer, ServerFault)

    def __init__(self, place, seed):
        self.kinds = random.Random(f"{seed}/kinds")
        self.turn = []
        self.counts = dict.fromkeys((*FATAL, *ANYWHERE), 0)
        self.went_on = 0
        super().__init__(place, seed)

    def numbers(self):
        return {**self.counts, "went-on": self.went_on}

    def server(self, plane):
        plane.arguments[0] = str(BINARY.parent / "examples" / "panicky")
        self.plane = plane
        self.choose()
        return plane

    def choose(self):
        """What the next process will do. All kinds have their turn before one comes again."""
        if not self.turn:
            self.turn = [*FATAL, *ANYWHERE]
            self.kinds.shuffle(self.turn)
        self.kind = self.turn.pop()
        self.plane.environment["PANICKY"] = self.kind

    def kill(self):
        self.counts[self.kind] += 1
        self.kills += 1
        log = self.plane.log_path
        before = log.stat().st_size
        os.kill(self.plane.child.pid, signal.SIGUSR1)
        if self.kind in ANYWHERE and not self.ends(GOES_ON_SECS):
            self.must_work()
            self.went_on += 1
            # What was promised until now has to survive all the same.
            self.plane.kill()
            return
        if not self.ends(END_SECS):
            self.findings.add(f"{self.kind}: the server goes on, and says {ready(self.plane.endpoint)}")
            self.plane.kill()
            return
        code, said = self.plane.child.returncode, log.read_bytes()[before:].decode(errors="replace")
        self.findings.expect(code == 1, f"{self.kind}: the server ended with {code}: {said[-500:]}")
        self.findings.expect("start it again" in said, f"{self.kind}: the server does not say what to do: {said[-500:]}")

    def ends(self, secs):
        try:
            eventually(lambda: not self.plane.running, timeout_secs=secs, what="the end", interval_secs=0.02)
        except TimedOut:
            return False
        return True

    def must_work(self):
        """A server that goes on says that it is ready, and is: its controllers start a task."""
        said = ready(self.plane.endpoint)
        if not self.plane.running:
            return
        self.findings.expect(said is not None and said[0] == 200, f"{self.kind}: goes on, and /readyz says {said}")
        name = f"alive-{self.kills}"
        try:
            self.ecs.create_service(
                cluster=self.crowd, serviceName=name, desiredCount=1, taskDefinition=self.definitions[0]
            )
            eventually(
                lambda: self.ecs.list_tasks(cluster=self.crowd, serviceName=name)["taskArns"],
                timeout_secs=END_SECS,
                what=f"a task of service {name}",
            )
            self.ecs.delete_service(cluster=self.crowd, service=name, force=True)
        except self.in_doubt as error:
            # The panic may meet this request, or the controllers a moment later.
            if self.ends(END_SECS):
                return
            said = ready(self.plane.endpoint)
            if said is None or said[0] != 200:
                self.findings.add(f"{self.kind}: goes on, answers {error!r}, and /readyz says {said}")
        except TimedOut as error:
            self.findings.add(f"{self.kind}: goes on, and /readyz says {ready(self.plane.endpoint)}, but: {error}")

    def restart(self):
        self.choose()
        self.plane.start()
        self.ecs = crash_server.client(self.plane)
        clusters = self.ecs.get_paginator("list_clusters").paginate()
        phantoms = [arn for page in clusters for arn in page["clusterArns"] if arn.endswith("/phantom")]
        self.findings.expect(not phantoms, "what a panicking command made is there")


def client(plane, connections=10):
    made = plain_client(plane, connections)
    made.meta.events.register("after-call.ecs", tell_faults_apart)
    return made


plain_client, crash_server.client = crash_server.client, client

if __name__ == "__main__":
    sys.exit(crash_server.main("panic", PanicWorld, __doc__))
