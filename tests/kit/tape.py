"""A Pipe and Sink in one that keep what passes."""


class Tape:
    """A pipe and a sink that keep what passes."""

    def __init__(self, take: int = 1 << 20) -> None:
        """Take at most ``take`` bytes in one send."""
        self.take = take
        self.sent = bytearray()
        self.delivered = bytearray()
        self.calls: list[str] = []
        self.space = memoryview(bytearray(65_536))

    def lend(self) -> memoryview | None:
        """Lend the same space again and again."""
        return self.space

    def filled(self, n: int) -> bool:
        """Keep what was filled."""
        self.sent += self.space[:n]
        return True

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Keep what is taken."""
        taken = bytes(data)[: self.take]
        self.sent += taken
        return len(taken)

    def end(self) -> None:
        """Note the call."""
        self.calls.append("end")

    def abort(self, code: int = 6) -> None:
        """Note the call."""
        self.calls.append(f"abort {code}")

    def consume(self, n: int) -> None:
        """Note the call."""
        self.calls.append(f"consume {n}")

    def on_data(self, view: memoryview) -> None:
        """Keep the bytes."""
        self.delivered += view

    def on_end(self) -> None:
        """Note the call."""
        self.calls.append("on_end")

    def on_reset(self, code: int) -> None:
        """Note the call."""
        self.calls.append(f"on_reset {code}")

    def on_room(self) -> None:
        """Note the call."""
        self.calls.append("on_room")
