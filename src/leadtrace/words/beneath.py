"""The words as methods of a handle: each opens beneath it, wherever it is called.

For type checkers they are written out, with the signatures of `vocabulary` (a test compares); at run time they are found
there by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal

    from leadtrace.words.answers import Money
    from leadtrace.words.vocabulary import Expected
    from leadtrace.words.word import Word

__all__ = ["Beneath"]


class Beneath:
    """What has the words as methods."""

    __slots__ = ()

    if TYPE_CHECKING:

        def flow(
            self,
            name: str = ...,
            /,
            *,
            id: Any = ...,  # noqa: A002 - the field is called so
            version: Any = ...,
            source: Any = ...,
            campaign: Any = ...,
            campaign_group: Any = ...,
            ends: Literal["here", "elsewhere"] = ...,
            new_trace: bool = ...,
            lead_id: Any = ...,
            tenant: Any = ...,
            expected: Expected = ...,
            attributes: Mapping[str, Any] | None = ...,
            **fields: Any,
        ) -> Word: ...

        def step(
            self,
            name: str = ...,
            /,
            *,
            lead_id: Any = ...,
            lead_ids: Any = ...,
            tenant: Any = ...,
            expected: Expected = ...,
            attributes: Mapping[str, Any] | None = ...,
            **fields: Any,
        ) -> Word: ...

        def enhancement(
            self,
            name: str = ...,
            /,
            *,
            service: Any = ...,
            step_id: Any = ...,
            position: Any = ...,
            cost: Callable[..., Any] | Money | None = ...,
            currency: str | None = ...,
            data: Callable[..., Any] | Sequence[str] | str | None = ...,
            provides: Sequence[str] | None = ...,
            outcome: Callable[..., Any] | None = ...,
            lead_id: Any = ...,
            lead_ids: Any = ...,
            tenant: Any = ...,
            expected: Expected = ...,
            attributes: Mapping[str, Any] | None = ...,
            **fields: Any,
        ) -> Word: ...

        def delivery(
            self,
            buyer: Any = ...,
            *,
            answer: Callable[..., Any] | None = ...,
            currency: str | None = ...,
            lead_id: Any = ...,
            lead_ids: Any = ...,
            tenant: Any = ...,
            expected: Expected = ...,
            attributes: Mapping[str, Any] | None = ...,
            **fields: Any,
        ) -> Word: ...

        def attempt(
            self,
            name: str = ...,
            /,
            *,
            number: Any = ...,
            max_attempts: Any = ...,
            outcome: Callable[..., Any] | None = ...,
            wait_ms: Any = ...,
            will_retry: Any = ...,
            lead_id: Any = ...,
            tenant: Any = ...,
            expected: Expected = ...,
            attributes: Mapping[str, Any] | None = ...,
            **fields: Any,
        ) -> Word: ...

        def validation(
            self,
            name: str = ...,
            /,
            *,
            passed: Callable[..., Any] | bool | None = ...,
            reason: Callable[..., Any] | str | None = ...,
            lead_id: Any = ...,
            tenant: Any = ...,
            expected: Expected = ...,
            attributes: Mapping[str, Any] | None = ...,
            **fields: Any,
        ) -> Word: ...

        def rule(
            self,
            name: str = ...,
            /,
            *,
            passed: Callable[..., Any] | bool | None = ...,
            reason: Callable[..., Any] | str | None = ...,
            lead_id: Any = ...,
            tenant: Any = ...,
            expected: Expected = ...,
            attributes: Mapping[str, Any] | None = ...,
            **fields: Any,
        ) -> Word: ...

        def fallback(
            self,
            name: str = ...,
            /,
            *,
            instead_of: Any = ...,
            lead_id: Any = ...,
            tenant: Any = ...,
            expected: Expected = ...,
            attributes: Mapping[str, Any] | None = ...,
            **fields: Any,
        ) -> Word: ...

        def resume(
            self,
            carried: Any = ...,
            *,
            ends_flow: bool = ...,
            lead_id: Any = ...,
            tenant: Any = ...,
            expected: Expected = ...,
            attributes: Mapping[str, Any] | None = ...,
            **fields: Any,
        ) -> Word: ...

    else:

        def __getattr__(self, name: str) -> Any:
            from leadtrace.words import vocabulary

            if name not in vocabulary.WORDS:
                known = ", ".join(sorted(vocabulary.WORDS))
                raise AttributeError(f"a handle has no {name!r}; it has the words {known}")
            make = getattr(vocabulary, name)

            def under(*args: Any, **kwargs: Any) -> Any:
                made = make(*args, **kwargs)
                if not hasattr(made, "under"):
                    raise TypeError(f"handle.{name} takes a name; as a decorator write @handle.{name}(…)")
                return made.under(self)

            return under
