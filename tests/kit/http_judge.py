"""httptools (llhttp) as the judge of our HTTP parser: what it refuses must not be let through.

It is the parser of uvicorn and, in C, of Node: if it refuses what we accept, an upstream may read the
same bytes differently from us.
"""

import httptools

# llhttp reads only methods that it has a name for. We pass any token on: an upstream that does not know it
# says so with 501.
KNOWN_METHODS = frozenset(
    b"ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL "
    b"MOVE NOTIFY OPTIONS PATCH POST PRI PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE "
    b"SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE".split()
)


class Judge:
    """Collects nothing: only refusal matters."""

    complete = False

    def on_message_complete(self) -> None:
        """Note that the message is whole."""
        self.complete = True


def judge_refuses(
    parser: type[httptools.HttpRequestParser] | type[httptools.HttpResponseParser], data: bytes
) -> bool:
    """Say whether httptools refuses these bytes."""
    try:
        parser(Judge()).feed_data(data)
    except httptools.HttpParserUpgrade:
        return False
    except httptools.HttpParserError:
        return True
    return False
