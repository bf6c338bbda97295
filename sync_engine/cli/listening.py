"""Whether somebody listens on a port."""

import socket


def is_taken(host: str, port: int) -> bool:
    """Whether somebody listens on a port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
        return False
