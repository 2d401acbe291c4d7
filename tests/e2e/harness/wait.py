"""Waiting for a value with a deadline. Nothing here or in the tests sleeps for a guessed time."""

import json
import os
import time

INTERVAL_SECS = 0.1
# Deadlines are for a machine that does nothing else; a busy one can stretch them all.
STRETCH = float(os.environ.get("LONGSHORE_E2E_STRETCH", "1"))


class TimedOut(AssertionError):
    """The value did not come. A failure of the test, not an error in it."""


def eventually(look, accept=bool, timeout_secs=20.0, what="a value", interval_secs=INTERVAL_SECS):
    """Calls `look()` until `accept(result)` holds and returns that result."""
    limit_secs = timeout_secs * STRETCH
    deadline = time.monotonic() + limit_secs
    while True:
        late = time.monotonic() >= deadline
        value = look()
        if accept(value):
            return value
        if late:
            shown = json.dumps(value, indent=1, default=str)
            raise TimedOut(f"{what} did not come within {limit_secs:.0f} s; last seen: {shown[:4000]}")
        time.sleep(interval_secs)
