# SPDX-License-Identifier: MIT
"""Prints schemas/trace.sql as C: its text, and what each row of its tables must be like (c-ext/core/trace/schema.h).

Made at build time, because SQLite takes milliseconds to read the schema and to tell of it.
"""

import re
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

OF_INVOCATION = (
    "EXISTS (SELECT 1 FROM main.invocation i JOIN main.{other} o ON o.function = i.function"
    " AND o.{key} = {table}.{column} WHERE i.id = {table}.invocation)"
)
BLOCK_OF = "EXISTS (SELECT 1 FROM main.block b WHERE b.function = {table}.function AND b.number = {table}.{column})"
NO_BLOCK = "names a block that its function does not have"

STEPS_BLOCK = OF_INVOCATION.format(table="step", other="block", key="number", column="block")

# References of more than one step, which SQL cannot say. They hold only where each step does: the table's own keys
# would cost a look more for each row.
REFERENCES = {
    "edge": [(BLOCK_OF.format(table="edge", column=column), NO_BLOCK) for column in ("source", "target")],
    "instruction": [(BLOCK_OF.format(table="instruction", column="block"), NO_BLOCK)],
    "probe": [(BLOCK_OF.format(table="probe", column="block"), NO_BLOCK)],
    "step": [(f"block IS NULL OR {STEPS_BLOCK}", NO_BLOCK)],
    "gap_block": [
        (OF_INVOCATION.format(table="gap_block", other="block", key="number", column="block"), NO_BLOCK),
    ],
    "window_pass": [
        (
            OF_INVOCATION.format(table="window_pass", other="window", key="number", column="window"),
            "names a window that its function does not have",
        )
    ],
    "decision": [
        (
            OF_INVOCATION.format(table="decision", other="instruction", key="address", column="address"),
            "names an instruction that its function does not have",
        )
    ],
}

TABLES = """\
SELECT t.name, t.wr, s.sql FROM pragma_table_list AS t JOIN sqlite_schema AS s USING (name)
WHERE t.schema = 'main' AND t.type = 'table' ORDER BY t.name"""

COLUMNS = """\
SELECT name, type, NOT "notnull" AND NOT pk, coalesce(dflt_value, ''), pk AND type = 'INTEGER'
FROM pragma_table_xinfo(?) ORDER BY cid"""

# For each foreign key: the table that is meant, and a condition that joins it.
KEYS = """\
SELECT "table", group_concat(printf('p."%w" = "%w"."%w"', "to", ?1, "from"), ' AND ')
FROM pragma_foreign_key_list(?1) GROUP BY id"""

TOKEN = re.compile(r"--[^\n]*|'[^']*'|\"[^\"]*\"|\w+|.", re.DOTALL)

Rule = tuple[str, str]
"""An expression of the row's columns; what is wrong with a row of which it does not hold."""


def checks(sql: str) -> Iterator[Rule]:
    """The CHECKs in a table's SQL. SQLite itself has no pragma that tells of them."""
    tokens = list(TOKEN.finditer(sql))
    for place, token in enumerate(tokens):
        if token[0] != "CHECK":
            continue
        depth = 0
        begin = next(later for later in tokens[place:] if later[0] == "(").start()
        for later in tokens[place + 1 :]:
            depth += (later[0] == "(") - (later[0] == ")")
            if later[0] == ")" and not depth:
                yield sql[begin : later.end()], f"is not {sql[begin + 1 : later.start()]}"
                break


def keys(schema: sqlite3.Connection, table: str) -> Iterator[Rule]:
    for parent, condition in schema.execute(KEYS, [table]):
        yield f'EXISTS (SELECT 1 FROM main."{parent}" p WHERE {condition})', f"names no row of {parent}"


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def print_array(kind: str, name: str, rows: list[str]) -> None:
    if rows:
        print(f"static const struct {kind} {name}[] = {{", *(f"\t{{{row}}}," for row in rows), "};", sep="\n")


def print_table(schema: sqlite3.Connection, name: str, has_no_rowid: bool, sql: str) -> str:
    """Prints what it consists of; the table itself."""
    columns = schema.execute(COLUMNS, [name]).fetchall()
    rules = [*checks(sql), *(REFERENCES.get(name) or keys(schema, name))]
    print_array(
        "schema_column",
        f"{name}_columns",
        [
            f"{quoted(column)}, {quoted(kind)}, {nullable}, {quoted(standard)}"
            for column, kind, nullable, standard, _ in columns
        ],
    )
    print_array("schema_rule", f"{name}_rules", [f"{quoted(rule)}, {quoted(words)}" for rule, words in rules])
    numbered = not has_no_rowid and not any(is_rowid for *_, is_rowid in columns)
    rules_name = f"{name}_rules" if rules else "NULL"
    return f"{quoted(name)}, {name}_columns, {len(columns)}, {rules_name}, {len(rules)}, {int(numbered)}"


def main(path: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    schema = sqlite3.connect(":memory:")
    schema.executescript(text)
    print(
        "static const char trace_sql[] =",
        *(f"\t{quoted(line)}" for line in text.splitlines(keepends=True)),
        ";",
        sep="\n",
    )
    for pragma in ("application_id", "user_version"):
        print(f"enum {{ trace_sql_{pragma} = {schema.execute(f'PRAGMA {pragma}').fetchone()[0]} }};")
    tables = schema.execute(TABLES).fetchall()
    print_array("schema_table", "trace_tables", [print_table(schema, *table) for table in tables])
    indices = [
        sql for (sql,) in schema.execute("SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
    ]
    print("static const char trace_indices[] =", *(f"\t{quoted(text)}" for text in ["; ".join(indices)]), ";", sep="\n")
    names = [name for name, *_ in tables]
    print("static const char trace_names[] =", f"\t{quoted('|' + '|'.join(names) + '|')}", ";", sep="\n")


if __name__ == "__main__":
    main(sys.argv[1])
