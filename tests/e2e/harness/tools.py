"""Programs of others that `scripts/prerequisites --tests` brings from the registries of packages."""

import os
import pathlib
import sys
import unittest

from .process import ROOT

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
TOOLS = TARGET / "tools"
JS_SDK = TARGET / "js-sdk"


def require_tool(path, name):
    """Skips, loudly, without it; fails where a skipped test would be a false comfort (CI, or asked for)."""
    if path.exists():
        return
    hint = f"there is no {name} ({path}): run scripts/prerequisites --tests"
    if os.environ.get("CI") == "true" or os.environ.get("LONGSHORE_E2E") == "require":
        raise AssertionError(hint)
    print(f"SKIPPED: {hint}", file=sys.stderr)
    raise unittest.SkipTest(hint)
