"""Following the paths of keys that earlier lines took: the guess that makes tags and fields cheap to read."""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_layout import NODE_CHILD, NODE_KEY, NODE_LENGTH, NODE_SIBLING, NODE_SIZE, NODE_WORD, NODE_WORD_MASK
from headrace.wal.lp_words import compiled, get, load64, same

_NODE: Final = 8 * NODE_SIZE
_ALTERNATIVES: Final = 8  # keys tried where the expected one is not, before the line goes the general way


@compiled
def has_key(node: int, at: int) -> bool:
    """Whether the key of the node at address ``node`` stands at ``at``."""
    if (load64(at) ^ get(node, NODE_WORD)) & get(node, NODE_WORD_MASK) != 0:
        return False
    length = get(node, NODE_LENGTH)
    return length <= 8 or same(at + 8, get(node, NODE_KEY) + 8, length - 8)


@compiled
def alternative(nodes: int, parent: int, at: int) -> int:
    """The child of ``parent`` whose key stands at ``at``, among the newest; 0 if none does."""
    child = get(nodes + parent * _NODE, NODE_CHILD)
    for _ in range(_ALTERNATIVES):
        if child == 0 or has_key(nodes + child * _NODE, at):
            return child
        child = get(nodes + child * _NODE, NODE_SIBLING)
    return 0
