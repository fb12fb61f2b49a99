"""HX07: callbacks that nobody can receive, or match (A66)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Consumers to be called back that cannot submit a job, or say that they cannot host HTTP."""
    for name, exchange in deployment.exchanges.items():
        if exchange.callback is None:
            continue
        where, need = ("exchanges", name, "callback"), deployment.apis[name].need
        holding = {product for product, settings in deployment.products.items() if name in settings.apis}
        for consumer in exchange.callback.consumers:
            if not holding & set(deployment.applications[consumer].products):
                yield (*where, "consumers", consumer), f"{consumer} is subscribed to no product that holds {name}"
        if need is not None and need.said("consumer_can_host_http") is False:
            yield where, "its need says that consumers cannot run an HTTP server"
        if deployment.apis[name].request_id != "required":
            text = "requests may come without X-Request-ID, so that their senders could not match the callback"
            yield ("apis", name, "request_id") if "request_id" in deployment.apis[name].model_fields_set else where, text


rule = Rule(
    id="HX07",
    severity="error",
    anti_pattern="The outcome is brought to somebody who cannot take it, or does not know what it is the outcome of.",
    best_practice="Let the API require X-Request-ID (request_id: required), and register receivers of those only who call it.",
    statements=("A66",),
    find=find,
)
