"""Save and load the state of a training run as safetensors: the tensors, and the tree that holds them as JSON.

Nothing is unpickled, and a reader never sees half a file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from candor.files.durable import sync_folder
from candor.study.errors import DataError

FORMAT: Final = "candor-checkpoint-1"


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a tree of values under a temporary name, then move it into place.

    Parameters
    ----------
    path
        The file; it is replaced only when the new one is complete.
    state
        Dictionaries, lists, tuples (they come back as lists), tensors, numbers, strings and None.

    Raises
    ------
    TypeError
        The tree holds something else.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_to_tree(state, tensors))
    _write_whole(path, tensors, {"format": FORMAT, "tree": tree})


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a safetensors file of weights; an existing file is replaced only when the new one is complete.

    Parameters
    ----------
    path
        The file.
    weights
        Tensors by name, contiguous and on the CPU.
    """
    _write_whole(path, dict(weights), None)


def halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with those of convolutions and linear layers rounded to half precision, as float32.

    Parameters
    ----------
    weights
        Tensors by name; vectors, such as those of batch normalisation, stay as they are.
    """
    return {name: tensor.half().float() if tensor.dim() > 1 else tensor for name, tensor in weights.items()}


def _write_whole(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None) -> None:
    # Not candor.files.durable's file: safetensors writes to a path, and otherwise the checkpoint is in memory twice.
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata=metadata)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`write_checkpoint` wrote; tensors are on the CPU.

    Raises
    ------
    DataError
        The file is damaged or is not a checkpoint.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dictionary
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as a checkpoint ({error}); remove it, and training begins anew"
        ) from error
    if facts.get("format") != FORMAT:
        raise DataError(f"{path} is not a checkpoint of {FORMAT}; remove it, and training begins anew")
    state: dict[str, Any] = _from_tree(json.loads(facts["tree"]), tensors)
    return state


def _to_tree(node: object, tensors: dict[str, Tensor]) -> object:
    """Replace tensors by references; dictionaries become pairs, since JSON has no whole numbers as keys."""
    if isinstance(node, Tensor):
        name = str(len(tensors))
        tensors[name] = node.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(node, Mapping):
        return {"pairs": [[key, _to_tree(value, tensors)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        return [_to_tree(value, tensors) for value in node]
    if node is None or isinstance(node, bool | int | float | str):
        return node
    raise TypeError(f"a checkpoint holds tensors, numbers and text, not {type(node).__name__}")


def _from_tree(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(node, list):
        return [_from_tree(value, tensors) for value in node]
    if isinstance(node, dict):
        if "tensor" in node:
            return tensors[node["tensor"]]
        return {key: _from_tree(value, tensors) for key, value in node["pairs"]}
    return node
