"""Every command line that README, CONTRIBUTING and the pages of docs/ show, with its page and line.

A command stands in an indented or fenced block whose first line begins with a program that we know, or as inline code.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.conftest import ROOT

PROGRAMS: Final = frozenset(
    (
        "make",
        "python",
        ".venv/bin/python",
        "candor",
        "candor-venv/bin/candor",
        "candor-venv/bin/pip",
        "torchrun",
        ".venv/bin/monai-deploy",
        "monai-deploy",
        "kubectl",
        "docker",
        "podman",
        "buildah",
        "git",
        "pip",
        "curl",
        "openssl",
        "sqlite3",
        "pg_dump",
        "pg_restore",
        "psql",
        "createdb",
        "storescu",
        "echoscu",
    )
)
"""What a block or inline code of commands begins with."""

HELPERS: Final = frozenset(("cd", "cp", "mkdir", "mv", "rm", "tar", "umask", "chmod"))
"""What may stand in a block of commands beside them."""

SHELLS: Final = frozenset(("sh", "bash", "console"))
_FENCE: Final = re.compile(r"^( *)```(\w*)$")
_ASSIGNMENT: Final = re.compile(r"[A-Z_]+=\S*")
_INLINE: Final = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page.

    Parameters
    ----------
    page
        Below the repository's root.
    line
        Where it begins, from 1.
    text
        Without prompt, comment and line breaks.
    inline
        Whether it stands within a sentence or a table.
    """

    page: str
    line: int
    text: str
    inline: bool = False

    @property
    def words(self) -> list[str]:
        """Its words, without the variables that it sets."""
        words = shlex.split(self.text)
        return words[next((k for k, word in enumerate(words) if not _ASSIGNMENT.fullmatch(word)), 0) :]

    @property
    def module(self) -> str:
        """What ``python -m`` runs; "" for any other command."""
        words = self.words
        flag = words.index("-m") if "-m" in words and is_python(words[0]) else -1
        return words[flag + 1] if flag >= 0 else ""

    @property
    def arguments(self) -> list[str]:
        """What follows the module."""
        return self.words[self.words.index(self.module) + 1 :]

    @property
    def mention(self) -> bool:
        """Whether a sentence only names a verb; it is not meant to be typed like that."""
        return self.inline and self.module in ("training", "gateway") and len(self.arguments) < 2

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of code of a page: where they begin, and the language of their fence ("" for none)."""

    line: int
    language: str
    lines: tuple[str, ...]


def pages() -> list[str]:
    """All pages that people read: README, CONTRIBUTING and docs/."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def commands(page: str, markdown: str | None = None) -> list[Command]:
    """List the commands of a page in their order."""
    text = (ROOT / page).read_text() if markdown is None else markdown
    taken = list(blocks(text))
    found = [command for block in taken if is_shell(block) for command in _of_block(page, block)]
    inside = {block.line + k for block in taken for k in range(len(block.lines))}
    found += _inline(page, text, inside)
    return sorted(found, key=lambda command: command.line)


def blocks(markdown: str) -> Iterator[Block]:
    """Find the fenced and the indented blocks; a table or a list's going on is none."""
    lines = markdown.splitlines()
    k = 0
    while k < len(lines):
        fence = _FENCE.match(lines[k])
        if fence:
            end = next(j for j in range(k + 1, len(lines)) if lines[j].strip() == "```")
            yield Block(k + 2, fence[2], tuple(line[len(fence[1]) :] for line in lines[k + 1 : end]))
            k = end + 1
        elif lines[k].startswith("    ") and (k == 0 or not lines[k - 1].strip()):
            end = k
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            while not lines[end - 1].strip():
                end -= 1
            yield Block(k + 1, "", tuple(line.strip() for line in lines[k:end]))
            k = end
        else:
            k += 1


def is_shell(block: Block) -> bool:
    """Tell a block of commands from settings, programs and output."""
    if block.language:
        return block.language in SHELLS
    words = [word for word in block.lines[0].split() if not _ASSIGNMENT.fullmatch(word)]
    return bool(words) and words[0] in PROGRAMS | HELPERS


def program_of(text: str) -> str:
    """The first word that is no variable's value."""
    return next((word for word in text.split() if not _ASSIGNMENT.fullmatch(word)), "")


def is_python(word: str) -> bool:
    """Whether a word starts Python, or processes of Python."""
    return word.rpartition("/")[2] in ("python", "torchrun")


def _of_block(page: str, block: Block) -> Iterator[Command]:
    start, text = block.line, ""
    for number, line in enumerate(block.lines, block.line):
        start, text = (start, f"{text} {line.strip()}") if text else (number, line.strip().removeprefix("$ "))
        if text.endswith("\\"):
            text = text.removesuffix("\\").rstrip()
        elif text:
            bare = without_comment(text)
            if bare:
                yield Command(page, start, bare)
            text = ""


def without_comment(text: str) -> str:
    """Leave out what follows a number sign that begins a word outside quotes."""
    quote = ""
    for k, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and (k == 0 or text[k - 1].isspace()):
            return text[:k].rstrip()
    return text


def _inline(page: str, markdown: str, inside: set[int]) -> Iterator[Command]:
    """Find inline code that is a whole command; it may go on in the next line."""
    blanked = "\n".join(
        "" if number in inside else line.replace("```", "   ") for number, line in enumerate(markdown.splitlines(), 1)
    )
    for code in _INLINE.finditer(blanked):
        text = " ".join(code[1].split())
        if program_of(text) in PROGRAMS and " " in text:
            yield Command(page, blanked.count("\n", 0, code.start()) + 1, text, inline=True)
