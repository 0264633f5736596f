"""Put a changed module into the place of one that is already imported, wherever its parts are held.

Functions keep their identity and get another code, so that ``from module import function`` elsewhere sees the change;
classes keep theirs and get other methods; objects and dicts get other contents; what cannot be changed in place, such
as a number, is bound anew in every module that has it under the same name.
"""

import sys
from types import CellType, FunctionType, ModuleType
from typing import Any

LEFT = frozenset(
    {"__dict__", "__weakref__", "__module__", "__doc__", "_abc_impl", "__builtins__", "__spec__"}
)
"""Names of a class or module that are not its own."""


def graft(module: ModuleType, source: str) -> None:
    """Make an imported module behave like another source.

    Raises:
        Exception: Whatever the other source raises while it is run.
    """
    fresh = {name: getattr(module, name) for name in ("__name__", "__file__", "__package__", "__loader__")}
    exec(compile(source, str(module.__file__), "exec", dont_inherit=True), fresh)
    changed = {}
    for name, new in fresh.items():
        if name not in LEFT and name not in ("__name__", "__file__", "__package__", "__loader__"):
            old = module.__dict__.get(name)
            if not _in_place(old, new, module.__name__, set()):
                changed[name] = (old, new)
    for name, (old, new) in changed.items():
        for other in list(sys.modules.values()):
            if other is module or (_reads(other) and other.__dict__.get(name) is old):
                setattr(other, name, new)


def forget(module: ModuleType) -> None:
    """Let go what functions of a module have kept of earlier calls."""
    for value in vars(module).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def _reads(module: Any) -> bool:
    return isinstance(module, ModuleType) and module.__name__.partition(".")[0] in ("cacr", "tests")


def _in_place(old: Any, new: Any, home: str, seen: set[int]) -> bool:
    """Whether old now behaves like new; False where it has to be replaced."""
    if old is new or id(old) in seen:
        return True
    if type(old).__qualname__ != type(new).__qualname__:
        return False
    if type(old) in (int, float, complex, str, bytes, bool, tuple, frozenset):
        return bool(old == new)
    seen.add(id(old))
    if isinstance(old, FunctionType):
        return _function(old, new, home, seen)
    if isinstance(old, type):
        return old.__module__ != home or _class(old, new, home, seen)
    if isinstance(old, property):
        return all(_in_place(a, b, home, seen) for a, b in ((old.fget, new.fget), (old.fset, new.fset)))
    if isinstance(old, staticmethod | classmethod):
        return _in_place(old.__func__, new.__func__, home, seen)
    if hasattr(old, "cache_clear"):
        old.cache_clear()
        return _in_place(old.__wrapped__, new.__wrapped__, home, seen)
    if isinstance(old, dict):
        _contents(old, new, home, seen)
        return True
    if type(old).__module__ == home and hasattr(old, "__dict__"):
        _contents(vars(old), vars(new), home, seen)
        return True
    return False


def _function(old: FunctionType, new: FunctionType, home: str, seen: set[int]) -> bool:
    if len(old.__code__.co_freevars) != len(new.__code__.co_freevars):
        return False
    if old.__module__ != home:  # a wrapper that stands around one of ours
        inner = getattr(old, "__wrapped__", None), getattr(new, "__wrapped__", None)
        return inner[0] is None or _in_place(*inner, home, seen)
    wrapped = getattr(old, "__wrapped__", None)
    if wrapped is not None:
        return _in_place(wrapped, getattr(new, "__wrapped__", None), home, seen)
    for mine, other in zip(old.__closure__ or (), new.__closure__ or (), strict=True):
        _cell(mine, other, home, seen)
    old.__code__, old.__kwdefaults__ = new.__code__, new.__kwdefaults__
    old.__defaults__ = _kept(old.__defaults__, new.__defaults__, home, seen)
    return True


def _kept(old: Any, new: Any, home: str, seen: set[int]) -> Any:
    """New defaults, but old objects where those were changed in place."""
    if old is None or new is None or len(old) != len(new):
        return new
    return tuple(a if _in_place(a, b, home, seen) else b for a, b in zip(old, new, strict=True))


def _cell(mine: CellType, other: CellType, home: str, seen: set[int]) -> None:
    if not _in_place(mine.cell_contents, other.cell_contents, home, seen):
        mine.cell_contents = other.cell_contents


def _class(old: type, new: type, home: str, seen: set[int]) -> bool:
    for name, value in list(vars(new).items()):
        if name not in LEFT and not _in_place(vars(old).get(name), value, home, seen):
            setattr(old, name, value)
    return True


def _contents(old: dict[Any, Any], new: dict[Any, Any], home: str, seen: set[int]) -> None:
    for key in [key for key in old if key not in new]:
        del old[key]
    for key, value in new.items():
        if key not in old or not _in_place(old[key], value, home, seen):
            old[key] = value
