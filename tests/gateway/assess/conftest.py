"""A node on either database, with a destination."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.settings import Settings
from tests.gateway.conftest import PACS, Clock
from tests.gateway.node import Node


@pytest.fixture
def node_of_either(either: Settings, clock: Clock) -> Iterator[Node]:
    node = Node(either.model_copy(update={"destinations": (PACS,)}), clock)
    yield node
    node.close()
