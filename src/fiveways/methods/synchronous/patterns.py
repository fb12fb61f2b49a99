"""What stands at the bottom of an API, by its pattern (S37): made from the file's settings, one for all the API's operations."""

from __future__ import annotations

from collections.abc import Mapping

from fiveways.deployment.callables import declared_callable
from fiveways.errors import DeploymentError
from fiveways.methods.synchronous import contexts
from fiveways.methods.synchronous.api import Api
from fiveways.methods.synchronous.lasting import Lasting
from fiveways.methods.synchronous.middleware import Middleware, Place
from fiveways.methods.synchronous.orchestration import Orchestration
from fiveways.methods.synchronous.passthrough import Attribute, PassThrough
from fiveways.methods.synchronous.services import Directory, Services
from fiveways.methods.synchronous.settings import ApiSettings, names
from fiveways.methods.synchronous.syncwrap import SyncWrap, SyncWrapSettings
from fiveways.methods.synchronous.transformation.back_ends import MllpTarget
from fiveways.methods.synchronous.transformation.mailbox import MailboxBackEnd
from fiveways.methods.synchronous.upstream.upstream import Upstream
from fiveways.methods.synchronous.wrapper import Present, Wrapper, credentials
from fiveways.types import Handler, Interaction, Outcome


class Patterns:
    """Makes handlers. `apis` are those that orchestrations may call; they need not all be there yet."""

    def __init__(self, directory: Directory, services: Services, lasting: Lasting, apis: Mapping[str, Api]) -> None:
        self._directory = directory
        self._services = services
        self._lasting = lasting
        self._apis = apis

    def handler(self, name: str, settings: ApiSettings, fhir: bool) -> Handler:
        """The handler of an API. DeploymentError where a file or a value that it refers to is no good."""
        if settings.mllp is not None:
            return self._mllp(name, settings.mllp)
        if settings.mailbox is not None:
            assert self._services.post is not None
            return MailboxBackEnd(settings.mailbox, self._services.post)
        if settings.target is None:
            return self._orchestration(name, settings, fhir)
        through = self._through(settings, self._lasting.upstream(settings.target))
        match settings.pattern:
            case "wrapper":
                return self._wrapper(name, settings, through)
            case "middleware":
                return self._middleware(name, settings, through)
            case "sync-wrap":
                wait = settings.sync_wrap or SyncWrapSettings()
                return SyncWrap(name, settings.at, through, wait, self._services.ledger.group, self._services.clock)
        return through

    def _through(self, settings: ApiSettings, upstream: Upstream) -> PassThrough:
        everywhere = {context for security in settings.securities for context in names(security)}
        own = {contexts.CREDENTIALS[context] for context in everywhere if context in contexts.CREDENTIALS}
        attributes = [
            Attribute(
                each.attribute,
                each.header.lower().encode(),
                each.required,
                f"No {each.attribute.upper()} is associated with your app. Please contact support.",
            )
            for each in settings.attributes
        ]
        return PassThrough(
            upstream,
            upstream.path,
            nhsd_ids=settings.upstream_ids == "nhsd",
            attributes=attributes,
            applications=self._directory.attributes,
            forward=[name for name in (b"authorization", b"apikey") if name not in own],
        )

    def _mllp(self, name: str, target: MllpTarget) -> Handler:
        try:
            return self._lasting.mllp(target)
        except (OSError, ValueError) as error:
            raise DeploymentError(f"apis.{name}.mllp.tls: a file cannot be used: {type(error).__name__}: {error}") from error

    def _wrapper(self, name: str, settings: ApiSettings, through: PassThrough) -> Wrapper:
        present = settings.present or Present()
        try:
            presented = credentials(present, self._services.base, self._services.clock, self._lasting.upstream)
        except (KeyError, OSError, ValueError) as error:
            raise DeploymentError(f"apis.{name}.present: a secret cannot be used: {type(error).__name__}: {error}") from error
        sessions = self._lasting.session(name, present.session, through.url) if present.session is not None else None
        return Wrapper(through, presented, sessions)

    def _middleware(self, name: str, settings: ApiSettings, back_end: Handler) -> Handler:
        assert settings.facade is not None
        facade = declared_callable(f"apis.{name}.facade", settings.facade, self._services.base)

        def made() -> Middleware:
            try:
                return Middleware(name, facade(Place(name, settings.options, self._services.clock)))
            except Exception as error:
                raise DeploymentError(f"apis.{name}.facade cannot be made: {type(error).__name__}: {error}") from error

        middleware = self._lasting.facade(name, f"{settings.facade} {settings.options!r}", made)

        async def handler(interaction: Interaction) -> Outcome:
            return await middleware.handle(interaction, back_end)

        return handler

    def _orchestration(self, name: str, settings: ApiSettings, fhir: bool) -> Orchestration:
        assert settings.plan is not None
        plan = declared_callable(f"apis.{name}.plan", settings.plan, self._services.base)
        within = settings.within.total_seconds()
        return Orchestration(plan, self._apis, settings.uses, within=within, fhir=fhir, clock=self._services.clock)
