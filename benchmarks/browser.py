"""A headless Chromium that is spoken to through two pipes, without a library."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
_LIMIT = 60.0  # seconds for a page to say that it is ready


def chromium() -> str | None:
    """Return where a Chromium is, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One window of a browser of its own; use it in a `with` statement.

    Args:
        width: Of the window in pixels.
        height: Likewise.
    """

    def __init__(self, width: int = 1280, height: int = 900) -> None:
        self.size = width, height
        self._asked = 0
        self._held = b""

    def __enter__(self) -> Browser:
        program = chromium()
        if program is None:
            raise FileNotFoundError(f"None of {', '.join(NAMES)} is installed; install chromium.")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        flags = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
            "--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars",
            f"--user-data-dir={self._profile.name}",
        ]  # fmt: skip
        command = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(  # Chromium reads from 3 and writes to 4
            ["bash", "-c", command, program, *flags, "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        self.tell("Page.enable")
        self._resize(*self.size)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self.ask("Browser.close")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        if self._process.poll() is None:
            self._process.kill()
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()

    def ask(self, method: str, session: str | None = None, **values: Any) -> dict[str, Any]:
        """Send one command of the DevTools protocol and return what it answers."""
        self._asked += 1
        message: dict[str, Any] = {"id": self._asked, "method": method, "params": values}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._asked:
                if "error" in answer:
                    raise OSError(answer["error"]["message"])
                return dict(answer["result"])

    def tell(self, method: str, **values: Any) -> dict[str, Any]:
        """Send a command to the page."""
        return self.ask(method, self._session, **values)

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        found = self.tell("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    def open(self, page: Path, *, ready: str, dark: bool = False) -> float:
        """Open a file and return the seconds until the expression `ready` is true in it."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.tell("Emulation.setEmulatedMedia", features=scheme)
        began = time.perf_counter()
        self.tell("Page.navigate", url=page.absolute().as_uri())
        while not self.run(ready):
            if time.perf_counter() - began > _LIMIT:
                raise TimeoutError(f"{page} was not ready after {_LIMIT:g} s.")
            time.sleep(0.01)
        return time.perf_counter() - began

    def picture(self, path: Path, clip: tuple[int, int] | None = None) -> None:
        """Save a PNG of the page, whole or from `clip[0]` to `clip[1]` pixels down."""
        height = int(self.run("document.documentElement.scrollHeight"))
        self._resize(self.size[0], height)
        time.sleep(0.6)
        top, bottom = clip or (0, height)
        area = {"x": 0, "y": top, "width": self.size[0], "height": bottom - top, "scale": 1}
        found = self.tell("Page.captureScreenshot", format="png", clip=area)
        path.write_bytes(base64.b64decode(found["data"]))
        self._resize(*self.size)

    def _resize(self, width: int, height: int) -> None:
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._held:
            part = os.read(self._in, 1 << 20)
            if not part:
                raise OSError("Chromium ended.")
            self._held += part
        message, _, self._held = self._held.partition(b"\0")
        return dict(json.loads(message))
