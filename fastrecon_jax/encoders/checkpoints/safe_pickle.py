"""A pickle read as plain data, on a small stack machine that can neither import nor call what the pickle names.

`pickle.Unpickler` with a checked `find_class` is not enough for files of strangers: it still sets attributes on what it
built, hashes nested tuples (which takes exponential time, or crashes the interpreter) and sizes its memo as it is told.
Here a name stays a name, the few that may be called have a builder of the caller's, and work and memory are bounded.
"""

import dataclasses
import pickle  # for the names of its operations only
import struct
from collections.abc import Callable, Mapping

MAX_OPERATIONS = 2_000_000  # a state dict takes about 35 for each tensor
_MAX_KEY = 2**31  # larger integers can be chosen to collide in a dict
_MAX_LINE = 256

Builder = Callable[[tuple], object]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Name:
    """What the pickle refers to by module and attribute; it is never imported."""

    text: str


def load(
    data: bytes, start: int, *, names: Mapping[str, Builder | None], persistent: Callable[[object], object]
) -> tuple[object, int]:
    """Read one pickle out of `data`.

    Args:
        data: bytes that hold the pickle, and whatever follows it.
        start: where the pickle begins.
        names: the names it may refer to, as "module.attribute"; one that may be called comes with a builder, which gets
            the tuple of arguments and raises ValueError where they are wrong.
        persistent: builds what a persistent id stands for.

    Returns:
        The object, made of None, bool, int, float, str, tuple, list, dict, `Name` and what the builders return (an
        OrderedDict is a dict), and the position behind the pickle.

    Raises:
        ValueError: the pickle is damaged, refers to another name, or needs an operation that tensors do not need.
    """
    machine = _Machine(data, start, names, persistent)
    try:
        return machine.run(), machine.position
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"its pickle is damaged before byte {machine.position}") from error


class _Machine:
    """The stack, the stacks below each mark, and the memo of one pickle."""

    def __init__(self, data, start, names, persistent):
        self.data, self.position = data, start
        self.names = {"collections.OrderedDict": self.ordered_dict, **names}
        self.persistent = persistent
        self.stack, self.below, self.memo = [], [], {}
        self.spare_items = MAX_OPERATIONS

    def run(self):
        for _ in range(MAX_OPERATIONS):
            code = self.take(1)
            if code == pickle.STOP:
                return self.stack.pop()
            if code not in _OPERATIONS:
                raise ValueError(f"byte {self.position - 1} holds the pickle operation {code!r}, which no tensor needs")
            _OPERATIONS[code](self)
        raise ValueError(f"its pickle takes more than {MAX_OPERATIONS} operations")

    def take(self, count):
        start, self.position = self.position, self.position + count
        if self.position > len(self.data):
            raise ValueError(f"the file ends at byte {len(self.data)}, in the middle of a pickle")
        return self.data[start : self.position]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self):
        end = self.data.find(b"\n", self.position, self.position + _MAX_LINE)
        if end < 0:
            raise ValueError(f"byte {self.position} should begin a line of text")
        return self.take(end + 1 - self.position)[:-1].decode()

    def pop(self, kind):
        value = self.stack.pop()
        if type(value) is not kind:
            raise ValueError(f"its pickle is damaged: {type(value).__name__} where {kind.__name__} belongs")
        return value

    def top(self, kind):
        value = self.pop(kind)
        self.stack.append(value)
        return value

    def mark(self):
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self):
        items, self.stack = self.stack, self.below.pop()
        return items

    def protocol(self):
        version = self.number("<B")
        if version > pickle.HIGHEST_PROTOCOL:
            raise ValueError(f"its pickle has protocol {version}; at most {pickle.HIGHEST_PROTOCOL} is known")

    def long(self):
        self.stack.append(int.from_bytes(self.take(self.number("<B")), "little", signed=True))

    def tuple_of(self, count):
        if count > len(self.stack):
            raise IndexError(count)
        first = len(self.stack) - count
        self.stack[first:] = [tuple(self.stack[first:])]

    def put(self, index):
        if index >= MAX_OPERATIONS:
            raise ValueError(f"its pickle has memo index {index}; at most {MAX_OPERATIONS - 1} is allowed")
        self.memo[index] = self.stack[-1]

    def get(self, index):
        if index not in self.memo:
            raise ValueError(f"its pickle is damaged: nothing was put at memo index {index}")
        self.stack.append(self.memo[index])

    def append(self):
        value = self.stack.pop()
        self.top(list).append(value)

    def appends(self):
        items = self.since_mark()
        self.top(list).extend(items)

    def set_item(self):
        value, key = self.stack.pop(), self.stack.pop()
        _store(self.top(dict), [key], [value])

    def set_items(self):
        items = self.since_mark()
        _store(self.top(dict), items[::2], items[1::2])

    def name(self, module, attribute):
        text = f"{module}.{attribute}"
        if text not in self.names:
            raise ValueError(f"it refers to {text[:_MAX_LINE]!r}, which is not part of a plain state dict")
        self.stack.append(Name(text))

    def name_on_stack(self):
        attribute, module = self.pop(str), self.pop(str)
        self.name(module, attribute)

    def reduce(self):
        arguments, name = self.pop(tuple), self.pop(Name)
        builder = self.names[name.text]
        if builder is None:
            raise ValueError(f"it calls {name.text}, which is not allowed")
        self.stack.append(builder(arguments))

    def build(self):
        self.stack.pop()  # the attributes of a state dict (its _metadata), which are no tensors
        self.top(dict)

    def persistent_id(self):
        self.stack.append(self.persistent(self.stack.pop()))

    def ordered_dict(self, arguments):
        """Build from no argument (Python 3) or from one list of pairs (Python 2)."""
        pairs = arguments[0] if arguments else []
        if len(arguments) > 1 or type(pairs) is not list:
            raise ValueError("its pickle is damaged: an OrderedDict is made of one list of pairs")
        self.spare_items -= len(pairs)  # a list in the memo can be named again and again
        if self.spare_items < 0 or any(type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs):
            raise ValueError("its pickle is damaged: an OrderedDict of too many items or of items that are no pairs")
        built = {}
        _store(built, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
        return built


def _store(target, keys, values):
    if len(keys) != len(values):
        raise ValueError("its pickle is damaged: a key without a value")
    for key, value in zip(keys, values, strict=True):
        # Only keys whose hash costs nothing and cannot be chosen to collide.
        if type(key) is not str and not (type(key) is int and abs(key) <= _MAX_KEY):
            raise ValueError(f"a dict has a key of type {type(key).__name__}; str and small int are allowed")
        target[key] = value


def _push(make):
    def operation(machine):
        value = make(machine)  # first, because it may change which stack is the current one
        machine.stack.append(value)

    return operation


def _text(form, encoding="utf-8"):
    return _push(lambda machine: machine.take(machine.number(form)).decode(encoding))


_OPERATIONS = {
    pickle.PROTO: _Machine.protocol,
    pickle.FRAME: lambda machine: machine.take(8),
    pickle.MARK: _Machine.mark,
    pickle.NONE: _push(lambda machine: None),
    pickle.NEWTRUE: _push(lambda machine: True),
    pickle.NEWFALSE: _push(lambda machine: False),
    pickle.BININT: _push(lambda machine: machine.number("<i")),
    pickle.BININT1: _push(lambda machine: machine.number("<B")),
    pickle.BININT2: _push(lambda machine: machine.number("<H")),
    pickle.LONG1: _Machine.long,
    pickle.BINFLOAT: _push(lambda machine: machine.number(">d")),
    pickle.BINUNICODE: _text("<I"),
    pickle.BINUNICODE8: _text("<Q"),
    pickle.SHORT_BINUNICODE: _text("<B"),
    pickle.BINSTRING: _text("<I", "latin-1"),  # str of Python 2
    pickle.SHORT_BINSTRING: _text("<B", "latin-1"),
    pickle.EMPTY_TUPLE: lambda machine: machine.tuple_of(0),
    pickle.TUPLE1: lambda machine: machine.tuple_of(1),
    pickle.TUPLE2: lambda machine: machine.tuple_of(2),
    pickle.TUPLE3: lambda machine: machine.tuple_of(3),
    pickle.TUPLE: _push(lambda machine: tuple(machine.since_mark())),
    pickle.EMPTY_LIST: _push(lambda machine: []),
    pickle.APPEND: _Machine.append,
    pickle.APPENDS: _Machine.appends,
    pickle.EMPTY_DICT: _push(lambda machine: {}),
    pickle.SETITEM: _Machine.set_item,
    pickle.SETITEMS: _Machine.set_items,
    pickle.BINPUT: lambda machine: machine.put(machine.number("<B")),
    pickle.LONG_BINPUT: lambda machine: machine.put(machine.number("<I")),
    pickle.MEMOIZE: lambda machine: machine.put(len(machine.memo)),
    pickle.BINGET: lambda machine: machine.get(machine.number("<B")),
    pickle.LONG_BINGET: lambda machine: machine.get(machine.number("<I")),
    pickle.GLOBAL: lambda machine: machine.name(machine.line(), machine.line()),
    pickle.STACK_GLOBAL: _Machine.name_on_stack,
    pickle.REDUCE: _Machine.reduce,
    pickle.BUILD: _Machine.build,
    pickle.BINPERSID: _Machine.persistent_id,
}
