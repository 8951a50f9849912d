"""The upstream ``file:///folder``: its files, served to visitors by the agent itself.

What a visitor may name is bounded in one place, `Folder.open`: the path is decoded once, taken apart, and
refused when a part is ``..`` or begins with a dot (``.well-known`` aside); symbolic links are followed only
as far as they stay inside the folder, and what they lead to is opened part by part without following any, so
that nobody can put one in meanwhile. Only regular files and folders are served. Bodies are read piece by
piece as the visitor takes them.
"""

import asyncio
import html
import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from mimetypes import MimeTypes
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from portway.agent.http_server import Exchange, Gone, Headers, HttpConnection
from portway.errors import ConfigError

PIECE: Final = 65_536
"""Bytes of a file that are read at a time."""
LISTED: Final = 10_000
"""Entries of a folder that are listed."""
INDEX: Final = "index.html"

_TYPES: Final = MimeTypes()  # Python's own table: the same answers on every machine
_ENCODINGS: Final = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_CLOSED: Final = getattr(os, "O_CLOEXEC", 0)
_UNBLOCKED: Final = getattr(os, "O_NONBLOCK", 0)  # a FIFO would hold the opener
_UNFOLLOWED: Final = getattr(os, "O_NOFOLLOW", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)
_FLAGS: Final = os.O_RDONLY | _CLOSED | _UNBLOCKED | _UNFOLLOWED | _BINARY


class NotServed(Exception):
    """There is no such thing for visitors. ``status`` is the answer."""

    def __init__(self, status: int = 404) -> None:
        """Say what to answer."""
        super().__init__(status)
        self.status = status


def folder_of(text: str) -> Path:
    """Return the folder of ``file:///folder``. Raises `ConfigError` when it is none, or not absolute."""
    path = text.partition("://")[2]
    if os.name == "nt" and path[:1] == "/" and path[2:3] == ":":
        path = path[1:]  # file:///C:/folder
    folder = Path(path)
    if not folder.is_absolute() or "\0" in path:
        raise ConfigError(f"upstream {text!r}: a folder needs its absolute path, file:///folder")
    if not folder.is_dir():
        raise ConfigError(f"upstream {text!r}: there is no such folder")
    return folder.resolve()


@dataclass(frozen=True, slots=True)
class Found:
    """A file or a folder, open. Whoever gets it closes it."""

    descriptor: int
    path: Path
    parts: tuple[str, ...]
    status: os.stat_result

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def etag(self) -> str:
        """Return what changes whenever the file does."""
        return f'"{self.status.st_mtime_ns:x}-{self.status.st_size:x}"'


class Folder:
    """A folder and what visitors may see of it. Its calls block: for threads."""

    def __init__(self, root: Path) -> None:
        """Serve this folder, whose path is absolute and has no symbolic links."""
        self.root = root

    def open(self, target: bytes) -> Found:
        """Open what a request's target names. Raises NotServed."""
        parts = parts_of(target)
        path = self._resolved(self.root.joinpath(*parts))
        descriptor = self._walk(path.relative_to(self.root).parts)
        status = os.fstat(descriptor)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            os.close(descriptor)
            raise NotServed
        return Found(descriptor, path, parts, status)

    def _resolved(self, path: Path) -> Path:
        """Follow the links of a path. Raises NotServed where they lead out of the folder, or nowhere."""
        try:
            found = path.resolve(strict=True)
            inside = found.relative_to(self.root).parts
        except (OSError, ValueError, RuntimeError):  # gone, outside, a loop of links
            raise NotServed from None
        if any(_hidden(part) for part in inside):
            raise NotServed
        return found

    def _walk(self, parts: tuple[str, ...]) -> int:
        """Open part by part, following no symbolic link: `parts` has none any more."""
        if os.open not in os.supports_dir_fd:
            return self._opened(str(self.root.joinpath(*parts)), None)
        current = self._opened(str(self.root), None)
        for part in parts:
            try:
                below = self._opened(part, current)
            finally:
                os.close(current)
            current = below
        return current

    def _opened(self, name: str, at: int | None) -> int:
        try:
            return os.open(name, _FLAGS, dir_fd=at)
        except (OSError, ValueError):
            raise NotServed from None

    def listing(self, found: Found) -> bytes:
        """Return the page that lists a folder. Raises NotServed when it cannot be read."""
        rows: list[tuple[bool, str, os.stat_result]] = []
        # By its descriptor: the path may mean another folder by now.
        folder = found.descriptor if os.scandir in os.supports_fd else found.path
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if _hidden(entry.name) or len(rows) >= LISTED:
                        continue
                    try:
                        if entry.is_symlink():
                            self._resolved(found.path / entry.name)
                        status = entry.stat()
                    except (OSError, NotServed):
                        continue  # it has gone, or leads nowhere, or where nobody may look
                    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                        rows.append((not stat.S_ISDIR(status.st_mode), entry.name, status))
        except OSError:
            raise NotServed from None
        return _page(found.parts, sorted(rows, key=lambda row: (row[0], row[1].casefold(), row[1])))


def parts_of(target: bytes) -> tuple[str, ...]:
    """Return the parts of a path below the folder. Raises NotServed for a path that leads out of it."""
    path = os.fsdecode(unquote_to_bytes(target.partition(b"?")[0]))
    if "\0" in path or (os.sep != "/" and (os.sep in path or ":" in path)):
        raise NotServed(400)
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if any(_hidden(part) for part in parts):
        raise NotServed
    return parts


def _hidden(name: str) -> bool:
    """Tell whether a name is nobody's business: ``..``, and files such as .git and .env."""
    return name.startswith(".") and name != ".well-known"


class FileSite:
    """Answers requests with the files of one folder."""

    def __init__(self, root: Path) -> None:
        """Serve this folder."""
        self._folder = Folder(root)

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request. Raises Gone when the visitor leaves, or the file shrinks meanwhile."""
        if exchange.head.method not in (b"GET", b"HEAD"):
            await _short(exchange, 405, [(b"allow", b"GET, HEAD")])
            return
        try:
            found = await asyncio.to_thread(self._folder.open, exchange.head.target)
        except NotServed as error:
            await _short(exchange, error.status)
            return
        try:
            await self._answer(exchange, found)
        except NotServed as error:
            await _short(exchange, error.status)
        finally:
            os.close(found.descriptor)

    async def _answer(self, exchange: Exchange, found: Found) -> None:
        slash = exchange.head.target.partition(b"?")[0].endswith(b"/")
        if not found.is_folder:
            if slash:
                raise NotServed
            await _send(exchange, found)
        elif not slash:
            await _short(exchange, 301, [(b"location", _place(found.parts, exchange.head.target))])
        else:
            await self._folder_answer(exchange, found)

    async def _folder_answer(self, exchange: Exchange, found: Found) -> None:
        index = "/".join(("", *map(_quoted, found.parts), INDEX)).encode()
        try:
            file = await asyncio.to_thread(self._folder.open, index)
        except NotServed:
            page = await asyncio.to_thread(self._folder.listing, found)
            fields = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-cache")]
            await _whole(exchange, 200, fields, page)
            return
        try:
            if file.is_folder:
                raise NotServed
            await _send(exchange, file)
        finally:
            os.close(file.descriptor)


async def _send(exchange: Exchange, file: Found) -> None:
    """Answer with a file, a range of it, or the word that the visitor has it already."""
    fields = [
        (b"last-modified", formatdate(int(file.status.st_mtime), usegmt=True).encode()),
        (b"etag", file.etag.encode()),
        (b"accept-ranges", b"bytes"),
        (b"x-content-type-options", b"nosniff"),
    ]
    asked = {name.lower(): value.decode("latin-1") for name, value in exchange.head.headers}
    verdict = conditions(asked, file.etag, int(file.status.st_mtime))
    if verdict:
        await _whole(exchange, verdict, fields, b"")
        return
    size = file.status.st_size
    span = range_of(asked, size, file.etag, int(file.status.st_mtime))
    if span is None:
        await _whole(exchange, 416, [(b"content-range", b"bytes */%d" % size), *fields], b"")
        return
    first, behind = span
    status = 200 if (first, behind) == (0, size) else 206  # a range that is the whole is the whole
    if status == 206:
        fields.append((b"content-range", b"bytes %d-%d/%d" % (first, behind - 1, size)))
    fields += [
        (b"content-type", type_of(file.path.name).encode()),
        (b"content-length", b"%d" % (behind - first)),
    ]
    await exchange.start(status, fields)
    await _body(exchange, file.descriptor, first, behind)


async def _body(exchange: Exchange, descriptor: int, first: int, behind: int) -> None:
    at = first
    while at < behind and exchange.head.method != b"HEAD":
        piece = await asyncio.to_thread(_read_at, descriptor, min(PIECE, behind - at), at)
        if not piece:
            raise Gone("the file has become shorter while it was sent")
        at += len(piece)
        await exchange.write(piece, more=at < behind)
    if not exchange.complete:
        await exchange.write(b"", more=False)


def _read_at(descriptor: int, size: int, at: int) -> bytes:
    try:
        if hasattr(os, "pread"):
            return os.pread(descriptor, size, at)
        os.lseek(descriptor, at, os.SEEK_SET)  # one visitor, one descriptor: nobody else moves it
        return os.read(descriptor, size)
    except OSError:
        return b""


def conditions(asked: dict[bytes, str], etag: str, modified: int) -> int:
    """Return 304 or 412 where a condition of the request says so, else 0 (RFC 9110 section 13.2.2)."""
    if (given := asked.get(b"if-match")) is not None:
        if given.strip() != "*" and etag not in _tags(given):
            return 412
    elif (date := _date(asked.get(b"if-unmodified-since"))) is not None and modified > date:
        return 412
    if (given := asked.get(b"if-none-match")) is not None:
        weak = {tag.removeprefix("W/") for tag in _tags(given)}
        return 304 if given.strip() == "*" or etag in weak else 0
    date = _date(asked.get(b"if-modified-since"))
    return 304 if date is not None and modified <= date else 0


def range_of(asked: dict[bytes, str], size: int, etag: str, modified: int) -> tuple[int, int] | None:
    """Return the bytes to send, the first and the one behind the last; None where there are none such.

    Several ranges at a time, and what is no range at all, get the whole (RFC 9110 section 14.2).
    """
    text = asked.get(b"range", "")
    if not _is_single(text) or not _if_range(asked.get(b"if-range"), etag, modified):
        return 0, size
    first, _, last = text.strip()[6:].partition("-")
    if not first:
        length = int(last)
        return (max(size - length, 0), size) if length and size else None
    if last and int(last) < int(first):
        return 0, size  # no range at all
    if int(first) >= size:
        return None
    return int(first), min(int(last) + 1, size) if last else size


def _is_single(text: str) -> bool:
    unit, _, rest = text.strip().partition("=")
    first, dash, last = rest.strip().partition("-")
    digits = [part for part in (first, last) if part]
    return (
        unit.lower() == "bytes"
        and bool(dash and digits)
        and all(part.isascii() and part.isdigit() and len(part) <= 18 for part in digits)
    )


def _if_range(given: str | None, etag: str, modified: int) -> bool:
    if given is None:
        return True
    return given.strip() == etag if '"' in given else _date(given) == modified


def _tags(text: str) -> list[str]:
    return [tag.strip() for tag in text.split(",")]


def _date(text: str | None) -> int | None:
    try:
        return None if text is None else int(parsedate_to_datetime(text).timestamp())
    except (ValueError, OverflowError, OSError):
        return None


def type_of(name: str) -> str:
    """Return the content type of a file by its name."""
    kind, encoding = _TYPES.guess_type(name, strict=False)
    if encoding is not None:
        return _ENCODINGS.get(encoding, "application/octet-stream")
    if kind is None:
        return "application/octet-stream"
    spoken = kind.startswith("text/") or kind in ("application/json", "application/javascript")
    return f"{kind}; charset=utf-8" if spoken else kind


async def _whole(exchange: Exchange, status: int, fields: Headers, body: bytes) -> None:
    length = [] if status == 304 else [(b"content-length", b"%d" % len(body))]
    await exchange.start(status, [*fields, *length])
    await exchange.write(body, more=False)


async def _short(exchange: Exchange, status: int, fields: Headers = ()) -> None:
    texts = {301: "moved", 400: "bad request", 404: "not found", 405: "method not allowed"}
    body = texts[status].encode() + b"\n"
    await _whole(exchange, status, [(b"content-type", b"text/plain; charset=utf-8"), *fields], body)


def _place(parts: tuple[str, ...], target: bytes) -> bytes:
    """Return where a folder is: below this host, whatever slashes the visitor has put first."""
    query = target.partition(b"?")
    return "/".join(("", *map(_quoted, parts), "")).encode() + query[1] + query[2]


def _quoted(name: str) -> str:
    return quote(os.fsencode(name), safe="")


def _page(parts: tuple[str, ...], rows: list[tuple[bool, str, os.stat_result]]) -> bytes:
    title = html.escape(_shown("/" + "/".join((*parts, "")) if parts else "/"))
    lines = ['<tr><td><a href="../">../</a></td><td></td><td></td></tr>'] if parts else []
    for is_file, name, status in rows:
        mark = "" if is_file else "/"
        when = datetime.fromtimestamp(status.st_mtime, UTC).strftime("%Y-%m-%d %H:%M")
        size = f"{status.st_size:,}" if is_file else ""
        shown, link = html.escape(_shown(name)) + mark, _quoted(name) + mark
        lines.append(f'<tr><td><a href="./{link}">{shown}</a></td><td>{when}</td><td>{size}</td></tr>')
    body = "\n".join(lines) or "<tr><td>This folder is empty.</td></tr>"
    return _PAGE.format(title=title, rows=body).encode()


def _shown(name: str) -> str:
    """Return a name as text: what is no UTF-8 in it is replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


_PAGE: Final = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:50rem;padding:0 1rem}}
td{{padding:.1rem 1rem .1rem 0}}td:last-child{{text-align:right}}a{{text-decoration:none}}
@media(prefers-color-scheme:dark){{body{{background:#111;color:#ddd}}a{{color:#8bf}}}}</style></head>
<body><h1>{title}</h1><table>
{rows}
</table></body></html>
"""


class FileConnection(HttpConnection):
    """A visitor's connection to the files, which counts its bytes and tells its end."""

    def __init__(self, site: FileSite, log: logging.Logger, on_closed: Callable[[int, int], None]) -> None:
        """Serve a site; ``on_closed`` hears the bytes from and to the visitor."""
        super().__init__(site.handle, log)
        self._on_closed = on_closed
        self._in = self._out = 0

    def data_received(self, data: bytes) -> None:
        """Count, and keep."""
        self._in += len(data)
        super().data_received(data)

    async def write(self, data: bytes) -> None:
        """Count, and send."""
        await super().write(data)
        self._out += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the end."""
        super().connection_lost(exc)
        self._on_closed(self._in, self._out)
