"""A ward and a surgery converse, each with Centrifugo's Python client as it comes from PyPI (`pip install centrifuge-python`).

What a message is, and what became of it, is in its tags: `happening` is say, deliver, read, correct or retract, and `about` the
number of the message that it happened to.
"""

# ruff: noqa: T201 (a program that prints)

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
from centrifuge import Client, Publication, PublicationContext, SubscriptionEventHandler  # type: ignore[import-untyped]
from tokens import URL, token  # type: ignore[import-not-found]

WEBSOCKET = "ws://127.0.0.1:8075/connection/websocket"
WARD, SURGERY = "ward-system", "surgery-system"


class Side(SubscriptionEventHandler):  # type: ignore[misc]
    """One of the two, with what it has heard of the conversation."""

    def __init__(self, application: str, channel: str) -> None:
        self.application = application
        self.channel = channel
        self.heard: asyncio.Queue[Publication] = asyncio.Queue()
        # The client asks for a token when it connects, and for another one before that expires.
        self.client = Client(WEBSOCKET, get_token=lambda: token(application))

    async def on_publication(self, ctx: PublicationContext) -> None:
        """Something was said, or has happened to what was."""
        await self.heard.put(ctx.pub)

    async def join(self) -> None:
        """Hear all from now on; after a break, what was missed comes first (recoverable)."""
        subscription = self.client.new_subscription(self.channel, events=self, recoverable=True)
        await subscription.subscribe()
        await subscription.ready()

    async def call(self, method: str, **said: Any) -> Any:
        """What Centrifugo's protocol has no command for is called by its name."""
        return (await self.client.rpc(method, {"channel": self.channel, **said})).data

    async def say(self, text: str) -> int:
        """Say something; its number. With an id it is said once, however often it is sent."""
        sent = await self.call("message.send", id=str(uuid.uuid4()), data={"text": text})
        return int(sent["offset"])

    async def hear(self, happening: str = "say") -> Publication:
        """The next thing of this kind that another has done."""
        async with asyncio.timeout(10):
            while True:
                heard = await self.heard.get()
                if heard.tags["happening"] == happening and heard.info.user != f"application:{self.application}":
                    print(f"{self.application:>14} <- {heard.offset} {happening} {heard.data}")
                    return heard


async def main() -> None:
    """The conversation."""
    channel = f"talk:8:{uuid.uuid4()}"
    ward, surgery = Side(WARD, channel), Side(SURGERY, channel)
    await ward.client.connect()
    await surgery.client.connect()

    # Who may invite begins it, by saying who takes part.
    await ward.call("conversation.begin", members=[f"application:{WARD}", f"application:{SURGERY}"])
    await ward.join()
    await surgery.join()

    question = await ward.say("Is she on warfarin?")
    await surgery.hear()
    await surgery.call("message.acknowledge", offset=question, state="delivered")  # it is on the screen's device
    await surgery.call("message.acknowledge", offset=question, state="read")  # somebody has seen it
    await ward.hear("deliver")
    await ward.hear("read")
    print("the question is", (await ward.call("message.state", offset=question))["state"])

    await ward.client.disconnect()  # the lift has no signal
    answer = await surgery.say("Yes, 50 mg")
    await surgery.call("message.correct", offset=answer, data={"text": "Yes, 5 mg"})
    print("the ward comes back")
    await ward.client.connect()
    await ward.hear()
    await ward.hear("correct")

    await ward.call("conversation.close")  # nothing more is said in it, and it is kept
    await ward.client.disconnect()
    await surgery.client.disconnect()

    headers = {"Authorization": f"Bearer {await token(WARD)}", "Accept": "text/plain"}
    async with httpx.AsyncClient(base_url=URL, headers=headers) as http:
        print((await http.get(f"/realtime/channels/{channel}/transcript")).raise_for_status().text, end="")


asyncio.run(main())
