"""A trial through a Ray client, in a process of its own: `python ray_client.py ADDRESS FOLDER`."""

import json
import sys
from pathlib import Path

from ray_trials import WARM, trials

from assay.engine.ray_address import parse_executor
from assay.engine.ray_pool import RayPool


def main(address: str, folder: Path) -> None:
    place = parse_executor(address)
    job = trials(folder, split=2, steps=50)[0]
    with RayPool(place, options=WARM, same_files=False) as pool:
        (_, result), *_ = pool.run([job])
    files = sorted(p.name for p in (folder / job.key).iterdir())
    sys.stdout.write(json.dumps([result.status, result.value["status"], files]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
