"""Drive a headless Chromium over its DevTools protocol, through a pipe: no package and no port is needed."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHROMIUM = shutil.which("chromium")
_PATIENCE_S = 60.0


class Browser:
    """One tab."""

    def __init__(self, profile: Path, width: int = 1280, height: int = 900) -> None:
        reads, self._out = os.pipe()
        self._in, writes = os.pipe()
        flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
        ]
        # Chromium reads commands from file descriptor 3 and answers on 4.
        command = f'exec "$0" "$@" 3<&{reads} 4>&{writes}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, str(CHROMIUM), *flags, "about:blank"],
            pass_fds=(reads, writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)
        self._buffer, self._number, self._session = b"", 0, ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Page.enable")
        self.size(width, height)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def size(self, width: int, height: int, mobile: bool = False) -> None:
        """Set the size of the window."""
        values = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self._call("Emulation.setDeviceMetricsOverride", **values)

    def dark(self) -> None:
        """Ask pages to be dark."""
        dark = {"name": "prefers-color-scheme", "value": "dark"}
        self._call("Emulation.setEmulatedMedia", features=[dark])

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is there with its pictures."""
        self._call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def eval(self, expression: str) -> Any:
        """Evaluate JavaScript from outside the page, which its own policy does not bind."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + _PATIENCE_S
        while not self.eval(expression):
            assert time.monotonic() < end, f"never: {expression}"
            time.sleep(0.05)

    def fill(self, selector: str, text: str) -> None:
        """Type into a field."""
        self.eval(f"document.querySelector({selector!r}).value = {text!r}")

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file to upload."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def click(self, selector: str) -> None:
        """Click on something."""
        self.eval(f"document.querySelector({selector!r}).click()")

    def click_through(self, selector: str) -> None:
        """Click on something that leads to another page, and wait for that."""
        self.eval("window.before = true")
        self.click(selector)
        self.until("window.before === undefined && document.readyState === 'complete'")

    @property
    def text(self) -> str:
        """What a person reads."""
        return str(self.eval("document.body.innerText"))

    def screenshot(self, path: Path) -> None:
        """Keep what is on the screen as PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _PATIENCE_S
        while True:
            answer = json.loads(self._read(end))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _read(self, end: float) -> bytes:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            self._buffer += os.read(self._in, 1 << 20)
        line, _, self._buffer = self._buffer.partition(b"\0")
        return line
