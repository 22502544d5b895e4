"""An identity provider for tests of access."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from access.identity_provider import IdentityProvider
from kept_study import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def identity_provider() -> Iterator[IdentityProvider]:
    with closing(IdentityProvider()) as made:
        yield made


@pytest.fixture
def provider(identity_provider: IdentityProvider, clock: Clock) -> IdentityProvider:
    identity_provider.begin(clock)
    return identity_provider
