"""Somebody who sends signed hints all the time and remembers which were acknowledged: those must be there in the end."""

import base64
import contextlib
import hashlib
import hmac
import threading
import time
from collections import Counter

import httpx2

KEY = b"chaos sends hints with this key."
PAUSE_S = 0.05


class Sender:
    """Sends to the API on a port, from `begin` to `pause`. Whether a hint without an answer was stored is nobody's promise."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.secret = "whsec_" + base64.b64encode(KEY).decode()
        self.acknowledged: set[str] = set()
        self.answers: Counter[int] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, name="sender", daemon=True)

    def begin(self) -> None:
        """Start sending."""
        self._thread.start()

    def pause(self) -> None:
        """Send no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(20)

    def _send(self) -> None:
        with httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=15) as client:
            number = 0
            while not self._over.wait(PAUSE_S):
                number += 1
                with contextlib.suppress(httpx2.TransportError):
                    status = client.post("/hints/coupa", headers=self._signed(f"chaos-{number}")).status_code
                    self.answers[status] += 1
                    if status == 202:
                        self.acknowledged.add(f"chaos-{number}")

    @staticmethod
    def _signed(name: str) -> dict[str, str]:
        at = str(int(time.time()))
        signature = base64.b64encode(hmac.new(KEY, f"{name}.{at}.".encode(), hashlib.sha256).digest()).decode()
        return {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": f"v1,{signature}"}
