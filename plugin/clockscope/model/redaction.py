# SPDX-License-Identifier: MIT
"""What of a trace's texts is its owner's own, and what stands for it where the trace is shown around.

The same text always becomes the same: two redacted traces compare as the two that they were made of. A hash is no secret
where what it stands for can be guessed; a salt that only the owner knows keeps it one.
"""

import hashlib
import itertools
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from clockscope._core import Trace
from clockscope.model import known_words
from clockscope.profiles import reading

COMMAND_LINE, PATHS, BUILDER, SYMBOLS = KINDS = ("command-line", "paths", "builder", "symbols")

_MARK = "redacted-"
_IDENTIFIER = r"[A-Za-z_$][\w$]*"
_AT_HOST = re.compile(r"(?<![^\s()<>,;:\"'@\[\]])[^\s()<>,;:\"'@\[\]]+@[^\s()<>,;:\"'@/\[\]]+")
_LINUX_BUILDER = re.compile(r"^Linux version \S+ \(([^()]*)\)")
_ABSOLUTE = re.compile(r"(?<![\w.])(?:~|\.\.)?(?:/[\w.+@%~=-]*[\w+@%~=-]){2,}/?")
_CODE = re.compile(rf"//.*|/\*.*?(?:\*/|$)|^\s*\*.*|\"(?:[^\"\\]|\\.)*(?:\"|$)|(?<![\w$]){_IDENTIFIER}")
_KEYWORDS = frozenset(
    "auto bool break case char const continue default do double else enum extern false float for goto if inline int long"
    " NULL register restrict return short signed sizeof static struct switch true typedef union unsigned void volatile while".split()
)
_TOPS = frozenset(
    "arch block certs crypto drivers external fs include init io_uring ipc kernel lib mm net rust security sound sys virt".split()
)
"""What lies at the top of a kernel's source."""
_WORDS_MAX = 256  # of a text that is anyone's
_VALUE_MIN, _WORD_MIN = 6, 8  # shorter words of a command line stand elsewhere by chance


@dataclass
class Redactor:
    """Texts of one trace, redacted. `done` counts what was."""

    keep: frozenset[str]
    salt: bytes
    names: frozenset[str]
    """Of the profile."""
    words: reading.Words
    roots: tuple[str, ...]
    """Folders that kernel sources lie in, with a slash at their end."""
    symbols: frozenset[str] = frozenset()
    phrases: Mapping[str, str] = field(default_factory=dict)
    """Texts that are redacted wherever they are quoted, and their kinds."""
    done: dict[str, set[str]] = field(default_factory=lambda: {kind: set() for kind in KINDS})

    def __post_init__(self) -> None:
        self._quoted = _pattern(self.phrases)
        self._named = re.compile(rf"(?<![\w$]){_IDENTIFIER}")

    # ------------------------------------------------ whole columns

    def symbol(self, name: str) -> str:
        """A function's or variable's name, its compiler's suffix aside; "f+0x12" too."""
        if SYMBOLS in self.keep or not name or self.is_known(name):
            return name
        base, rest = _split(name)
        self.done[SYMBOLS].add(base)
        return f"sym_{self._digest(base)}{rest}"

    def is_known(self, name: str) -> bool:
        base, _ = _split(name)
        return base in self.names or base in ("", "??") or self.words.is_through(base) or self.words.is_beyond(base)

    def symbol_list(self, text: str) -> str:
        """Names and globs with commas between them; each its own."""
        return re.sub(r"[\w$.]+", lambda match: self.symbol(match[0]) if _is_name(match[0]) else match[0], text)

    def path(self, path: str) -> str:
        """Of a file: what lies in a kernel's source keeps its place there."""
        if PATHS in self.keep or not _is_abroad(path):
            return path
        for root in self.roots:
            if path.startswith(root) and path[len(root) :].partition("/")[0] in _TOPS:
                self.done[PATHS].add(path)
                return path[len(root) :]
        self.done[PATHS].add(path)
        return f"{_MARK}{self._digest(path)}{posixpath.splitext(path)[1] if len(path) < 4096 else ''}"

    def whole(self, kind: str, text: str) -> str:
        """A text that is redacted altogether."""
        if kind in self.keep or not text:
            return text
        self.done[kind].add(text)
        return _MARK + self._digest(text)

    # ------------------------------------------------ free text

    def text(self, text: str) -> str:
        """What a kernel or a tool said: what it quotes is redacted."""
        if self._quoted is not None:
            text = self._quoted.sub(lambda match: self.whole(self.phrases[match[0]], match[0]), text)
        if BUILDER not in self.keep:
            text = _AT_HOST.sub(lambda match: self._builder(match[0]), text)
        if PATHS not in self.keep:
            text = _ABSOLUTE.sub(lambda match: self.path(match[0]), text)
        if SYMBOLS not in self.keep and self.symbols:
            text = self._named.sub(lambda match: self._mentioned(match[0]), text)
        return text

    def code(self, text: str) -> str:
        """A source line of one's own function: its names, texts and comments redacted, what it computes left to be seen."""
        if SYMBOLS in self.keep:
            return text
        return _CODE.sub(lambda match: self._token(match[0]), text)

    def _token(self, token: str) -> str:
        if _is_name(token):
            return token if token in _KEYWORDS else self.symbol(token)
        return self.whole(SYMBOLS, token) if token.lstrip().startswith(("/", '"', "*")) else token

    def _builder(self, text: str) -> str:
        return text if _MARK in text else self.whole(BUILDER, text)

    def _mentioned(self, name: str) -> str:
        return self.symbol(name) if name in self.symbols else name

    def blob(self, data: bytes) -> bytes:
        """Bytes of registers, in which a text may lie: as many zeros instead."""
        for phrase in self.phrases:
            data = data.replace(phrase.encode("utf-8", "replace"), bytes(len(phrase.encode("utf-8", "replace"))))
        return data

    def _digest(self, text: str) -> str:
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6, key=self.salt).hexdigest()


def _split(name: str) -> tuple[str, str]:
    """ "f" and ".part.0+0x12" """
    match = re.match(r"[^.+ ]*", name)
    end = match.end() if match else len(name)
    return name[:end], name[end:]


def _is_name(text: str) -> bool:
    return re.match(_IDENTIFIER, text) is not None


def _is_abroad(path: str) -> bool:
    """Whether a path says where on someone's machine it is."""
    return path.startswith(("/", "~")) or posixpath.normpath(path).startswith("../")


def _pattern(phrases: Iterable[str]) -> "re.Pattern[str] | None":
    """Finds these, the longest first, where they are words."""
    found = sorted(phrases, key=lambda one: (-len(one), one))
    if not found:
        return None
    first = "".join(map(re.escape, sorted({one[0] for one in found})))  # tried first: there are many, and long texts
    return re.compile(rf"(?<!\w)(?=[{first}])(?:{'|'.join(map(re.escape, found))})(?!\w)")


# ---------------------------------------------------------------- what a trace has


def of_trace(trace: Trace, keep: Iterable[str] = (), salt: str = "") -> Redactor:
    meta = trace.meta()
    kept = frozenset(keep)
    expected = {row["function"] for row in trace.rows("SELECT DISTINCT function FROM expectation")}
    names = known_words.names() | {_split(name)[0] for name in expected}
    key = hashlib.sha256(salt.encode("utf-8", "replace")).digest() if salt else b""
    blank = Redactor(kept, key, names, reading.of({key[6:]: meta[key] for key in meta if key.startswith("guest.")}), ())
    symbols = {name for name in _symbols(trace) if not blank.is_known(name)}
    protected = names | _clocks(trace)
    return Redactor(
        kept,
        key,
        names,
        blank.words,
        tuple(_roots(trace)),
        frozenset(_split(name)[0] for name in symbols) - protected,
        {one: kind for one, kind in _phrases(meta, kept) if one not in protected},
    )


_NAMED = """
SELECT function AS name FROM event UNION SELECT function FROM frame UNION SELECT function FROM counter
UNION SELECT name FROM function UNION SELECT inlined FROM instruction UNION SELECT caller_name FROM invocation
UNION SELECT function FROM intervention
"""


def _symbols(trace: Trace) -> Iterator[str]:
    for row in trace.rows(_NAMED):
        yield row["name"]
    for row in trace.rows("SELECT DISTINCT within FROM expectation WHERE within <> ''"):
        yield from re.findall(r"[\w$.]+", row["within"])


def _clocks(trace: Trace) -> set[str]:
    """No name of a clock is anyone's own."""
    rows = trace.rows(
        "SELECT clock AS name FROM event UNION SELECT text FROM event_value WHERE name IN ('name', 'kind', 'replaced')"
    )
    return {row["name"] for row in rows if row["name"]}


def _phrases(meta: Mapping[str, str], keep: frozenset[str]) -> Iterator[tuple[str, str]]:
    """What may be quoted elsewhere: a command line and its words, who built the kernel and where."""
    line = meta.get("guest.command_line", "").strip()
    if COMMAND_LINE not in keep and line:
        yield from ((one, COMMAND_LINE) for one in (line, *itertools.islice(_telling(line), _WORDS_MAX)))
    if BUILDER not in keep:
        yield from ((one, BUILDER) for one in itertools.islice(_builders(meta.get("guest.banner", "")), _WORDS_MAX))


def _telling(line: str) -> Iterator[str]:
    """The words of a command line that are more than a keyword of the kernel's."""
    for word in line.replace('"', " ").split():
        key, equals, value = word.partition("=")
        if equals and value:
            yield word
            yield from (one for one in re.split(r"[,:]", value) if len(one) >= _VALUE_MIN and not one.isdecimal())
        elif len(word) >= _WORD_MIN:
            yield word


def _builders(banner: str) -> Iterator[str]:
    found = [match[0] for match in _AT_HOST.finditer(banner)]
    linux = _LINUX_BUILDER.match(banner)
    for one in [*found, *([linux[1]] if linux and linux[1] else [])]:
        yield one
        yield from (part for part in one.split("@") if len(part) >= _VALUE_MIN)


def _roots(trace: Trace) -> list[str]:
    """Where kernel sources lie, as the files tell that lie in folders known to be there."""
    files = {
        row["file"]
        for row in trace.rows(
            "SELECT file FROM event UNION SELECT file FROM frame UNION SELECT file FROM function UNION SELECT file FROM instruction"
        )
    }
    known = known_words.folders() | {posixpath.dirname(file) for file in files if file.partition("/")[0] in _TOPS}
    known = frozenset(folder for folder in known if "/" in folder and folder.partition("/")[0] in _TOPS)
    ends: Callable[[str], Iterator[str]] = lambda folder: (
        folder[: -len(one)] for one in known if folder.endswith(f"/{one}")
    )
    roots = {root for file in files if _is_abroad(file) for root in ends(posixpath.dirname(file))}
    return sorted(roots, key=lambda root: (len(root), root))
