# SPDX-License-Identifier: MIT
"""A real Chromium, driven by playwright-core in a Node process (browser.mjs)."""

import json
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from guest import ROOT

_HINT = "run `make -f setup.mk test-packages build`"


class Browser:
    """One page at a time. Each method returns when it is done; what fails in the browser fails the test."""

    def __init__(self) -> None:
        chromium, node = shutil.which("chromium"), shutil.which("node")
        if chromium is None or node is None or not (ROOT / "node_modules" / "playwright-core").is_dir():
            pytest.fail(f"chromium, node or playwright-core is missing: {_HINT}", pytrace=False)
        self._process = subprocess.Popen(
            [node, str(ROOT / "plugin" / "tests" / "support" / "browser.mjs"), chromium],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Browser":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)

    def _ask(self, verb: str, **rest: object) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"verb": verb, **rest}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the browser ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def open(
        self, path: Path, *, width: int = 1280, height: int = 900, scheme: str = "light", place: str = ""
    ) -> float:
        """Open a file; the milliseconds until it was drawn."""
        took: float = self._ask("open", url=path.as_uri() + place, width=width, height=height, scheme=scheme)
        return took

    def complaints(self) -> list[str]:
        """What the page wrote to the console, threw, or asked of a network."""
        said: list[str] = self._ask("complaints")
        return said

    def evaluate(self, expression: str) -> Any:
        return self._ask("evaluate", expression=expression)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that match, as they are shown; of those not drawn yet, as they are."""
        shown: list[str] = self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(one => (one.innerText || one.textContent).trim())"
        )
        return shown

    def press(self, *keys: str) -> None:
        self._ask("press", keys=keys)

    def type(self, text: str) -> None:
        self._ask("type", text=text)

    def click(self, selector: str, at: tuple[float, float] | None = None) -> None:
        self._ask("click", selector=selector, **({"x": at[0], "y": at[1]} if at else {}))

    def wheel(self, selector: str, delta: int, at: tuple[float, float]) -> None:
        """Turn the wheel with Ctrl held."""
        self._ask("wheel", selector=selector, delta=delta, x=at[0], y=at[1])

    def wait(self, expression: str) -> None:
        """Until an expression is true; ten seconds at most."""
        self._ask("wait", expression=expression)

    def media(self, medium: str, scheme: str = "light") -> None:
        """Show the page as on "screen" or in "print"."""
        self._ask("media", medium=medium, scheme=scheme)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        self._ask("screenshot", path=str(path), whole=whole)

    def pdf(self, path: Path) -> None:
        self._ask("pdf", path=str(path))
