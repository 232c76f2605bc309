"""The stack machine that a pickle is a program for, with the operations that plain data need; see `safe_pickle`."""

import pickle  # for the number of its newest protocol only
import struct

from fastrecon_jax.encoders.checkpoints.pickle_names import MAX_LINE, Foreign, Name, is_hostile, is_key, is_plain_tuple


class Machine:
    """The stack, the stacks below each mark, and the memo of one pickle."""

    def __init__(self, data, start, names, persistent, *, skip_foreign, most):
        self.data, self.position, self.skip_foreign = data, start, skip_foreign
        self.names = {"collections.OrderedDict": self.ordered_dict, **names}
        self.persistent = persistent
        self.stack, self.below, self.memo = [], [], {}
        self.most = self.spare_items = most  # of operations, places in the memo, and pairs

    def take(self, count):
        """The next bytes of the pickle."""
        start, self.position = self.position, self.position + count
        if self.position > len(self.data):
            raise ValueError(f"the file ends at byte {len(self.data)}, in the middle of a pickle")
        return self.data[start : self.position]

    def number(self, form):
        """The next number, in a form of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self):
        """The next line of text, without its end."""
        end = self.data.find(b"\n", self.position, self.position + MAX_LINE)
        if end < 0:
            raise ValueError(f"byte {self.position} should begin a line of text")
        return self.take(end + 1 - self.position)[:-1].decode()

    def pop(self, kind):
        """The uppermost value, which must be of a kind."""
        value = self.stack.pop()
        if type(value) is not kind:
            raise ValueError(f"its pickle is damaged: {type(value).__name__} where {kind.__name__} belongs")
        return value

    def top(self, kind):
        """The uppermost value, which must be of a kind and stays."""
        value = self.pop(kind)
        self.stack.append(value)
        return value

    def mark(self):
        """Begin a stack above the present one."""
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self):
        """The values since the last mark, which is taken away."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def protocol(self):
        """Refuse a protocol that is not known."""
        version = self.number("<B")
        if version > pickle.HIGHEST_PROTOCOL:
            raise ValueError(f"its pickle has protocol {version}; at most {pickle.HIGHEST_PROTOCOL} is known")

    def long(self):
        """Push an integer of up to 255 bytes."""
        self.stack.append(int.from_bytes(self.take(self.number("<B")), "little", signed=True))

    def tuple_of(self, count):
        """Make a tuple of the uppermost values."""
        if count > len(self.stack):
            raise IndexError(count)
        first = len(self.stack) - count
        self.stack[first:] = [tuple(self.stack[first:])]

    def put(self, index):
        """Remember the uppermost value."""
        if index >= self.most:
            raise ValueError(f"its pickle has memo index {index}; at most {self.most - 1} is allowed")
        self.memo[index] = self.stack[-1]

    def get(self, index):
        """Push a value that was remembered."""
        if index not in self.memo:
            raise ValueError(f"its pickle is damaged: nothing was put at memo index {index}")
        self.stack.append(self.memo[index])

    def holds_foreign(self):
        """Whether the uppermost value is a `Foreign`, into which nothing is put."""
        return type(self.stack[-1]) is Foreign

    def append(self):
        """Put the uppermost value into the list below it."""
        value = self.stack.pop()
        if not self.holds_foreign():
            self.top(list).append(value)

    def appends(self):
        """Put the values since the mark into the list below it."""
        items = self.since_mark()
        if not self.holds_foreign():
            self.top(list).extend(items)

    def set_item(self):
        """Put the two uppermost values, a key and its value, into the dict below them."""
        value, key = self.stack.pop(), self.stack.pop()
        if not self.holds_foreign():
            self.store(self.top(dict), [key], [value])

    def set_items(self):
        """Put the keys and values since the mark into the dict below it."""
        items = self.since_mark()
        if not self.holds_foreign():
            self.store(self.top(dict), items[::2], items[1::2])

    def add_items(self):
        """Leave out the items of a set."""
        self.since_mark()
        self.top(Foreign)  # a set, whose items are not kept

    def frozen_set(self):
        """Leave out the items of a frozen set."""
        self.since_mark()
        self.stack.append(Foreign("frozenset"))

    def store(self, target, keys, values):
        """Put keys and values into a dict, those left out whose hash costs something."""
        if len(keys) != len(values):
            raise ValueError("its pickle is damaged: a key without a value")
        for key, value in zip(keys, values, strict=True):
            if is_key(key):
                target[key] = value
            elif not self.skip_foreign or (type(key) is tuple and not is_plain_tuple(key)):
                raise ValueError(f"a dict has a key of type {type(key).__name__}; str and small int are allowed")

    def name(self, module, attribute):
        """Push what a module holds, as a name alone."""
        text = f"{module}.{attribute}"
        if text in self.names:
            self.stack.append(Name(text))
        elif self.skip_foreign and not is_hostile(module, attribute):
            self.stack.append(Foreign(text[:MAX_LINE]))
        else:
            raise ValueError(f"it refers to {text[:MAX_LINE]!r}, which is not part of a plain state dict")

    def name_on_stack(self):
        """The same, with both parts on the stack."""
        attribute, module = self.pop(str), self.pop(str)
        self.name(module, attribute)

    def reduce(self):
        """Call the builder of a name with its arguments; with anything foreign among them the result is foreign."""
        arguments = self.pop(tuple)
        foreign = [part for part in (self.stack[-1], *arguments) if type(part) is Foreign]
        if foreign:
            self.stack[-1] = foreign[0]
            return
        name = self.pop(Name)
        builder = self.names[name.text]
        if builder is None:
            raise ValueError(f"it calls {name.text}, which is not allowed")
        self.stack.append(builder(arguments))

    def build(self):
        """Leave out the state of the uppermost object."""
        self.stack.pop()  # the attributes of a state dict (its _metadata), which are no tensors
        if not self.holds_foreign():
            self.top(dict)

    def new_object(self, parts):
        """Take a class and the arguments of its constructor off the stack, all of them foreign."""
        self.tuple_of(parts)
        kind = self.stack.pop()[0]
        if type(kind) is not Foreign:
            raise ValueError(f"it makes an object of {kind.text if type(kind) is Name else 'no class'}")
        self.stack.append(kind)

    def persistent_id(self):
        """Push what an id stands for."""
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
        self.store(built, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
        return built
