"""A pickle read as plain data, on a small stack machine that can neither import nor call what the pickle names.

`pickle.Unpickler` with a checked `find_class` is not enough for files of strangers: it still sets attributes on what it
built, hashes nested tuples (which takes exponential time, or crashes the interpreter) and sizes its memo as it is told.
Here a name stays a name, the few that may be called have a builder of the caller's, and work and memory are bounded.
Objects of other classes, which training leaves beside the weights, become a `Foreign` that holds nothing of them.
"""

import pickle  # for the names of its operations only
from collections.abc import Callable, Mapping

from fastrecon_jax.encoders.checkpoints.pickle_machine import Machine
from fastrecon_jax.encoders.checkpoints.pickle_names import Foreign, Name

__all__ = ["Foreign", "Name", "load"]

MAX_OPERATIONS = 2_000_000  # a state dict takes about 35 for each tensor

Builder = Callable[[tuple], object]


def load(
    data: bytes,
    start: int,
    *,
    names: Mapping[str, Builder | None],
    persistent: Callable[[object], object],
    skip_foreign: bool = False,
) -> tuple[object, int]:
    """Read one pickle out of `data`.

    Args:
        data: bytes that hold the pickle, and whatever follows it.
        start: where the pickle begins.
        names: the names it may refer to, as "module.attribute"; one that may be called comes with a builder, which gets
            the tuple of arguments and raises ValueError where they are wrong.
        persistent: builds what a persistent id stands for.
        skip_foreign: whether it may hold objects of other classes, and dicts with keys of other types than str and
            small int, whose entries are left out; otherwise either is refused.

    Returns:
        The object, made of None, bool, int, float, str, tuple, list, dict, `Name`, `Foreign` and what the builders
        return (an OrderedDict is a dict), and the position behind the pickle.

    Raises:
        ValueError: the pickle is damaged, refers to another name, or needs an operation that tensors do not need.
    """
    machine = Machine(data, start, names, persistent, skip_foreign=skip_foreign, most=MAX_OPERATIONS)
    try:
        return _run(machine), machine.position
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"its pickle is damaged before byte {machine.position}") from error


def _run(machine):
    for _ in range(machine.most):
        code = machine.take(1)
        if code == pickle.STOP:
            return machine.stack.pop()
        if code not in _OPERATIONS:
            raise ValueError(f"byte {machine.position - 1} holds the pickle operation {code!r}, which no tensor needs")
        _OPERATIONS[code](machine)
    raise ValueError(f"its pickle takes more than {machine.most} operations")


def _push(make):
    def operation(machine):
        value = make(machine)  # first, because it may change which stack is the current one
        machine.stack.append(value)

    return operation


def _left_out(kind, form=None):
    """A value that is neither a tensor nor part of a name: its bytes are passed over."""

    def operation(machine):
        if form:
            machine.take(machine.number(form))
        machine.stack.append(Foreign(kind))

    return operation


def _text(form, encoding="utf-8"):
    return _push(lambda machine: machine.take(machine.number(form)).decode(encoding))


_OPERATIONS = {
    pickle.PROTO: Machine.protocol,
    pickle.FRAME: lambda machine: machine.take(8),
    pickle.MARK: Machine.mark,
    pickle.NONE: _push(lambda machine: None),
    pickle.NEWTRUE: _push(lambda machine: True),
    pickle.NEWFALSE: _push(lambda machine: False),
    pickle.BININT: _push(lambda machine: machine.number("<i")),
    pickle.BININT1: _push(lambda machine: machine.number("<B")),
    pickle.BININT2: _push(lambda machine: machine.number("<H")),
    pickle.LONG1: Machine.long,
    pickle.LONG4: _left_out("int", "<I"),
    pickle.BINFLOAT: _push(lambda machine: machine.number(">d")),
    pickle.BINUNICODE: _text("<I"),
    pickle.BINUNICODE8: _text("<Q"),
    pickle.SHORT_BINUNICODE: _text("<B"),
    pickle.BINSTRING: _text("<I", "latin-1"),  # str of Python 2
    pickle.SHORT_BINSTRING: _text("<B", "latin-1"),
    pickle.BINBYTES: _left_out("bytes", "<I"),
    pickle.BINBYTES8: _left_out("bytes", "<Q"),
    pickle.SHORT_BINBYTES: _left_out("bytes", "<B"),
    pickle.BYTEARRAY8: _left_out("bytearray", "<Q"),
    pickle.EMPTY_SET: _left_out("set"),
    pickle.ADDITEMS: Machine.add_items,
    pickle.FROZENSET: Machine.frozen_set,
    pickle.EMPTY_TUPLE: lambda machine: machine.tuple_of(0),
    pickle.TUPLE1: lambda machine: machine.tuple_of(1),
    pickle.TUPLE2: lambda machine: machine.tuple_of(2),
    pickle.TUPLE3: lambda machine: machine.tuple_of(3),
    pickle.TUPLE: _push(lambda machine: tuple(machine.since_mark())),
    pickle.EMPTY_LIST: _push(lambda machine: []),
    pickle.APPEND: Machine.append,
    pickle.APPENDS: Machine.appends,
    pickle.EMPTY_DICT: _push(lambda machine: {}),
    pickle.SETITEM: Machine.set_item,
    pickle.SETITEMS: Machine.set_items,
    pickle.BINPUT: lambda machine: machine.put(machine.number("<B")),
    pickle.LONG_BINPUT: lambda machine: machine.put(machine.number("<I")),
    pickle.MEMOIZE: lambda machine: machine.put(len(machine.memo)),
    pickle.BINGET: lambda machine: machine.get(machine.number("<B")),
    pickle.LONG_BINGET: lambda machine: machine.get(machine.number("<I")),
    pickle.GLOBAL: lambda machine: machine.name(machine.line(), machine.line()),
    pickle.STACK_GLOBAL: Machine.name_on_stack,
    pickle.REDUCE: Machine.reduce,
    pickle.NEWOBJ: lambda machine: machine.new_object(2),
    pickle.NEWOBJ_EX: lambda machine: machine.new_object(3),
    pickle.BUILD: Machine.build,
    pickle.BINPERSID: Machine.persistent_id,
}
