"""How long somebody who was turned away waits before trying again."""

from random import Random

BACKOFF_BASE_S, BACKOFF_CAP_S = 5.0, 900.0


def backoff_s(tries: int, rng: Random) -> float:
    """Seconds until the next try: exponential with full jitter, so that a crowd does not come back together."""
    return rng.uniform(0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(tries, 20)))
