"""Checks a receipt: that the platform has signed it, and that it speaks of the file that was sent.

python verify_receipt.py receipts/FILE.receipt.jws --file outgoing/FILE     what it assures of the file
python verify_receipt.py receipts/FILE.receipt.jws --id                     the transfer's id alone

The keys are those that the platform publishes. They change: keep them with your receipts (--save), and give them later (--keys).
It needs httpx and joserfc, and nothing of Fiveways.
"""

# ruff: noqa: T201 (a program that prints)

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import deserialize_compact

URL = "http://127.0.0.1:8091/oauth2/jwks"


def receipt_of(jws: str, keys: Any) -> dict[str, Any]:
    """What a receipt says. JoseError or ValueError where none of the keys has signed it, or it is no receipt."""
    signed = deserialize_compact(jws.strip(), KeySet.import_key_set(keys), algorithms=["RS512"])
    if signed.headers().get("typ") != "bulk-receipt+jwt":
        raise ValueError("it is signed, and no receipt")
    return dict(json.loads(signed.payload))


def main() -> None:
    """Check a receipt, and say what it assures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("receipt", type=Path)
    parser.add_argument("--file", type=Path, help="what was sent")
    parser.add_argument("--keys", type=Path, help="keys that were kept; otherwise they are fetched")
    parser.add_argument("--save", type=Path, help="keep the keys there")
    parser.add_argument("--id", action="store_true", help="print the transfer's id, and nothing else")
    asked = parser.parse_args()
    keys = json.loads(asked.keys.read_text()) if asked.keys else httpx.get(URL).raise_for_status().json()
    if asked.save:
        asked.save.write_text(json.dumps(keys))
    try:
        said = receipt_of(asked.receipt.read_text(), keys)
    except (JoseError, ValueError) as error:
        sys.exit(f"not a receipt of this platform: {error}")
    if asked.id:
        print(said["jti"])
        return
    assured, counted = said["assurances"], said["records"]
    at_rest = assured["encrypted"]["at_rest"]
    print(f"{said['file']}: {said['outcome']}")
    for reason in said["reasons"]:
        print(f"  because {reason}")
    print(f"encrypted: {assured['encrypted']['transport']['cipher']}, at rest {at_rest['algorithm'] if at_rest else 'not'}")
    print(f"unchanged: {assured['unchanged']['agrees']}, SHA-256 {assured['unchanged']['digests']['sha256']}")
    print(f"complete: {counted['counted']} records, {assured['complete']['records_said']} said; {counted['set_aside']} set aside")
    print(f"audited: {', '.join(each['event'] for each in assured['audited'])}")
    if asked.file is not None:
        same = hashlib.sha256(asked.file.read_bytes()).hexdigest() == assured["unchanged"]["digests"]["sha256"]
        print("it is the file that was sent" if same else "IT IS NOT THE FILE THAT WAS SENT")
        sys.exit(not same)


if __name__ == "__main__":
    main()
