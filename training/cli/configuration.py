"""Read a bundle's configuration with a command's options in place of its values, as ``monai.bundle`` does.

The verbs import this module when they run: it imports MONAI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from candor.study.errors import CandorError, SettingsError
from training.bundles.metadata import TEMPLATE
from training.bundles.metadata import TRAIN as PLACE
from training.monai import ConfigParser

TRAIN: Final = TEMPLATE / PLACE


def configured(config: Path, overrides: Mapping[str, object]) -> ConfigParser:
    """Read a configuration, with some values replaced.

    Parameters
    ----------
    config
        The file.
    overrides
        New values by MONAI's key, such as ``recipe#batch``.

    Raises
    ------
    SettingsError
        The file cannot be read, or has no such key.
    """
    parser = ConfigParser()
    try:
        parser.read_config(str(config))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError(
            f"{config} cannot be read as a configuration ({error}); give a bundle's train.yaml"
        ) from error
    known = [key for key in dict(parser.get()) if not key.startswith("_")]
    for key, value in overrides.items():
        if key not in parser:
            raise SettingsError(f"{config.name} has no {key}; its keys are {', '.join(known)}")
        parser[key] = value
    return parser


def content(parser: ConfigParser, key: str) -> Any:
    """Return the object that a key describes.

    Parameters
    ----------
    parser
        The configuration.
    key
        Such as ``recipe``.

    Raises
    ------
    CandorError
        The object refuses its settings, or cannot be made; MONAI's own error is replaced.
    """
    try:
        return parser.get_parsed_content(key)
    except (RuntimeError, TypeError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, CandorError):
            cause = cause.__cause__
        raise cause or SettingsError(f"{key} cannot be made ({error.__cause__ or error}); correct it") from error


def assignments(texts: Sequence[str]) -> dict[str, object]:
    """Read texts of the form ``KEY=VALUE``, the value as YAML.

    Raises
    ------
    SettingsError
        A text has no "=", or its value is not YAML.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise SettingsError(f"--set {text}: the value is not YAML; write it as in {TRAIN.name}") from error
        if not (key and equals):
            raise SettingsError(f"--set {text}: give KEY=VALUE, as recipe#batch=16")
    return found
