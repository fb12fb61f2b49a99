"""`fiveways check` of a deployment of a thousand APIs, beside PyYAML reading the same file: `python -m bench.check`.

Each is a process of its own, several times over; shown is the fastest, in seconds of wall time and of CPU. The goal is a check in
less than two seconds of wall time.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

GOAL: Final = 2.0
READ: Final = "import sys, yaml; yaml.load(open(sys.argv[1], encoding='utf-8'), Loader=yaml.{0})"


def deployment(apis: int) -> str:
    """A deployment that is clean, with twenty applications and as many products."""
    names = [f"api{number}" for number in range(apis)]
    return "\n".join((
        "organisations:\n  RXN: {name: Northshire}",
        "applications:",
        *(f"  app{each}:\n    organisation: RXN\n    products: [p{each}]" for each in range(20)),
        "products:",
        *(f"  p{each}:\n    apis: [{', '.join(names[each::20])}]" for each in range(20) if names[each::20]),
        "apis:",
        *map(_api, names),
    ))  # fmt: skip


def _api(name: str) -> str:
    return f"""\
  {name}:
    title: The API {name}
    pattern: pass-through
    at: /{name}/FHIR/R4
    target:
      url: https://{name}.internal/FHIR
    model:
      fhir: {{version: R4}}
    security: [signed-jwt]
    need: {{intent: retrieve}}
    service_level:
      latency: 500ms
      availability: 99.95%
    operations:
      - match: Patient.create
        idempotent: false
        deduplicate: {{by: X-Request-ID}}
      - match: GET /files/{{id}}
    resilience:
      retries: {{attempts: 2}}"""


def timed(*command: str) -> tuple[float, float]:
    """Wall time and CPU of a process, in seconds."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    took, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apis", type=int, default=1000, help="how many APIs the deployment has")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file, empty = Path(folder) / "deployment.yaml", Path(folder) / "empty.yaml"
        file.write_text(deployment(options.apis))
        empty.write_text("apis: {}\n")
        commands = {
            "fiveways check": (sys.executable, "-m", "fiveways", "check", str(file)),
            "fiveways check, of an empty file": (sys.executable, "-m", "fiveways", "check", str(empty)),
            "yaml.SafeLoader": (sys.executable, "-c", READ.format("SafeLoader"), str(file)),
            "yaml.CSafeLoader": (sys.executable, "-c", READ.format("CSafeLoader"), str(file)),
        }
        rounds = [{name: timed(*command) for name, command in commands.items()} for _ in range(options.rounds)]
    print(f"{options.apis:,} APIs, the fastest of {options.rounds}: seconds of wall time, of CPU")
    for name in commands:
        wall, cpu = (min(each[name][index] for each in rounds) for index in (0, 1))
        print(f"  {name:34} {wall:6.2f} {cpu:6.2f}")
    took = min(each["fiveways check"][0] for each in rounds)
    print(f"The goal is under {GOAL:g} seconds; {took:.2f} in this run: {'met' if took < GOAL else 'not met'}")


if __name__ == "__main__":
    main()
