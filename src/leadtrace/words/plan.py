"""A plan: a word with its fields, made ready for one function's signature (or for the `with` form), once.

Everything that can be decided at decoration is decided here: which values are known, which are read when the call begins,
which when it has returned; a name that is not there fails now, where it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from leadtrace import catalogue
from leadtrace.errors import DecorationError
from leadtrace.otlp.values import clean
from leadtrace.words.guard import warn_once
from leadtrace.words.references import Late, MissingValueError, Reference, is_late, late

if TYPE_CHECKING:
    import inspect

    from leadtrace.otlp.records import Value
    from leadtrace.words.kinds import WordKind

__all__ = ["Plan"]

_AT_END = frozenset({"answer", "outcome", "passed", "reason", "data"})
"""Options that are read from the result; a callable here asks for `result` even if it names no parameter so."""


class Plan:
    """One word at one place in the code."""

    __slots__ = (
        "code",
        "end_fields",
        "end_options",
        "expected",
        "kind",
        "name",
        "signature",
        "start_fields",
        "start_options",
        "static",
        "static_options",
        "uses_attempts",
        "where",
    )

    def __init__(
        self,
        kind: WordKind,
        name: str,
        fields: Mapping[str, object],
        attributes: Mapping[str, object],
        options: Mapping[str, object],
        expected: tuple[type[BaseException], ...],
        signature: inspect.Signature | None,
        code: Mapping[str, Value],
        where: str,
    ) -> None:
        self.kind = kind
        self.name = name
        self.expected = expected
        self.signature = signature
        self.code = dict(code)
        """The `code.*` attributes of the function, or of the `with` statement."""
        self.where = where
        self.uses_attempts = False
        """Whether an attempt was ever seen beneath: then a delivery that is cut off before one began never reached anybody."""
        self.static: dict[str, Value] = {}
        self.start_fields: list[tuple[str, Late]] = []
        self.end_fields: list[tuple[str, Late]] = []
        self.static_options: dict[str, object] = {}
        self.start_options: list[tuple[str, Late]] = []
        self.end_options: list[tuple[str, Late]] = []
        for attribute, value in self._named(fields, attributes):
            if is_late(value):
                ready = late(value, signature, where)
                (self.end_fields if ready.needs_result else self.start_fields).append((attribute, ready))
            elif isinstance(value, Mapping):  # a family of free keys, such as data_appended
                prefix = attribute.removesuffix(".*")
                self.static.update(
                    {f"{prefix}.{k}": v for k, v in ((k, clean(v)) for k, v in value.items()) if v is not None}
                )
            elif (cleaned := clean(value)) is not None and cleaned != "":
                self.static[attribute] = cleaned
        for key, value in options.items():
            if value is None:
                continue
            if is_late(value):
                ready = late(value, signature, where)
                at_end = ready.needs_result or key in _AT_END
                (self.end_options if at_end else self.start_options).append((key, ready))
            else:
                self.static_options[key] = value

    def _named(self, fields: Mapping[str, object], attributes: Mapping[str, object]) -> Iterable[tuple[str, object]]:
        for keyword, value in fields.items():
            if value is None:
                continue
            if like := catalogue.keyword_like(keyword, self.kind.keywords):
                raise DecorationError(
                    f"{self.where}: {self.kind.word} has no keyword {keyword!r}; did you mean {like!r}? "
                    f"(To record it all the same: attributes={{'{self.kind.word}.{keyword}': …}})"
                )
            yield self.kind.attribute(keyword), value
        for attribute, value in attributes.items():
            if not isinstance(attribute, str):
                raise DecorationError(f"{self.where}: attributes= takes full names as text, not {attribute!r}")
            if value is not None:
                yield attribute, value

    def read(
        self,
        these: list[tuple[str, Late]],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        take: Callable[[str, Any], None],
    ) -> list[str]:
        """Read late values; what is missing costs that one and a warning. Gives the names of the missing."""
        missing: list[str] = []
        for name, one in these:
            try:
                take(name, one.read(args, kwargs, result))
            except MissingValueError as problem:
                missing.append(name)
                warn_once(
                    f"missing:{self.where}:{name}", f"{self.where}: no value for {name} from {one.text}: {problem}"
                )
            except Exception as problem:  # noqa: BLE001 - telemetry never hurts the host
                missing.append(name)
                warn_once(f"missing:{self.where}:{name}", f"{self.where}: {one.text} for {name} failed: {problem!r}")
        return missing


def refuse_reference(value: object, what: str) -> None:
    """`emit`, `move_to` and `note` take values: a reference there was never read, and would be recorded as nonsense."""
    if isinstance(value, Reference):
        raise DecorationError(f"{what}: {value!r} is for decorators; pass the value itself here")
