"""The judge of `bounds` finds what is wrong, and nothing else."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bounds import KNOWN_AFTER, SECOND, Judge, Wish  # noqa: E402
from recorder import Life  # noqa: E402


def life(started, signalled=None, died=None, crashed=False, health=()):
    """Times in seconds."""
    made = Life(f"c{started}-{died}", {})
    made.starts = [int(started * SECOND)]
    made.signalled = None if signalled is None else int(signalled * SECOND)
    made.died = None if died is None else int(died * SECOND)
    made.crashed = crashed
    made.health = [(int(at * SECOND), healthy) for at, healthy in health]
    return made


def rules(lives, *wishes, plain=True, checked=False, ended=100):
    """Which rules are broken from second 10 on."""
    wishes = [Wish(int(since * SECOND), desired, low, high) for since, desired, low, high in wishes]
    judge = Judge(lives, wishes, checked, 10 * SECOND, ended * SECOND)
    return sorted({problem[0] for problem in judge.judge(plain)})


OLD = [life(0), life(0.1)]
WISH = (10, 2, 100, 150)


class Judgement(unittest.TestCase):
    def check(self, expected, lives, *wishes, **how):
        self.assertEqual(rules(lives, *(wishes or (WISH,)), **how), expected)

    def test_nothing_happens(self):
        self.check([], OLD)

    def test_one_after_the_other(self):
        self.check([], [life(0, 12, 13), life(0.1, 15, 16), life(10.5), life(13.5)])

    def test_a_start_too_many(self):
        self.check(["U"], [*OLD, life(11), life(12)])

    def test_one_that_was_told_to_leave_still_counts_as_running(self):
        self.check(["U"], [life(0, 12, 14), life(0.1), life(10.5), life(13)])

    def test_a_stop_before_the_new_one_has_settled(self):
        self.check(["L", "P"], [life(0, 11, 11.5), life(0.1), life(10.5)])

    def test_a_stop_of_one_that_is_not_healthy_is_free(self):
        self.check([], [*OLD, life(11, 11.5, 12)])

    def test_a_crash_counts_for_a_while(self):
        crashed = life(0, 12, 12, crashed=True)
        self.check(["P"], [crashed, life(0.1, 13, 14), life(10.5)])
        self.check([], [crashed, life(0.1, 13, 14), life(10.5)], plain=False)
        late = 12 + KNOWN_AFTER // SECOND + 1
        self.check(["L"], [crashed, life(0.1, late, late + 1), life(10.5)], plain=False)

    def test_a_wish_that_was_replaced_holds_for_a_while(self):
        lives = [life(0), life(0.1), life(20.5), life(20.6)]
        self.check(["U"], lives)
        self.check([], lives, WISH, (20, 4, 75, 100), plain=False)
        self.check(["U"], [*lives, life(30)], WISH, (20, 4, 75, 100), plain=False)

    def test_health_checks_decide_where_there_are_some(self):
        well = [(0.5, True)]
        unchecked = life(0.1, health=well)
        self.check([], [life(0, health=well), unchecked], checked=True)
        self.check(["P"], [life(0, health=well), life(0.1)], checked=True)
        self.check(["P"], [life(0, health=[*well, (50, False)]), unchecked], checked=True)


if __name__ == "__main__":
    unittest.main()
