"""How long a schedule takes, how finely its time is cut, and how often the heavier faults strike."""

CHAOS_S = 2 * 86_400.0
"""So long faults may last; people who are quick are done before."""

CHAOS_PASSES = 100
"""And so many passes in which something was done: beyond that a storm only repeats itself."""

CHAOS_ROUNDS = 1_500
"""And so many passes in all: what waits for a system that is down for days is looked at every minute, and that is no circle."""

QUIET_S = 3 * 86_400.0
"""So long everything has, after the last fault, to come to rest (the liveness bound)."""

PARTS_OF_QUIET = 3
"""After each but the last, operators reprocess what is still open."""

ROUNDS_MAX = 3_000
"""A schedule that needs more passes than this goes round in circles."""

GRIDS_S = (5.0, 60.0, 300.0)
"""How finely time is cut; drawn for each schedule."""

STEP_S = 0.001
"""What every step takes at least: no two things happen at one instant."""

IDLE_S = 1.0
"""How far time moves when something is due and could not be done: a rate limit fills up, an engine's clock is a little behind."""

IN_VAIN_S = 300.0
"""How long something may be due while engines are there and none takes it: a rate limit that was overdrawn fills up within seconds, one
of a call every twenty seconds within minutes."""

HEEDED_WITHIN_S = 120.0
"""How long news may wait for its feed's next turn."""

HEEDS_ANEW = 0.2
"""How often an engine that comes back reads every feed at once; the others wait for news, which brings the same."""

CLOCKS_DIFFER_S = 2.0
"""What two engines' readings of the database's time may differ by."""

LOOKS_ROUND = 0.4
"""How often engines that hold something look for more before they go on with it."""

CRASH_FACTOR = 0.15
CLOCK_FACTOR = 0.02
CROWD_FACTOR = 0.1
ASIDE = 0.04
"""How often another engine does something in the middle of a step of this one."""
