"""A store that is served to people and machines with roles, for tests of who may do what."""

from pathlib import Path

import httpx
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from starlette.types import Receive, Scope, Send

from access.identity_provider import AUDIENCE, CLIENT, SECRET, IdentityProvider
from audit.book import Book
from kept_study import Clock
from zweitblick.access.code_flow import Client, CodeFlow
from zweitblick.access.emergencies import Emergencies
from zweitblick.access.principal import Role
from zweitblick.access.provider import Provider
from zweitblick.access.sessions import Sessions
from zweitblick.access.tokens import ClaimRules, TokenVerifier
from zweitblick.access.users import Users
from zweitblick.store.store import Store
from zweitblick.web import Doors, HttpServer, Service, create_app
from zweitblick.worklist import Notices, Worklist

PUBLIC_URL = "https://zweitblick.example"


class Counts:
    """Counts what happens at the gate."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.emergencies = 0

    def refused(self, code: str) -> None:
        self.codes.append(code)

    def emergency_opened(self) -> None:
        self.emergencies += 1


class Entrances:
    """Every way in, into one store; behind a proxy with TLS if it has a public URL. Each test begins it anew."""

    def __init__(self, store: Store, clock: Clock, provider: IdentityProvider, *, public_url: str = "") -> None:
        self.store, self.clock, self.provider = store, clock, provider
        self._public_url = public_url
        self.ticks = 0.0
        self._asking = httpx.Client()
        self._clients: list[httpx.Client] = []
        self.server = HttpServer(self, host="127.0.0.1", port=0, is_proxied=bool(public_url))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    def begin(self, users: Path) -> None:
        """Forget everything of before but what is in the store."""
        self.book, self.counts = Book(), Counts()
        self.users = Users(users, PasswordHasher.from_parameters(CHEAPEST))
        self.provider.begin(self.clock)
        asked = Provider(self.provider.issuer, self._asking)
        verifier = TokenVerifier(asked, AUDIENCE, ClaimRules(tenant_claim="tenant", tenant="north"), self.clock)
        client = Client(CLIENT, f"{PUBLIC_URL}/login/callback", SECRET)
        doors = Doors(
            Sessions(self.clock),
            Emergencies(self.clock),
            verifier=verifier,
            code_flow=CodeFlow(asked, client, verifier, self.clock),
            users=self.users,
            public_url=self._public_url,
            ticks=lambda: self.ticks,
        )
        worklist = Worklist(self.store.workitems, Notices(), self.clock)
        service = Service(self.store, lambda _: None, lambda: True, worklist, self.book)
        self.app = create_app(service, doors=doors, observer=self.counts)

    def browser(self, **headers: str) -> httpx.Client:
        """A browser without cookies."""
        made = httpx.Client(base_url=self.server.address, headers=headers)
        self._clients.append(made)
        return made

    def machine(self, *roles: Role) -> httpx.Client:
        """A program that bears a token of the provider's."""
        token = self.provider.access_token(sub="machine", roles=list(roles))
        return self.browser(Authorization=f"Bearer {token}")

    def end(self) -> None:
        for one in self._clients:
            one.close()
        self._clients.clear()

    def close(self) -> None:
        self.server.close()
        self._asking.close()
