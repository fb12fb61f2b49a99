"""Two ends of a mailbox in a page: one asks and learns what became of it, the other listens, does the work and answers.

python listener.py ask "Is Mrs Smith registered with you?"     ALICE asks BOB, and notes that an answer is due within a minute
python listener.py answer                                      BOB listens until Ctrl-C (--once: looks once), and answers
python listener.py collect                                     ALICE fetches what came, and prints which request it answers

Each end has a ledger in its folder: kill any of them at any time, start it again, and nothing is lost or sent twice.
"""

# ruff: noqa: T201 (a program that prints)

from __future__ import annotations

import argparse
import asyncio
from datetime import timedelta
from pathlib import Path

from fiveways.client import DeadLetter, Ledger, Listener, Mailbox, Message, Schedule

QUESTION = "QUESTION"
SCHEDULE = Schedule(every=timedelta(seconds=1), sandbox=True)  # against MESH itself: Schedule(), which is every five minutes


async def ask(alice: Mailbox, question: str) -> None:
    """Send a question. With a local id of your own, asking again after a time-out sends nothing that is there already."""
    request = await alice.send("BOB", question.encode(), workflow=QUESTION, answer_within=timedelta(minutes=1))
    print(f"asked  {request.local_id}")


async def answer(bob: Mailbox, *, once: bool) -> None:
    """Answer questions. What this raises has the message tried again, and then kept as a dead letter."""

    async def handle(message: Message) -> None:
        if message.workflow != QUESTION:
            raise DeadLetter(f"a {message.workflow} is nothing that I can answer")
        question = message.content.read().decode()
        # The message's id is part of the answer's local id: handling the message a second time answers it once.
        await bob.send(message.sender, f"Yes: {question}".encode(), workflow=f"{QUESTION}_ACK", local_id=f"answer-to-{message.id}")
        print(f"answered  {message.id}")

    listener = Listener(bob, handle, schedule=SCHEDULE)
    await (listener.once() if once else listener.run())


async def collect(alice: Mailbox) -> None:
    """Fetch answers, and say what is overdue."""

    async def handle(message: Message) -> None:
        answers = message.request.local_id if message.request is not None else "nothing that was asked"
        print(f"{message.content.read().decode()}  answers {answers}")

    await Listener(alice, handle, schedule=SCHEDULE).once()
    for request in alice.ledger.overdue():
        print(f"overdue  {request.local_id}, asked of {request.party} at {request.opened_at:%H:%M:%S}")


async def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8700")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ask").add_argument("question")
    commands.add_parser("answer").add_argument("--once", action="store_true")
    commands.add_parser("collect")
    arguments = parser.parse_args()
    name = "BOB" if arguments.command == "answer" else "ALICE"
    with Ledger(Path(f"{name}.sqlite")) as ledger:
        async with Mailbox(arguments.url, name, "password", "TestKey", ledger) as mailbox:
            match arguments.command:
                case "ask":
                    await ask(mailbox, arguments.question)
                case "answer":
                    await answer(mailbox, once=arguments.once)
                case _:
                    await collect(mailbox)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
