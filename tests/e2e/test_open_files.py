"""Strangers may take every connection, but not the files that the store needs: without those the process ends."""

import pathlib
import socket

from harness.cases import ServerCase
from harness.process import ControlPlane
from harness.wait import eventually

# Where the limit is this low, the server keeps half of it for itself (docs/decisions/0019).
FILES_MAX = 300
CONNECTIONS_MAX = FILES_MAX // 2


class OpenFiles(ServerCase):
    @classmethod
    def start_plane(cls, verb, *options, port=0):
        class Limited(ControlPlane):
            def __init__(self, *arguments):
                super().__init__(*arguments)
                self.arguments = ["sh", "-c", f'ulimit -n {FILES_MAX}; exec "$0" "$@"', *self.arguments]

        cls.plane = Limited(verb, cls.directory / "data", port, options)
        cls.addClassCleanup(cls.plane.stop)
        cls.plane.start()
        cls.ecs = cls.client()

    def open_files(self):
        return len(list(pathlib.Path(f"/proc/{self.plane.child.pid}/fd").iterdir()))

    def test_connections_leave_files_for_the_store(self):
        # Its connection stays open, so that it needs no place beside theirs.
        self.ecs.create_cluster(clusterName="before")
        own = self.open_files()
        host, port = self.plane.endpoint.removeprefix("http://").split(":")
        strangers = []
        self.addCleanup(lambda: [stranger.close() for stranger in strangers])
        for _ in range(FILES_MAX):
            stranger = socket.socket()
            stranger.setblocking(False)
            stranger.connect_ex((host, int(port)))
            strangers.append(stranger)
        eventually(self.open_files, lambda files: files >= CONNECTIONS_MAX, what="the strangers' connections")
        for n in range(20):
            self.ecs.create_cluster(clusterName=f"meanwhile-{n}")
            self.assertLess(self.open_files(), CONNECTIONS_MAX + own)
        self.plane.must_run()
        self.assertLess(self.open_files(), FILES_MAX - 50)
