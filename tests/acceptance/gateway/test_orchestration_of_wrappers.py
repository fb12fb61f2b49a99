"""What stands behind an orchestration may itself be a façade (S52)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from string import Template

from tests.acceptance.conftest import Backend, Serve, response

DEPLOYMENT = """\
organisations: {RXN: {name: Northshire}}
applications: {ward: {organisation: RXN, jwks: file:keys/ward.json, products: [all]}}
products: {all: {apis: [whole]}}
apis:
  granular: {$common, pattern: wrapper, at: /granular, target: {url: "$url"}, present: {api_key: {header: X-Key, key: env:KEY}},
             debt: {owner: Theatres, reason: it takes keys only, target: pass-through, retire_by: 2199-01-01}}
  whole: {$common, pattern: orchestration, at: /whole, plan: "plans:mirrored", uses: [granular]}
"""
COMMON = "security: [signed-jwt], model: {fhir: {version: R4}}"


def test_a_wrapper_is_one_of_the_apis_that_a_plan_calls_and_its_debt_is_its_own(behind: Backend, serve: Serve) -> None:
    text = Template(DEPLOYMENT).substitute(common=COMMON, url=behind.url)
    with serve(text, started=False, environment={"KEY": "of-the-gateway"}) as served:
        shutil.copy(Path(__file__).parent / "plans.py", served.folder)
        served.start()
        path = behind.at(response(200, b"{}"))
        assert served.call("GET", f"/whole{path}", headers=served.bearer()).status_code == 200
        (seen,) = behind.requests(path)
        assert seen.all(b"x-key") == [b"of-the-gateway"]
        assert [each["api"] for each in json.loads(served.run("debt", "--json").stdout)] == ["granular"]
