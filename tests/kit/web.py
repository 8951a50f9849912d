"""A web of the test's own: what a WebClient is answered, without a socket."""

from collections.abc import Callable

from portway.net.web_client import WebAnswer, WebFailure, WebRequest

Answerer = Callable[[WebRequest], "WebAnswer | WebFailure"]


def answered(body: bytes = b"", status: int = 200, *headers: tuple[str, str]) -> WebAnswer:
    """Make an answer."""
    return WebAnswer(status, list(headers), body, "192.0.2.80", 0.01, "")


class Web:
    """Plays the part of a WebClient."""

    def __init__(self, answer: "Answerer | WebAnswer | WebFailure") -> None:
        self.asked: list[WebRequest] = []
        self.answer = answer

    async def request(self, request: WebRequest) -> WebAnswer:
        self.asked.append(request)
        found = self.answer(request) if callable(self.answer) else self.answer
        if isinstance(found, WebFailure):
            raise found
        return found

    async def close(self) -> None:
        """Nothing is open."""
