"""Read a .pkt script: comments, options, statements with their times, and expressions of system calls.

Called by script.py; calls _packet.py for packet lines. Nothing here runs anything.

    script     = {"--" option} {statement}
    statement  = [time] (packet | call | "%{" python "}%")
    time       = "*" | ["+"] seconds ["~" ["+"] seconds] ["..." ["+"] seconds]
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from greendpdk.testing._packet import PacketLine, parse_packet

NUMBER = r"\d+(?:\.\d+)?|\.\d+"
TIME = re.compile(
    rf"(?:(?P<any>\*)|(?P<plus>\+?)(?P<start>{NUMBER})(?:\s*~\s*\+?(?P<to>{NUMBER}))?(?:\.\.\.\+?(?P<until>{NUMBER}))?)\s+"
)
TOKEN = re.compile(
    r"""\s*(?:(?P<number>-?0[xX][0-9a-fA-F]+|-?\d+)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<dots>\.\.\.)"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<sign>[()\[\]{},=|]))"""
)


class ScriptSyntaxError(ValueError):
    """A line that is no script."""


@dataclass(frozen=True)
class When:
    """The time of a statement, in seconds."""

    start: float = 0.0
    relative: bool = True
    any: bool = False
    to: float | None = None  # "~": anywhere from start to this
    until: float | None = None  # "...": a blocking call returns then


@dataclass(frozen=True)
class Name:
    """A constant, or constants joined by "|"."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Ellipsis_:
    """The "..." of an argument that the player fills in, or of a result that may be anything."""


@dataclass(frozen=True)
class Func:
    """A function inside an argument: htons(80), inet_addr("...")."""

    name: str
    args: tuple[Expr, ...]


@dataclass(frozen=True)
class StructValue:
    """{field=value, ...}."""

    fields: tuple[tuple[str, Expr], ...]

    def get(self, name: str) -> Expr | None:
        """Return a field's value."""
        return dict(self.fields).get(name)


Expr = int | str | Name | Ellipsis_ | Func | StructValue | list["Expr"]


@dataclass(frozen=True)
class Call:
    """A system call and what it shall return."""

    name: str
    args: tuple[Expr, ...]
    result: Expr
    errno: str = ""


@dataclass(frozen=True)
class Code:
    """Python between %{ and }%."""

    source: str


@dataclass(frozen=True)
class Statement:
    """One event of a script."""

    line: int
    text: str
    when: When
    what: PacketLine | Call | Code


@dataclass
class Script:
    """A whole script."""

    name: str
    options: dict[str, str] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)


def _strip_comments(text: str) -> str:
    """Blank comments out; line numbers stay."""

    def blank(match: re.Match[str]) -> str:
        kept = match.group(0)
        return kept if kept[0] == '"' else re.sub(r"[^\n]", " ", kept)

    return re.sub(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/|(?m:^\s*#[^\n]*)', blank, text, flags=re.S)


def _is_open(text: str) -> bool:
    """Tell if a statement goes on in the next line."""
    if "%{" in text:
        return "}%" not in text
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    return any(outside.count(a) > outside.count(b) for a, b in ("()", "[]", "{}"))


def _joined(text: str) -> Iterator[tuple[int, str]]:
    number, held = 0, ""
    for at, line in enumerate(_strip_comments(text).split("\n"), 1):
        if not held and not line.strip():
            continue
        number, held = (at, line) if not held else (number, held + "\n" + line)
        if not _is_open(held):
            yield number, held
            held = ""
    if held:
        raise ScriptSyntaxError(f"line {number}: the statement does not end: {held.strip()}")


def parse_script(text: str, name: str = "script") -> Script:
    """Read a script; ScriptSyntaxError names the line."""
    script = Script(name)
    for number, raw in _joined(text):
        line = raw.strip()
        if line.startswith("--"):
            for word in line.split():
                key, _, value = word[2:].partition("=")
                script.options[key] = value
            continue
        try:
            script.statements.append(_parse_statement(number, line))
        except ValueError as error:
            raise ScriptSyntaxError(f"{name}:{number}: {error}\n    {line}") from None
    return script


def _parse_statement(number: int, line: str) -> Statement:
    when = When()
    rest = line
    if match := TIME.match(line):
        rest = line[match.end() :]
        if match["any"]:
            when = When(any=True)
        else:
            to, until = match["to"], match["until"]
            when = When(
                float(match["start"]),
                bool(match["plus"]),
                to=float(to) if to else None,
                until=float(until) if until else None,
            )
    what: PacketLine | Call | Code
    if rest[:1] in "<>":
        what = parse_packet(rest)
    elif rest.startswith("%{"):
        what = Code(textwrap.dedent(rest[2 : rest.rindex("}%")]).strip())
    else:
        what = _Calls(rest).call()
    return Statement(number, " ".join(line.split()), when, what)


class _Calls:
    """A recursive-descent parser of one system call."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.errno = ""
        at = 0
        if match := re.search(r"\s(E[A-Z0-9]+)\s*(\([^()]*\))?\s*$", text):
            self.errno, text = match[1], text[: match.start()]
        text = re.sub(r"(=\s*\S+)\s+\([^()]*\)\s*$", r"\1", text).rstrip()  # "= 0x2 (flags O_RDWR)"
        while at < len(text):
            found = TOKEN.match(text, at)
            if not found or not found.lastgroup:
                raise ScriptSyntaxError(f"no such thing in a call: {text[at:]!r}")
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()

    def take(self, *signs: str) -> str:
        """Take the next token, which must be one of signs if any are given."""
        if not self.tokens:
            raise ScriptSyntaxError(f"the line ends where {' or '.join(signs) or 'a value'} is due")
        _, text = self.tokens.pop(0)
        if signs and text not in signs:
            raise ScriptSyntaxError(f"{text!r} where {' or '.join(signs)} is due")
        return text

    def next_is(self, sign: str) -> bool:
        return bool(self.tokens) and self.tokens[0][1] == sign

    def call(self) -> Call:
        name = self.take()
        self.take("(")
        args = self.until(")")
        self.take("=")
        result = self.value()
        if self.tokens:
            raise ScriptSyntaxError(f"{self.tokens[0][1]!r} after the result")
        return Call(name, args, result, self.errno)

    def until(self, end: str) -> tuple[Expr, ...]:
        values: list[Expr] = []
        while not self.next_is(end):
            values.append(self.value())
            if not self.next_is(end):
                self.take(",")
        self.take(end)
        return tuple(values)

    def value(self) -> Expr:
        if not self.tokens:
            raise ScriptSyntaxError("the line ends where a value is due")
        kind, text = self.tokens.pop(0)
        if kind == "number":
            return int(text, 0)
        if kind == "string":
            return text[1:-1].encode().decode("unicode_escape")
        if kind == "dots":
            return Ellipsis_()
        if kind == "name":
            return self.name(text)
        if text == "[":
            return list(self.until("]"))
        if text == "{":
            return self.struct()
        raise ScriptSyntaxError(f"{text!r} where a value is due")

    def name(self, first: str) -> Expr:
        if self.next_is("("):
            self.take("(")
            return Func(first, self.until(")"))
        names = [first]
        while self.next_is("|"):
            self.take("|")
            names.append(self.take())
        return Name(tuple(names))

    def struct(self) -> StructValue:
        fields: list[tuple[str, Expr]] = []
        while not self.next_is("}"):
            key = self.take()
            self.take("=")
            fields.append((key, self.value()))
            if not self.next_is("}"):
                self.take(",")
        self.take("}")
        return StructValue(tuple(fields))
