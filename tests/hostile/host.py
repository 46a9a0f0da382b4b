"""What hostile code must not reach, and a look at whether it did. Only the standard library: it also runs in a box."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path


class Host:
    """What hostile code must not reach: a folder, listeners, this process. `reached` says what it did reach."""

    def __init__(self, root: Path, port: int = 0) -> None:
        self.folder = root / "canary"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        (self.folder / "canary.txt").write_text("untouched")
        self.callers: list[str] = []
        self.sockets = {"tcp": socket.create_server(("127.0.0.1", port))}
        self.port = int(self.sockets["tcp"].getsockname()[1])
        addresses = {"unix": str(self.folder / "host.sock"), "abstract": f"\0llmlabs-hostile-{self.port}"}
        for name, address in addresses.items():
            self.sockets[name] = socket.socket(socket.AF_UNIX)
            self.sockets[name].bind(address)
            self.sockets[name].listen()
        self.sockets["udp"] = socket.socket(type=socket.SOCK_DGRAM)
        self.sockets["udp"].bind(("127.0.0.1", self.port))
        (self.folder / "host.sock").chmod(0o777)
        self._threads = [threading.Thread(target=self._listen, args=pair, daemon=True) for pair in self.sockets.items()]
        for thread in self._threads:
            thread.start()

    def _listen(self, name: str, listener: socket.socket) -> None:
        listener.settimeout(0.2)
        while listener.fileno() >= 0:
            with suppress(TimeoutError, OSError):
                if name == "udp":
                    listener.recv(100)
                else:
                    listener.accept()[0].close()
                self.callers.append(name)

    def reached(self) -> list[str]:
        """What of the host was reached, in words; empty if nothing was."""
        found = [f"a call of the {name} listener" for name in self.callers]
        names = {path.name for path in self.folder.iterdir()}
        found += [f"canary/{name} was written" for name in sorted(names ^ {"canary.txt", "host.sock"})]
        if (self.folder / "canary.txt").read_text() != "untouched":
            found.append("canary.txt was changed")
        marks = [Path(place, "llmlabs-hostile-mark") for place in ("/tmp", "/dev/shm", "/etc")]
        return found + [
            f"{path} was written" for path in [*marks, *self.folder.parent.rglob(marks[0].name)] if path.exists()
        ]

    def close(self) -> None:
        for listener in self.sockets.values():
            listener.close()
        for thread in self._threads:
            thread.join()
