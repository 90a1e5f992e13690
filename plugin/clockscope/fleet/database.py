# SPDX-License-Identifier: MIT
"""Where a fleet's boots are kept: SQLite in one file, or PostgreSQL, through SQLAlchemy 1.4 or 2.0.

Each boot is one transaction: who is killed has added it, or has not. Several may add at once.
"""

import importlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from clockscope.base.errors import UserError
from clockscope.base.ui import cut, one_line

Record = dict[str, Any]
Rows = Iterator[tuple[Any, ...]]

VERSION = "1"
_APPLICATION = 0x436C6B46  # "ClkF"
_TRACE = 0x436C6B53  # "ClkS", schemas/trace.sql
_WAIT_SECONDS = 300  # for others who add
_SCHEMES = ("sqlite", "postgresql", "postgresql+psycopg2")
_TRIES = 10
_BOOT = ("id", "file", "recorded", "os", "release", "build_id", "hypervisor", "cpu", "mode")
"""Columns that are texts."""


def is_url(name: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name) is not None


def _alchemy() -> Any:
    try:
        return importlib.import_module("sqlalchemy")
    except ImportError as error:
        raise UserError("a fleet needs SQLAlchemy for Python; install the package python3-sqlalchemy") from error


class Fleet:
    """Made by `opened`. Rows come as they are kept: who made a database may have put anything into it."""

    def __init__(self, name: str) -> None:
        self._sa = sa = _alchemy()
        self.name = name
        self._url = self._parsed(name)
        self._is_file = self._url.get_backend_name() == "sqlite"
        self._engine = self._made()
        text, key = sa.Text, sa.String(64)
        meta = self._meta = sa.MetaData()
        self.about = sa.Table(
            "fleet_about", meta, sa.Column("key", key, primary_key=True), sa.Column("value", text, nullable=False)
        )
        self.alike = sa.Table(
            "fleet_alike", meta, sa.Column("key", key, primary_key=True), sa.Column("content", text, nullable=False)
        )
        self.way = sa.Table(
            "fleet_way", meta, sa.Column("signature", key, primary_key=True), sa.Column("function", text, nullable=False),
            sa.Column("calls", text, nullable=False),
        )  # fmt: skip
        self.boot = sa.Table(
            "fleet_boot", meta, sa.Column("id", key, primary_key=True),
            *(sa.Column(name, text, nullable=False) for name in _BOOT[1:]),
            sa.Column("alike", key, nullable=False), sa.Column("frequencies", text, nullable=False),
            sa.Column("paths", text, nullable=False),
        )  # fmt: skip
        # All that a table of groups asks for: it is then read from the index alone.
        sa.Index("fleet_boot_alike", *(self.boot.c[one] for one in ("alike", "os", "release", "hypervisor", "cpu")))
        sa.Index("fleet_boot_recorded", *(self.boot.c[one] for one in ("recorded", "id", "alike")))

    # ------------------------------------------------ opening

    def _parsed(self, name: str) -> Any:
        if not is_url(name):
            return self._sa.engine.URL.create("sqlite", database=os.path.abspath(name))
        try:
            url = self._sa.engine.make_url(name)
        except (self._sa.exc.ArgumentError, ValueError) as error:
            raise UserError(
                f"{_shown(name)} is no URL of a database: postgresql://USER@HOST/DATABASE is one"
            ) from error
        if url.drivername not in _SCHEMES:
            raise UserError(
                f"{url.drivername}: no such database is known here; a file's name, or postgresql://… is expected"
            )
        if url.get_backend_name() == "sqlite" and not url.database:
            raise UserError("sqlite:// names no file: give its name")
        return url

    def _made(self) -> Any:
        options: Record = {"timeout": _WAIT_SECONDS} if self._is_file else {"connect_timeout": 10}
        pool = importlib.import_module("sqlalchemy.pool")
        try:
            engine = self._sa.create_engine(self._url, poolclass=pool.NullPool, connect_args=options)
        except ImportError as error:
            raise UserError(
                f"PostgreSQL needs its driver for Python ({error}); install the package python3-psycopg2"
            ) from error
        if self._is_file:
            self._sa.event.listen(engine, "connect", _no_implicit_begin)
        return engine

    @contextmanager
    def transaction(self, *, writes: bool = False) -> Iterator[Any]:
        """A connection in a transaction; UserError for what the database refuses."""
        try:
            with self._engine.connect() as connection, connection.begin():
                if self._is_file:
                    # A reader that came to write later could not wait for another who writes.
                    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
                yield connection
        except self._sa.exc.SQLAlchemyError as error:
            raise UserError(f"{self._name()}: {_reason(error)}") from error

    def _name(self) -> str:
        return _shown(self.name) if is_url(self.name) else one_line(self.name)

    def prepare(self) -> None:
        """Make the tables where there are none, also where another does so at the same time."""
        self._check_file(must=False)
        create = importlib.import_module("sqlalchemy.schema")
        for left in reversed(range(_TRIES)):
            try:
                with self.transaction(writes=True) as connection:
                    if self._is_file:
                        connection.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION}")
                    for table in self._meta.sorted_tables:
                        connection.execute(create.CreateTable(table, if_not_exists=True))
                        for index in sorted(table.indexes, key=lambda one: str(one.name)):
                            connection.execute(create.CreateIndex(index, if_not_exists=True))
                    self._insert(connection, self.about, {"key": "version", "value": VERSION})
                break
            except UserError:  # PostgreSQL's IF NOT EXISTS may fail where two do it at once
                if not left:
                    raise
                time.sleep(0.05 * (_TRIES - left))
        self._check_version()

    def check(self) -> None:
        """UserError where there is no fleet, or one of a newer program's."""
        self._check_file(must=True)
        with self.transaction() as connection:
            there = self._sa.inspect(connection).has_table("fleet_about")
        if not there:
            raise UserError(f"{self._name()} holds no fleet: `fleet add` makes one")
        self._check_version()

    def _check_version(self) -> None:
        rows = list(self.rows(self._sa.select(self.about.c.value).where(self.about.c.key == "version")))
        if [row[0] for row in rows] != [VERSION]:
            raise UserError(
                f"{self._name()} was made by another clockscope, which keeps a fleet otherwise: use that one"
            )

    def _check_file(self, must: bool) -> None:
        path = self._url.database if self._is_file else None
        if path is None:
            return
        try:
            with open(path, "rb") as file:
                head = file.read(72)
        except FileNotFoundError as error:
            if must:
                raise UserError(f"{self._name()}: there is no such file; `fleet add` makes one") from error
            return
        except OSError as error:
            raise UserError(f"{self._name()}: cannot be read ({error.strerror})") from error
        application = int.from_bytes(head[68:72], "big")
        if application == _TRACE:
            raise UserError(f"{self._name()} is a trace: name the fleet's database first, then the traces")
        if head and (not head.startswith(b"SQLite format 3\0") or application not in (0, _APPLICATION)):
            raise UserError(f"{self._name()} is no fleet's database")

    # ------------------------------------------------ writing

    def has(self, boot: str) -> bool:
        return bool(list(self.rows(self._sa.select(self.boot.c.id).where(self.boot.c.id == boot))))

    def add(self, boots: Sequence[Record]) -> int:
        """In one transaction; how many of them were new."""
        ways = {signature: way for boot in boots for signature, way in boot["ways"].items()}
        groups = {boot["key"]: boot["alike"] for boot in boots}
        with self.transaction(writes=True) as connection:
            # In one order for all who add, or two would wait for each other.
            for key in sorted(groups):
                self._insert(connection, self.alike, {"key": key, "content": json.dumps(groups[key])})
            for signature in sorted(ways):
                function, calls = ways[signature]
                row = {"signature": signature, "function": function, "calls": json.dumps(calls)}
                self._insert(connection, self.way, row)
            return sum(
                self._insert(connection, self.boot, row_of(boot))
                for boot in sorted(boots, key=lambda one: str(one["id"]))
            )

    def _insert(self, connection: Any, table: Any, row: Record) -> int:
        """0 where it is there already."""
        dialect = importlib.import_module(f"sqlalchemy.dialects.{self._url.get_backend_name()}")
        return int(connection.execute(dialect.insert(table).values(**row).on_conflict_do_nothing()).rowcount)

    # ------------------------------------------------ reading

    def rows(self, query: Any) -> Rows:
        """Piece by piece: there may be more than memory holds."""
        with self.transaction() as connection:
            for row in connection.execution_options(stream_results=True, max_row_buffer=1000).execute(query):
                yield tuple(row)

    def count(self) -> int:
        return next(int(row[0]) for row in self.rows(self._sa.select(self._sa.func.count()).select_from(self.boot)))

    def groups(self, limit: int) -> list[tuple[str, int]]:
        """Those of which there are most, and how many boots are in each."""
        sa, column = self._sa, self.boot.c.alike
        many = sa.func.count().label("many")
        query = sa.select(column, many).group_by(column).order_by(many.desc(), column).limit(limit)
        return [(str(key), int(count)) for key, count in self.rows(query)]

    def group_count(self) -> int:
        distinct = self._sa.func.count(self._sa.distinct(self.boot.c.alike))
        return next(int(row[0]) for row in self.rows(self._sa.select(distinct)))

    def contents(self, keys: Sequence[str]) -> Iterator[tuple[str, str]]:
        query = self._sa.select(self.alike.c.key, self.alike.c.content).where(self.alike.c.key.in_(keys))
        return ((str(key), str(content)) for key, content in self.rows(query))

    def spread(self, column: str, limit: int, keys: Sequence[str]) -> Iterator[tuple[str, str, int]]:
        """Group, content of a column, and how many boots; of each group those of which there are most come first."""
        sa, one = self._sa, self.boot.c[column]
        many = sa.func.count().label("many")
        query = (
            sa.select(self.boot.c.alike, one, many)
            .group_by(self.boot.c.alike, one)
            .order_by(many.desc(), one)
            .limit(limit)
        )
        query = query.where(self.boot.c.alike.in_(keys))
        return ((str(key), str(value), int(count)) for key, value, count in self.rows(query))

    def having(self, column: str, value: str) -> int:
        """How many boots have it."""
        query = self._sa.select(self._sa.func.count()).where(self.boot.c[column] == value)
        return next(int(row[0]) for row in self.rows(query))

    def of_group(self, key: str, columns: Sequence[str], limit: int | None = None) -> Rows:
        query = self._sa.select(*(self.boot.c[name] for name in columns)).where(self.boot.c.alike == key)
        return self.rows(query if limit is None else query.order_by(self.boot.c.id).limit(limit))

    def in_order(self, columns: Sequence[str]) -> Rows:
        """Of each boot, in the order in which they were recorded."""
        return self.rows(
            self._sa.select(*(self.boot.c[name] for name in columns)).order_by(self.boot.c.recorded, self.boot.c.id)
        )

    def ways(self, signatures: Sequence[str]) -> dict[str, str]:
        query = self._sa.select(self.way.c.signature, self.way.c.calls).where(self.way.c.signature.in_(signatures))
        return {str(signature): str(calls) for signature, calls in self.rows(query)}


def row_of(boot: Record) -> Record:
    """As fleet_boot keeps it."""
    kept = {name: boot[name] for name in _BOOT}
    return {
        **kept,
        "alike": boot["key"],
        "frequencies": json.dumps(boot["frequencies"]),
        "paths": json.dumps(boot["paths"]),
    }


def _no_implicit_begin(connection: Any, _record: object) -> None:
    """Python's sqlite3 would begin by itself, and not in the way that is meant."""
    connection.isolation_level = None
    connection.execute("PRAGMA trusted_schema = OFF")


def _shown(url: str) -> str:
    """Without its password."""
    return one_line(re.sub(r"(://[^/@:]*):[^@]*@", r"\1:***@", url))


def _reason(error: Exception) -> str:
    said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return cut(one_line(said), 300) or type(error).__name__


def opened(name: str, *, make: bool = False) -> Fleet:
    fleet = Fleet(name)
    if make:
        fleet.prepare()
    else:
        fleet.check()
    return fleet
