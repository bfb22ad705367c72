"""Keeping the columnar copy: the writer's side, which lets files count, replaces and drops them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadtrace.errors import SourceError
from leadtrace.store.columns.copying import PER_FILE, add_ready, copy_new, remake
from leadtrace.store.columns.files import folder_of, missing, nobody_making, remove, remove_strangers
from leadtrace.store.columns.names import has_keys
from leadtrace.store.columns.register import drop_all, forget, register, registered, watch
from leadtrace.store.file import connect_reader, plainly

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Protocol

    import apsw

    from leadtrace.store.columns.copying import Made
    from leadtrace.store.columns.register import Registered

    class Writable(Protocol):
        """A store that is open for writing."""

        @property
        def path(self) -> Path: ...

        def writing(self) -> AbstractContextManager[apsw.Connection]:
            """Its one writing connection, for as long as nobody appends."""
            ...


__all__ = ["Upkeep"]


class Upkeep:
    """The columnar copy of a store that is open for writing. Any thread may use it, one at a time copies."""

    def __init__(self, store: Writable) -> None:
        self._store = store
        self._folder = folder_of(store.path)

    def state(self) -> Registered:
        """Which files count, and what changed since; waits for nobody who appends."""
        with plainly(self._store.path):
            connection = connect_reader(self._store.path)
            try:
                return registered(connection)
            finally:
                connection.close()

    def behind(self) -> int:
        """How many arrivals no file stands for that is there and of this version."""
        state = self.state()
        state.files = [one for one in state.files if has_keys(one.file) and (self._folder / one.file).exists()]
        gaps = [state.gaps(relation, state.arrival) for relation in (1, 2)]
        return max(sum(last - first + 1 for first, last in one) for one in gaps)

    def begin(self) -> int:
        """Before copying: note changes of all that is there from now on, and remove what no file counts of. Gives up to
        which arrival may be copied. Where what many rows refer to has changed, all files are dropped first, and those that
        somebody removed are copied anew."""
        if self.state().stale:
            self.drop()
        with self._store.writing() as connection:
            up_to = watch(connection)
            state = self._there(connection)
        remove_strangers(self._folder, {one.file for one in state.files})
        return up_to

    def _there(self, connection: apsw.Connection) -> Registered:
        """The files that count and are there; the others do not count any more."""
        state = registered(connection)
        there = {one.name for one in self._folder.iterdir()} if self._folder.is_dir() else set[str]()
        forget(connection, [one.file for one in state.files if one.file not in there])
        state.files = [one for one in state.files if one.file in there]
        return state

    def accept(self, made: Made) -> None:
        """Let a file count that was made, in place of what it replaces; one that came too late is removed."""
        with self._store.writing() as connection:
            accepted = register(connection, made.file, made.seen, made.erasures, made.replaced)
        for name in made.replaced if accepted else (made.file.file,):
            remove(self._folder, name)

    def copy(self, told: Callable[[Made], None] | None = None, per_file: int = PER_FILE) -> int:
        """Copy all that is there now, put small files together, make changed ones anew; `told` of each file. Gives how many.

        Raises SourceError where something is not installed, or cannot be written.
        """
        if lacking := missing():
            raise SourceError(f"the store's columns cannot be made: {lacking}")
        self.begin()
        add_ready(self._store.path)
        count = 0
        for making in (copy_new(self._store.path, per_file), remake(self._store.path)):
            for made in making:
                self.accept(made)
                count += 1
                if told:
                    told(made)
        return count

    def settle(self) -> int:
        """Make every file anew that has rows which were changed or deleted, so that nothing of them is left; gives how many.

        Without what it takes to write them they are dropped; the rows are there, and are copied again some day.
        """
        with nobody_making(self._folder):  # else a file with what is gone could come after this
            with self._store.writing() as connection:
                state = self._there(connection)
            remove_strangers(self._folder, {one.file for one in state.files})
        if not state.files:
            return 0
        if state.stale or (missing() and any(state.changed_in(one) for one in state.files)):
            return self.drop()
        count = 0
        for made in remake(self._store.path, every_changed=True):
            self.accept(made)
            count += 1
        return count

    def drop(self) -> int:
        """Drop every file; gives how many there were."""
        with self._store.writing() as connection:
            names = drop_all(connection)
        for name in names:
            remove(self._folder, name)
        return len(names)
