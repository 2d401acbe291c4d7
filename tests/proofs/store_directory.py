#!/usr/bin/env python3
"""A damaged, full, read-only, foreign or busy data directory: a clear message, and nothing lost.

    tests/proofs/store_directory.py --rounds 60 [--seed N]

The store's own tests (`crates/longshore-store-embedded/tests`) break single files in every way. Here the whole program
is asked: what does a person see, and is everything there that was acknowledged?

torn      The newest journal ends at random places of its last batches, or goes on with garbage: a start drops what
          was unfinished and nothing else. What is left is a whole prefix of what was written, without a half write.
rotten    A byte changes in front of intact batches: the start is refused with what to do next, nothing is changed,
          and with the byte put right everything is there. (The number of a batch is not covered by its
          checksum; a change there that loses nothing may go unnoticed.)
full      A server writes until its disk is full: it says so and ends with 1. With more room, all is there.
read-only The start is refused; once it is writable again, everything is there.
busy, newer, foreign   Another process has the directory, or a newer program wrote it, or the marker is unreadable.

The disks need the right to mount; where it is missing, these parts say that they are skipped.
"""

import concurrent.futures
import hashlib
import random
import shutil
import subprocess
import sys
import time

import botocore.exceptions
from common import ControlPlane, Findings, NoAnswer, Workplace, client, conclude, longshore, options

REVISIONS = 40
FAMILY = "kept"
WHAT_TO_DO = "restore a backup, or keep a copy and ask for help"


class Proof:
    def __init__(self, place, chosen):
        self.place, self.rounds = place, chosen.rounds
        self.rng = random.Random(chosen.seed)
        self.findings = Findings()
        self.cases = 0
        self.skipped = []

    def directory(self, name):
        return self.place.directory / name

    def server(self, data_dir):
        return ControlPlane("server", data_dir)

    # ---- a directory as kill -9 leaves it

    def make(self):
        """Writes one revision after the other; gives the image and how long its journal was after each."""
        plane = self.place.started(self.server(self.directory("live")))
        ecs, sizes = client(plane), []
        for number in range(1, REVISIONS + 1):
            register(ecs, number)
            sizes.append(len(written(journal(plane.data_dir))))
        plane.kill()
        shutil.copytree(plane.data_dir, self.directory("image"))
        return sizes

    def image(self, name, data=None):
        """A fresh copy, with another journal."""
        copy = self.directory(name)
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.directory("image"), copy)
        if data is not None:
            journal(copy).write_bytes(data)
        return copy

    def torn(self):
        self.findings.where = "torn"
        sizes = self.make()
        whole = written(journal(self.directory("image")))
        self.findings.expect(sizes == sorted(set(sizes)), "the journal does not grow with each write")
        kinds = (
            ("cut off", lambda at: whole[:at]),
            ("zero from there", lambda at: whole[:at] + bytes(5000)),
            ("followed by garbage", lambda at: whole[:at] + bytes(b | 0x80 for b in self.rng.randbytes(700))),
        )
        for number in range(self.rounds):
            # One of the last batches, at any of its bytes; what a batch that was cut leaves is the one before.
            last = REVISIONS - self.rng.randrange(4)
            at = self.rng.randrange(sizes[last - 2], sizes[last - 1])
            kind, make = kinds[number % len(kinds)]
            copy = self.image("torn-copy", make(at))
            self.cases += 1
            about = f"{kind} at {at} within revision {last}"
            code, out, err = longshore("check", "--data-dir", copy)
            if not self.findings.expect(code == 0, f"{about}: {code} {err.strip()}"):
                continue
            left = counts(out).get("ecs/task-definitions", 0)
            self.findings.expect(left == last - 1, f"{about}: {left} revisions are left")
            if number < 3:
                self.serve(copy, left)
        self.rotten(whole, sizes)

    def serve(self, data_dir, there):
        """A server starts on it, has exactly that, and goes on."""
        plane = self.server(data_dir)
        plane.start()
        try:
            ecs = client(plane)
            self.findings.expect(revisions(ecs) == there, f"a server has {revisions(ecs)} revisions, not {there}")
            for number in (1, there):
                if number:
                    self.findings.expect(content(ecs, number) == text(number), f"revision {number} has changed")
            given = register(ecs, there + 1)
            self.findings.expect(given == there + 1, f"the next revision is {given}, not {there + 1}")
        finally:
            plane.stop()

    def rotten(self, whole, sizes):
        self.findings.where = "rotten"
        refused = 0
        for _ in range(self.rounds):
            at = self.rng.randrange(sizes[-2])
            data = bytearray(whole)
            data[at] ^= 1 << self.rng.randrange(8)
            copy = self.image("rotten-copy", bytes(data))
            self.cases += 1
            code, out, err = longshore("check", "--data-dir", copy)
            if code == 0:
                left = counts(out).get("ecs/task-definitions", 0)
                self.findings.expect(left == REVISIONS, f"byte {at} of {len(whole)}: {left} revisions, and no word")
                continue
            refused += 1
            self.findings.expect("is damaged" in err and WHAT_TO_DO in err, f"byte {at}: unclear: {err.strip()}")
            self.findings.expect(written(journal(copy)) == bytes(data), f"byte {at}: the refused start changed the journal")
            journal(copy).write_bytes(whole)
            code, out, err = longshore("check", "--data-dir", copy)
            left = counts(out).get("ecs/task-definitions", 0)
            self.findings.expect((code, left) == (0, REVISIONS), f"byte {at} put right: {left} revisions, {err.strip()}")
        self.findings.expect(refused > 0, "no damage was noticed")
        # The server says the same as the check, and ends with 1.
        data = bytearray(whole)
        data[sizes[0] // 2] ^= 0x55
        self.refused(self.image("rotten-copy", bytes(data)), "is damaged", WHAT_TO_DO)

    def refused(self, data_dir, *parts):
        """`server` ends with 1 and says all of `parts` on stderr; the store's files stay as they are."""
        self.cases += 1
        before = fingerprint(data_dir / "state")
        code, _, err = longshore("server", "--data-dir", data_dir, "--listen", "127.0.0.1:0")
        self.findings.expect(code == 1, f"the server ends with {code}: {err.strip()}")
        for part in parts:
            self.findings.expect(part in err, f"{part!r} is not said: {err.strip()}")
        self.findings.expect(fingerprint(data_dir / "state") == before, f"a refused start changed files: {err.strip()}")

    # ---- foreign, newer, busy

    def strange(self):
        self.findings.where = "newer"
        copy = self.image("strange")
        marker = copy / "state" / "FORMAT"
        marker.write_text("longshore-store 99\n")
        self.refused(copy, "newer Longshore", "store format 99", "start that version, or restore a backup")
        self.findings.where = "foreign"
        marker.write_text("something else\n")
        self.refused(copy, "is damaged", "FORMAT names no known format", WHAT_TO_DO)
        self.findings.where = "journal missing"
        copy = self.image("strange")
        journal(copy).unlink()
        self.refused(copy, "is damaged", WHAT_TO_DO)
        self.findings.where = "busy"
        plane = self.server(self.image("busy"))
        plane.start()
        try:
            for verb in (("server", "--listen", "127.0.0.1:0"), ("check",)):
                self.cases += 1
                code, _, err = longshore(*verb, "--data-dir", plane.data_dir)
                said = f"in use by the process {plane.child.pid}" in err and "stop that server" in err
                self.findings.expect(code == 1 and said, f"{verb[0]} on a busy directory: {code} {err.strip()}")
            plane.must_run()
            self.findings.expect(revisions(client(plane)) == REVISIONS, "the first server was disturbed")
        finally:
            plane.stop()
        self.findings.where = "nothing there"
        self.cases += 1
        code, _, err = longshore("check", "--data-dir", self.directory("nothing"))
        self.findings.expect(code == 1 and "does not exist" in err, f"check of nothing: {code} {err.strip()}")
        self.findings.expect(not self.directory("nothing").exists(), "check of nothing made something")

    # ---- disks

    def mount(self, name, settings):
        """A file system of its own; `None` without the right to have one."""
        point = self.directory(name)
        point.mkdir()
        if mount("-t", "tmpfs", "-o", settings, "tmpfs", point):
            self.place.stack.callback(lambda: subprocess.run(["umount", "-l", point], check=False))
            return point
        self.skipped.append(name)
        print(f"  SKIPPED {name}: no right to mount", flush=True)
        return None

    def full(self, size_mib):
        self.findings.where = f"full disk of {size_mib} MiB"
        point = self.mount(f"full-{size_mib}", f"size={size_mib}m")
        if point is None:
            return
        self.cases += 1
        plane = self.server(point / "data")
        # The log of a full disk goes to another one.
        plane.log_path = self.directory(f"full-{size_mib}.log")
        plane.start()
        ecs = client(plane)
        padding = "x" * 40_000

        def write(writer):
            done = 0
            while done < 5000:
                try:
                    register(ecs, done + 1, f"{FAMILY}-{writer}", padding)
                except (*NoAnswer, botocore.exceptions.ClientError):
                    return done
                done += 1
            return done

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            acknowledged = list(pool.map(write, range(4)))
        try:
            code = plane.wait_end()
        except AssertionError as error:
            self.findings.add(f"the server goes on: {error}")
            return
        said = plane.log_tail()
        self.findings.expect(code == 1, f"the server ended with {code}")
        self.findings.expect("no space is left at" in said and "free some" in said, f"unclear: {said}")
        # Still full. A start may find room by tidying up; else it is refused, and still nothing is lost.
        try:
            plane.start()
            plane.stop()
        except AssertionError:
            self.findings.expect("space" in plane.log_tail(8), f"a start on the full disk: {plane.log_tail(8)}")
        mount("-o", f"remount,size={size_mib * 4 + 64}m", point)
        plane.start()
        ecs = client(plane)
        for writer, count in enumerate(acknowledged):
            there = revisions(ecs, f"{FAMILY}-{writer}")
            enough = there in (count, count + 1)
            self.findings.expect(enough, f"{count} writes were acknowledged, {there} are there")
            if count:
                kept = content(ecs, count, f"{FAMILY}-{writer}") == text(count)
                self.findings.expect(kept, f"revision {count} has changed")
        print(f"  {self.findings.where}: {sum(acknowledged)} acknowledged writes of 40 kB, all there", flush=True)
        plane.stop()

    def read_only(self):
        self.findings.where = "read-only"
        point = self.mount("read-only", "size=64m")
        if point is None:
            return
        data_dir = point / "data"
        shutil.copytree(self.directory("image"), data_dir)
        plane = self.server(data_dir)
        plane.log_path = self.directory("read-only.log")
        plane.start()
        ecs = client(plane)
        register(ecs, REVISIONS + 1)
        # No file system can be remounted while it has files open for writing.
        plane.kill()
        mount("--bind", data_dir, data_dir)
        mount("-o", "remount,bind,ro", data_dir)
        try:
            self.refused(data_dir, "cannot be written", "how its file system is mounted")
            self.cases += 1
            code, _, err = longshore("check", "--data-dir", data_dir)
            self.findings.expect(code == 1 and "cannot be written" in err, f"check of it: {code} {err.strip()}")
        finally:
            subprocess.run(["umount", data_dir], check=False)
        self.serve(data_dir, REVISIONS + 1)


def mount(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False).returncode == 0


def journal(data_dir):
    """The store's newest journal."""
    return max((data_dir / "state" / "engine").rglob("*.jnl"), key=lambda path: (len(path.name), path.name))


def written(path):
    """Without the space that was reserved behind it."""
    return path.read_bytes().rstrip(b"\0")


def fingerprint(state):
    """What its files hold; the lock names whoever tried last."""
    found = {}
    for path in sorted(state.rglob("*")):
        if path.is_file() and path.name != "LOCK":
            found[str(path.relative_to(state))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def counts(out):
    words = (line.split() for line in out.splitlines()[1:] if not line.startswith(" "))
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2}


def text(number):
    return f"content of {number}"


def register(ecs, number, family=FAMILY, padding=""):
    """A revision with a content of its own; its number as the server gives it."""
    environment = [{"name": "CONTENT", "value": text(number)}, {"name": "PADDING", "value": padding}]
    container = {"name": "a", "image": "i", "memory": 8, "environment": environment}
    answer = ecs.register_task_definition(family=family, containerDefinitions=[container])
    return answer["taskDefinition"]["revision"]


def revisions(ecs, family=FAMILY):
    pages = ecs.get_paginator("list_task_definitions").paginate(familyPrefix=family)
    arns = [arn for page in pages for arn in page["taskDefinitionArns"]]
    return len([arn for arn in arns if arn.rsplit("/", 1)[1].rsplit(":", 1)[0] == family])


def content(ecs, number, family=FAMILY):
    found = ecs.describe_task_definition(taskDefinition=f"{family}:{number}")["taskDefinition"]
    return found["containerDefinitions"][0]["environment"][0]["value"]


def main():
    chosen = options(__doc__.splitlines()[0], 60)
    begun = time.monotonic()
    with Workplace("store", chosen.keep) as place:
        proof = Proof(place, chosen)
        proof.torn()
        proof.strange()
        proof.full(6)
        proof.full(28)
        proof.read_only()
        place.keep |= bool(proof.findings.texts)
    numbers = {"cases": proof.cases, "skipped": len(proof.skipped)}
    return conclude("store_directory", proof.findings, chosen.seed, begun, numbers)


if __name__ == "__main__":
    sys.exit(main())
