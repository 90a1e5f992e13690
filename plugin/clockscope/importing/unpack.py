# SPDX-License-Identifier: MIT
"""A log's bytes as text: unpacked, and decoded, whatever they are. Pure but for `zstd`; bounded, for a file may be a bomb."""

import bz2
import lzma
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from clockscope.base.errors import UserError

LOG_MAX = 64 << 20
"""More bytes than any log of a boot has, unpacked."""
_LAYERS_MAX = 3
_PIECE = 1 << 16
_SAMPLE = 1 << 12

# What begins so is no log, and what to do about it.
_OTHERS = (
    (b"LPKSHHRH", 0, "it is a systemd journal; give what journalctl --file FILE -k -o short-monotonic prints"),
    (b"SQLite format 3\0", 0, "no boot of a known kernel begins here: it is a database, such as a trace"),
    (b"\x7fELF", 0, "it is an ELF file; of a crash dump, give what its dmesg prints"),
    (b"PK\x03\x04", 0, "it is a zip archive; unpack it first"),
    (b"\x04\x22\x4d\x18", 0, "it is packed by lz4; unpack it first"),
    (b"\x89LZO", 0, "it is packed by lzop; unpack it first"),
    (b"ustar", 257, "it is a tar archive; unpack it first"),
)
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
# What a terminal obeys and no kernel means: escape sequences, also as pagers, shells and rsyslog write them or leave
# them behind, and all other control characters.
_LEAD = r"(?:\x1b|\^\[|\\033|\\e|\\x1b|\\u001b|#033|(?<!\w)ESC)"
_ESCAPE = re.compile(
    rf"{_LEAD}\[[0-9;?]{{0,32}}[ -/]?[@-~]|\x9b[0-9;?]{{0,32}}[@-~]|\x1b\][^\x07\x1b\n]{{0,256}}(?:\x07|\x1b\\)|\x1b[ -/]?[0-Z\\-~]"
    r"|\[(?:[0-2479]|[349][0-79]|22|\d{1,3}(?:;\d{1,3}){1,6})m"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffd]")


@dataclass(frozen=True)
class Text:
    content: str  # lines end by \n
    stray: int  # bytes that are no text, and were left out


def unpack(content: bytes, name: str) -> bytes:
    """A file's content without gzip, xz, bzip2, zstd around it; `name` is the file's, for messages."""
    for _ in range(_LAYERS_MAX):
        method = next((each for magic, each in _METHODS if content.startswith(magic)), None)
        if method is None:
            break
        try:
            content = method(content)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise UserError(f"{name}: it is packed, and damaged ({error})") from error
        if len(content) > LOG_MAX:
            raise UserError(f"{name}: more than {LOG_MAX >> 20} MiB unpacked, which no boot prints")
    for magic, offset, said in _OTHERS:
        if content[offset : offset + len(magic)] == magic:
            raise UserError(f"{name}: {said}")
    return content


def decode(content: bytes) -> Text:
    """Bytes as text, by their mark or their look; what is no text, and what only a terminal obeys, is left out."""
    text, stray = _decoded(content)
    text = re.sub(r"(?<!\r)\r+\n", "\n", text)
    if text.count("\r") > text.count("\n"):
        text = text.replace("\r", "\n")
    text = _ESCAPE.sub("", text)
    return Text(_CONTROL.sub("", text), stray)


def _decoded(content: bytes) -> tuple[str, int]:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _by(content[len(mark) :], encoding)
    sample = content[:_SAMPLE]
    # Text that is mostly ASCII has a zero in every other byte, in one order or the other.
    odd, even = sample[1::2].count(0), sample[::2].count(0)
    if len(sample) > 8 and max(odd, even) * 4 > len(sample) and min(odd, even) * 20 < len(sample):
        return _by(content, "utf-16-le" if odd > even else "utf-16-be")
    return _by(content, "utf-8")


def _by(content: bytes, encoding: str) -> tuple[str, int]:
    text = content.decode(encoding, "replace")
    return text, text.count("\ufffd")


def _deflated(content: bytes) -> bytes:
    """All members of a gzip file; one that ends early as far as it goes."""
    found = bytearray()
    while content.startswith(b"\x1f\x8b") and len(found) <= LOG_MAX:
        member = zlib.decompressobj(wbits=31)
        found += member.decompress(content, LOG_MAX + 1 - len(found))
        content = member.unused_data.lstrip(b"\0")
    return bytes(found)


def _by_module(start: Callable[[], "lzma.LZMADecompressor | bz2.BZ2Decompressor"]) -> Callable[[bytes], bytes]:
    def unpacked(content: bytes) -> bytes:
        found = bytearray()
        while content and len(found) <= LOG_MAX:
            stream = start()
            while not stream.eof and len(found) <= LOG_MAX:
                piece = stream.decompress(content, _PIECE)
                content = b""
                if not piece and stream.needs_input:
                    break  # it ends early
                found += piece
            content = stream.unused_data.lstrip(b"\0")
        return bytes(found)

    return unpacked


def _by_zstd(content: bytes) -> bytes:
    """Python has no zstd of its own before 3.14."""
    program = shutil.which("zstd")
    if program is None:
        raise OSError("by zstd, and the program zstd is not installed")
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        command = [program, "-dcq", "--memory=256MB"]
        with subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as made:
            found = made.stdout.read(LOG_MAX + 1) if made.stdout else b""
            made.kill()  # what is left is more than a log has
    if not found:
        raise OSError("zstd cannot read it")
    return found


_METHODS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", _deflated),
    (b"\xfd7zXZ\x00", _by_module(lambda: lzma.LZMADecompressor(memlimit=256 << 20))),
    (b"BZh", _by_module(bz2.BZ2Decompressor)),
    (b"\x28\xb5\x2f\xfd", _by_zstd),
)
