"""References: values named at decoration and read at each call.

`lt.arg.lead.id` is the call's parameter `lead`, its `id`; `lt.result[0].name` is of what the function returned; a callable
gets, by name, the parameters that it asks for and `result`. A parameter that is not there fails at decoration. What is
missing at call time costs that one field and one warning, never the call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from leadtrace.errors import DecorationError

__all__ = ["Late", "Reference", "arg", "is_late", "late", "result"]


class Reference:
    """A value to be read later. Go on from it by attribute or item; nothing else can be done with it."""

    __slots__ = ("_name", "_path", "_root")

    def __init__(self, root: Literal["arg", "result"], name: str = "", path: tuple[tuple[bool, Any], ...] = ()) -> None:
        self._root = root
        self._name = name
        self._path = path

    def __getattr__(self, name: str) -> Reference:
        if name.startswith("__"):
            raise AttributeError(name)  # copy, pickle and inspect ask for these: not ours to answer
        return Reference(self._root, self._name, (*self._path, (False, name)))

    def __getitem__(self, key: Any) -> Reference:
        return Reference(self._root, self._name, (*self._path, (True, key)))

    def __repr__(self) -> str:
        root = f"lt.arg.{self._name}" if self._root == "arg" else "lt.result"
        return root + "".join(f"[{key!r}]" if item else f".{key}" for item, key in self._path)

    def _refuse(self, *_: object) -> NoReturn:
        raise DecorationError(
            f"{self!r} names a value that is read when the decorated function is called; it cannot be tested, compared, "
            "called, iterated or formatted here. Pass a callable, such as `lambda lead: f'{lead.first} {lead.last}'`"
        )

    __bool__ = __iter__ = __call__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __format__ = __str__ = (
        _refuse
    )
    __len__ = __contains__ = __add__ = __radd__ = __int__ = __float__ = _refuse
    __hash__ = object.__hash__


class _Arguments:
    """`lt.arg`: the parameters of the decorated function, by attribute or item."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Reference("arg", name)

    def __getitem__(self, name: str) -> Any:
        return Reference("arg", name)

    def __repr__(self) -> str:
        return "lt.arg"


arg: Any = _Arguments()
"""The decorated function's parameters: `lt.arg.lead.id`, read when it is called."""
result: Any = Reference("result")
"""What the decorated function returns: `lt.result[0].name`, read when it has returned."""


class MissingValueError(LookupError):
    """A reference or callable found nothing at call time."""


@dataclass(slots=True, frozen=True)
class Late:
    """A reference or callable, made ready for one function's signature."""

    text: str
    needs_result: bool
    read: Callable[[tuple[Any, ...], Mapping[str, Any], Any], Any]
    """(args, kwargs, result) -> the value; raises `MissingValueError`."""


def is_late(value: object) -> bool:
    """Whether a value stands for one that is read later. Classes are values: an Enum or a type is never called."""
    return isinstance(value, Reference) or (callable(value) and not isinstance(value, type))


def late(value: object, signature: inspect.Signature | None, where: str) -> Late:
    """Make a reference or callable ready; `signature` None: there are no parameters (the `with` form), only a result."""
    if isinstance(value, Reference):
        return _reference(value, signature, where)
    assert callable(value)
    return _callable(value, signature, where)


def _reference(value: Reference, signature: inspect.Signature | None, where: str) -> Late:
    path = value._path
    if value._root == "result":
        return Late(repr(value), True, lambda _, __, found: _walk(found, path))
    if signature is None:
        raise DecorationError(f"{where}: {value!r} is for decorators; in the `with` form pass the value itself")
    get = _parameter(value._name, signature, where, repr(value))
    return Late(repr(value), False, lambda args, kwargs, _: _walk(get(args, kwargs), path))


def _walk(value: Any, path: tuple[tuple[bool, Any], ...]) -> Any:
    for item, key in path:
        try:
            value = (
                value[key] if item or (isinstance(value, Mapping) and not hasattr(value, key)) else getattr(value, key)
            )
        except Exception as problem:  # noqa: BLE001 - the host's own objects may raise anything
            shown = f"[{key!r}]" if item else f".{key}"
            raise MissingValueError(f"{type(value).__name__} has no {shown} ({type(problem).__name__})") from None
    return value


def _parameter(
    name: str, signature: inspect.Signature, where: str, shown: str
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], Any]:
    parameters = list(signature.parameters.values())
    for index, parameter in enumerate(parameters):
        if parameter.name == name:
            return _getter(index, parameter, {one.name for one in parameters})
    if any(one.kind is one.VAR_KEYWORD for one in parameters):

        def get_free(_: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
            if name in kwargs:
                return kwargs[name]
            raise MissingValueError(f"the call gave no {name}")

        return get_free
    there = ", ".join(one.name for one in parameters) or "none"
    raise DecorationError(
        f"{where}: {shown} names a parameter that is not there; the function's parameters are: {there}"
    )


def _getter(
    index: int, parameter: inspect.Parameter, named: set[str]
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], Any]:
    name, default = parameter.name, parameter.default
    if parameter.kind is parameter.VAR_POSITIONAL:
        return lambda args, _: args[index:]
    if parameter.kind is parameter.VAR_KEYWORD:
        return lambda _, kwargs: {key: one for key, one in kwargs.items() if key not in named}
    by_position = parameter.kind is not parameter.KEYWORD_ONLY
    by_name = parameter.kind is not parameter.POSITIONAL_ONLY

    def get(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if by_position and index < len(args):
            return args[index]
        if by_name and name in kwargs:
            return kwargs[name]
        if default is not parameter.empty:
            return default
        raise MissingValueError(f"the call gave no {name}")

    return get


def _callable(value: Callable[..., Any], signature: inspect.Signature | None, where: str) -> Late:
    shown = getattr(value, "__qualname__", repr(value))
    try:
        asked = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature: it gets the result
        return Late(shown, True, lambda _, __, found: _call(value, shown, (found,), {}))
    wanted = [
        one
        for one in asked
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        and (one.default is one.empty or one.name == "result" or (signature and one.name in signature.parameters))
    ]
    known = signature.parameters if signature is not None else {}
    if len(wanted) == 1 and wanted[0].name not in known:
        by_name = wanted[0].kind is wanted[0].KEYWORD_ONLY
        name = wanted[0].name
        if by_name:
            return Late(shown, True, lambda _, __, found: _call(value, shown, (), {name: found}))
        return Late(shown, True, lambda _, __, found: _call(value, shown, (found,), {}))
    getters: list[tuple[str, bool, Callable[[tuple[Any, ...], Mapping[str, Any]], Any] | None]] = []
    for one in wanted:
        positional = one.kind is one.POSITIONAL_ONLY
        if one.name == "result" and "result" not in known:
            getters.append((one.name, positional, None))
        elif signature is None:
            raise DecorationError(
                f"{where}: {shown} asks for {one.name}; in the `with` form it can get the result alone"
            )
        else:
            getters.append((one.name, positional, _parameter(one.name, signature, where, f"{shown}'s {one.name}")))

    def read(args: tuple[Any, ...], kwargs: Mapping[str, Any], found: Any) -> Any:
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for name, by_position, get in getters:
            got = found if get is None else get(args, kwargs)
            if by_position:
                positional.append(got)
            else:
                named[name] = got
        return _call(value, shown, tuple(positional), named)

    return Late(shown, any(get is None for _, _, get in getters), read)


def _call(value: Callable[..., Any], shown: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    try:
        return value(*args, **kwargs)
    except Exception as problem:
        raise MissingValueError(f"{shown} raised {type(problem).__name__}: {problem}") from problem
