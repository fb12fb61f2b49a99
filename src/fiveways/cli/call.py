"""`fiveways call`: one request to a deployment, with credentials and ids as they must be."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from fiveways.cli import consumer
from fiveways.cli.consumer import STILL_RUNNING


def command(
    method: consumer.Method,
    path: consumer.PathOf,
    url: consumer.Url = "",
    body: consumer.BodyOf = "",
    header: consumer.HeaderOf = None,
    api_key: consumer.ApiKeyOf = "",
    client_id: consumer.ClientId = "",
    key: consumer.Key = None,
    kid: consumer.Kid = "",
    token_url: consumer.TokenUrl = "",
    ca: consumer.Ca = None,
    cert: consumer.Cert = None,
    cert_key: consumer.CertKey = None,
    timeout: consumer.Timeout = "30s",
    wait: Annotated[
        str, typer.Option("--wait", metavar="DURATION", help="Have a sync-wrap wait so long for the outcome (X-Sync-Wait).")
    ] = "",
    request_id: Annotated[
        str, typer.Option("--request-id", metavar="GUID", help="Send it as this request: the same again has no second effect.")
    ] = "",
    include: consumer.Include = False,
    output: consumer.Output = None,
) -> None:
    """Call a deployment and print the body of the answer.

    The credentials are an API key, or a token that is had for a signed JWT (--key, --kid, --client-id), or a client certificate.
    Both X-Request-ID and X-Correlation-ID are sent. What is safe to repeat is sent again until there is an answer or the time is
    over.

    Exit code 0 for a 2xx, 1 for anything else, 3 where --wait was given and the deployment is still at work: call again with
    the same --request-id.

      fiveways call GET /demographics/FHIR/R4/Patient/9990000018 --url http://127.0.0.1:8080 --api-key @key.txt
    """
    known_as = consumer.access(api_key, client_id, key, kid, token_url, ca, cert, cert_key)
    longest = consumer.duration("--timeout", timeout)
    waited: timedelta | None = consumer.duration("--wait", wait) if wait else None
    content, fields = consumer.request(body, header)

    async def work() -> int:
        async with consumer.deployment(url, known_as) as five:
            answer = await five.call(
                method, path, body=content, headers=fields, timeout=longest, wait=waited, request_id=request_id
            )
        code = consumer.show(answer, include, output)
        if waited is not None and answer.status == 503 and "retry-after" in answer.headers:
            typer.echo(f"still at work: call again with --request-id {answer.request_id}", err=True)
            return STILL_RUNNING
        return code

    consumer.run(work)
