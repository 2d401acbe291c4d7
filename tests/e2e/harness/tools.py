"""Programs of others that `scripts/prerequisites` brings from the registries of packages."""

import os
import pathlib
import sys
import unittest

from .process import ROOT

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
TOOLS = TARGET / "tools"
JS_SDK = TARGET / "js-sdk"


def require_tool(path, name, level="--clients"):
    """Skips, loudly, without it: registries of packages may be out of reach, and some clients are large."""
    if path.exists():
        return
    hint = f"there is no {name} ({path}): run scripts/prerequisites {level}"
    print(f"SKIPPED: {hint}", file=sys.stderr)
    raise unittest.SkipTest(hint)


def only_at_night():
    """For a module's `setUpModule`: large clients take minutes, and are run by `scripts/nightly clients`."""
    if os.environ.get("LONGSHORE_E2E_CLIENTS") != "1":
        raise unittest.SkipTest("run by scripts/nightly clients, or with LONGSHORE_E2E_CLIENTS=1")
