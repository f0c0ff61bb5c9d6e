"""The node's processes, and the supervisor that keeps them alive."""

from __future__ import annotations

from typing import Final

KINDS: Final = ("receive", "work", "deliver", "upkeep", "web")
"""The processes, in the order in which they are asked to stop: first nothing new comes in, then work drains."""
