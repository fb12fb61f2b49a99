"""`fiveways init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fiveways.errors import DeploymentError
from fiveways.security.apikeys import generate
from fiveways.security.making import make_key

console = Console(highlight=False, soft_wrap=True)

_DEPLOYMENT = """\
# A Fiveways deployment. `fiveways check` checks it, `fiveways serve` runs it, `fiveways schema` prints what may stand in it.

programme:
  name: My programme
  patience: 3s                   # how long a user or system may be kept waiting
  availability: 99.9%

listeners:
  main: {{http: 127.0.0.1:8080}}   # loopback only; see `fiveways certs` for https

status:
  keys: [{status}]

organisations:
  A81001: {{name: My organisation}}

applications:
  my-app:                        # its private key is keys/my-app.pem: give it to the consumer and delete it here
    organisation: A81001
    jwks: file:keys/my-app.jwks.json
    products: [demographics]

products:
  demographics: {{apis: [patients], quota: 300/min, burst: 5/s}}

apis:
  patients:
    pattern: pass-through
    at: /demographics/FHIR/R4
    target: {{url: http://127.0.0.1:8090/FHIR/R4, timeout: {{connect: 1s, first_byte: 3s}}}}
    model: {{fhir: {{version: R4, profiles: uk-core}}}}
    security: [signed-jwt]
    service_level: {{latency: 500ms}}
    need: {{intent: retrieve, purpose: direct_care}}
    operations:
      - match: Patient.create
        idempotent: false
        deduplicate: {{by: X-Request-ID, for: 24h}}
"""


def command(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it.")] = Path()) -> None:
    """Write a small working deployment to start from: deployment.yaml, and a key pair for its one application."""
    file = folder / "deployment.yaml"
    if file.exists():
        raise DeploymentError(f"{file} is there already")
    folder.mkdir(parents=True, exist_ok=True)
    status = generate()
    file.write_text(_DEPLOYMENT.format(status=status.stored))
    make_key(folder / "keys", "my-app")
    keys = folder / "keys"
    console.print(f"wrote {file}, {keys}/my-app.pem (the application's private key) and {keys}/my-app.jwks.json (its public half)")
    console.print(f"the key for _status, shown once: {status.key}")
    console.print(f"next: put your back end under apis: patients: target:, then  fiveways serve {file}")
