"""Programs of this machine inside of containers: an image that has nothing, with this machine's directories mounted."""

import os
import pathlib
import sys

from .cases import BUSYBOX


def mounted(paths):
    """Members of a task definition and of its container, so that it has these directories: `{of the machine: in it}`.

    All of them can only be read, except what is at /out.
    """
    present = {str(path): at for path, at in paths.items() if pathlib.Path(path).exists()}
    volumes = [{"name": f"v{n}", "host": {"sourcePath": path}} for n, path in enumerate(present)]
    points = [
        {"sourceVolume": f"v{n}", "containerPath": at, "readOnly": at != "/out"} for n, at in enumerate(present.values())
    ]
    return volumes, points


def python(out, program, environment, packages):
    """The volumes and the container of a task that runs this Python's `program`, with `out` at /out."""
    prefix = pathlib.Path(os.path.realpath(sys.executable)).parent.parent
    paths = {pathlib.Path("/usr"), pathlib.Path("/lib"), pathlib.Path("/lib64"), prefix, packages}
    # What is inside another one is there with it.
    outer = [path for path in sorted(paths) if not any(other in path.parents for other in paths)]
    volumes, points = mounted({**{path: str(path) for path in outer}, out: "/out"})
    environment = {"HOME": "/tmp", "PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    container = {
        "image": BUSYBOX, "entryPoint": [os.path.realpath(sys.executable), "-c"], "command": [program],
        "mountPoints": points, "stopTimeout": 2,
        "environment": [{"name": key, "value": value} for key, value in environment.items()],
    }
    return volumes, container
