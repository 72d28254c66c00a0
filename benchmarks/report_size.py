"""How large the report of a large study is, and how soon it opens.

    python -m benchmarks.report_size [--rounds 5]

50 candidates × 10 seeds × 10,000 test examples × 10 classes, with simple opponents, tuning and
concerns; goals: under 10 MB, and open in under 2 s in a headless Chromium. Where none is installed
only size and writing are measured.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from assay.report import page
from benchmarks.browser import Browser, chromium
from benchmarks.common import machine, save

sys.path.append(str(Path(__file__).parents[1] / "tests" / "report"))
GOAL_BYTES, GOAL_SECONDS = 10_000_000, 2.0
READY = 'document.documentElement.dataset.ready === "yes"'  # tables there, charts can be drawn
TIMES = """(() => {
  const page = performance.getEntriesByType("navigation")[0];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const before = performance.now();
  dispatchEvent(new Event("beforeprint"));  // draws every chart
  return JSON.stringify({
    "first painted": paint ? paint.startTime : null,
    "whole page read": page.domContentLoadedEventEnd,
    "all charts drawn": performance.now() - before,
  });
})()"""


def opened(file: Path) -> dict[str, float]:
    """Return what a fresh browser takes to open a page, in seconds."""
    with Browser() as browser:
        found = {"ready": browser.open(file, ready=READY)}
        times = json.loads(browser.run(TIMES))
    return found | {name: ms / 1000 for name, ms in times.items() if ms is not None}


def main() -> None:
    """Print and keep the size and the median and best of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    from fake_study import large

    print(machine())
    result = large()
    began = time.perf_counter()
    text = page.render(result).encode()
    facts: dict = {
        "machine": machine(), "goal_bytes": GOAL_BYTES, "goal_seconds": GOAL_SECONDS,
        "bytes": len(text), "render_seconds": round(time.perf_counter() - began, 2), "open": {},
    }  # fmt: skip
    print(f"{len(text) / 1e6:.2f} MB, rendered in {facts['render_seconds']} s")
    if chromium():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "report.html"
            file.write_bytes(text)
            found = [opened(file) for _ in range(rounds)]
        for name in found[0]:
            values = [times[name] for times in found if name in times]
            facts["open"][name] = [round(v, 3) for v in values]
            print(f"{name}: median {statistics.median(values):.2f} s, best {min(values):.2f} s")
    else:
        print("No Chromium is installed, so that opening was not measured.")
    save("report_size", facts)


if __name__ == "__main__":
    main()
