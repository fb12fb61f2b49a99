"""Both ends of a mailbox with the public mesh-client, in a page.

python letters.py secrets                       a shared key and a password for each mailbox, where the deployment file wants them
python letters.py send letter.txt               the hospital sends a file; its name is its local id, so that a repeat is none
python letters.py receive                       the practice downloads what waits, answers, and acknowledges
python letters.py answers                       the hospital looks for answers, and for reports of what was not collected
"""

# ruff: noqa: T201 (a program that prints)

from __future__ import annotations

import argparse
import secrets
from pathlib import Path

from mesh_client import MeshClient, Message

HOSPITAL, PRACTICE = "RXN-OUT", "A81001-IN"
SECRETS = Path("secrets")


def make_secrets() -> None:
    """Make what is not there yet, for its owner's eyes only."""
    SECRETS.mkdir(mode=0o700, exist_ok=True)
    for name in ("shared-key", HOSPITAL, PRACTICE):
        if not (SECRETS / name).exists():
            (SECRETS / name).touch(mode=0o600)
            (SECRETS / name).write_text(secrets.token_urlsafe(18))


def mailbox(url: str, name: str) -> MeshClient:
    """Open a mailbox."""
    password, shared_key = (SECRETS / name).read_text(), (SECRETS / "shared-key").read_bytes()
    return MeshClient(url, name, password, shared_key=shared_key)


def send(hospital: MeshClient, file: Path) -> None:
    """Send a file."""
    sent = hospital.send_message(PRACTICE, file.read_bytes(), workflow_id="LETTER", local_id=file.name, filename=file.name)
    print(f"sent  {sent}")


def receive(practice: MeshClient) -> None:
    """Take in what waits. What is acknowledged leaves the mailbox, so that comes last: after a crash the letter is still there.

    It is then answered again under the same local id, which makes no second answer.
    """
    for message in practice.iterate_messages(workflow_filter="LETTER"):
        print(f"{message.sender} sends {message.filename}: {message.read().decode()}")
        practice.send_message(message.sender, b"filed", workflow_id="LETTER_ACK", local_id=message.local_id)
        message.acknowledge()


def answers(hospital: MeshClient) -> None:
    """Say what became of what was sent."""
    for message in hospital.iterate_all_messages():
        print(f"{message.local_id}: {_said(message)}")
        message.acknowledge()


def _said(message: Message) -> str:
    if message.message_type == "REPORT":
        return f"not delivered, {message.mex_header('statusdescription')}"
    return str(message.read().decode())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8082")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("secrets")
    commands.add_parser("send").add_argument("file", type=Path)
    commands.add_parser("receive")
    commands.add_parser("answers")
    arguments = parser.parse_args()
    if arguments.command == "secrets":
        make_secrets()
        return
    with mailbox(arguments.url, PRACTICE if arguments.command == "receive" else HOSPITAL) as opened:
        match arguments.command:
            case "send":
                send(opened, arguments.file)
            case "receive":
                receive(opened)
            case _:
                answers(opened)


if __name__ == "__main__":
    main()
