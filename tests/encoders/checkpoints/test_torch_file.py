import argparse
import builtins
import collections
import datetime
import decimal
import functools
import os
import pathlib
import pickle
import random
import re
import time
import zipfile

import numpy as np
import pytest

from fastrecon_jax.encoders.checkpoints import safe_pickle, torch_file
from fastrecon_jax.errors import InputError

from . import torch_writer
from .torch_writer import Call, Storage, save, tensor, view

FORMS = ("zip", "old")
VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def small(form, **options):
    weights = collections.OrderedDict(weight=tensor(VALUES), bias=tensor(np.ones(3)), seen=tensor(np.array(7)))
    return save(weights, form, **options)


def read(tmp_path, data):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return torch_file.read(path)


def pickled(body):
    """A zip archive with this pickle, and a storage "0" of 10 float32."""
    return torch_writer.pack({"data.pkl": b"\x80\x02" + body, "data/0": bytes(40)})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_state_dict_comes_back(tmp_path, form, protocol):
    tensors = read(tmp_path, small(form, protocol=protocol))
    assert list(tensors) == ["weight", "bias", "seen"]
    np.testing.assert_array_equal(tensors["weight"], VALUES, strict=True)
    np.testing.assert_array_equal(tensors["bias"], np.ones(3), strict=True)
    np.testing.assert_array_equal(tensors["seen"], np.array(7), strict=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?"])
def test_every_type_comes_back(tmp_path, form, dtype):
    values = np.array([[0, 1, 2], [3, 100, 7]]).astype(dtype)
    np.testing.assert_array_equal(read(tmp_path, save({"a": tensor(values)}, form))["a"], values, strict=True)


@pytest.mark.parametrize("form", FORMS)
def test_bfloat16_becomes_float32(tmp_path, form):
    values = np.array([1.0, -2.5, 3.0e38, np.inf], np.float32)
    bits = Storage((values.view(np.uint32) >> 16).astype(np.uint16), "BFloat16")
    expected = (values.view(np.uint32) & 0xFFFF0000).view(np.float32)
    np.testing.assert_array_equal(read(tmp_path, save({"a": view(bits, (4,), (1,))}, form))["a"], expected, strict=True)


def test_types_of_newer_torch_come_back(tmp_path):
    values = np.array([1, 65535], np.uint16)
    untyped = Storage(values.view(np.uint8), "Untyped")
    call = Call("_rebuild_tensor_v3", untyped, 0, (2,), (1,), False, {}, torch_writer.TORCH.uint16)
    np.testing.assert_array_equal(read(tmp_path, save({"a": call}, "zip"))["a"], values, strict=True)


@pytest.mark.parametrize("form", FORMS)
def test_views_share_a_storage(tmp_path, form):
    shared = Storage(VALUES, "Float")
    views = {
        "all": view(shared, (2, 3, 4), (12, 4, 1)),
        "transposed": view(shared, (4, 3), (1, 4), 12),
        "every_other": view(shared, (3,), (2,), 1),
        "repeated": view(shared, (5, 2), (0, 1), 3),
        "one": view(shared, (), (), 23),
        "none": view(shared, (0, 3), (3, 1), 24),
        "odd_stride": view(shared, (1, 2), (999, 1), 22),
    }
    tensors = read(tmp_path, save(views, form))
    flat = VALUES.reshape(-1)
    np.testing.assert_array_equal(tensors["all"], VALUES)
    np.testing.assert_array_equal(tensors["transposed"], VALUES[1].T)
    np.testing.assert_array_equal(tensors["every_other"], flat[1:7:2])
    np.testing.assert_array_equal(tensors["repeated"], np.broadcast_to(flat[3:5], (5, 2)))
    np.testing.assert_array_equal(tensors["one"], flat[23], strict=True)
    np.testing.assert_array_equal(tensors["odd_stride"], flat[None, 22:])
    assert tensors["none"].shape == (0, 3)
    tensors["all"][:] = 0  # each has memory of its own
    assert tensors["one"] == 23


@pytest.mark.parametrize("form", FORMS)
def test_parameters_and_the_oldest_tensors(tmp_path, form):
    held = tensor(VALUES)
    holder = {
        "parameter": Call("_rebuild_parameter", held, True, collections.OrderedDict()),
        "with_state": Call("_rebuild_parameter_with_state", held, True, {}, {"note": "x"}),
        "oldest": Call("_rebuild_tensor", Storage(VALUES, "Float"), 0, (24,), (1,)),
    }
    tensors = read(tmp_path, save(holder, form))
    np.testing.assert_array_equal(tensors["parameter"], VALUES)
    np.testing.assert_array_equal(tensors["with_state"], VALUES)
    np.testing.assert_array_equal(tensors["oldest"], VALUES.reshape(-1))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "net", "ema", "state_dict_ema"])
def test_wrapped_state_dict(tmp_path, form, wrapper):
    inner = {"module.a": tensor(VALUES), "module.b.c": tensor(VALUES), "module.note": "plain"}
    holder = {"epoch": 3, "best": 0.5, "args": {"x": [1, None, (True, "y")]}, wrapper: inner, "optimizer": {0: [inner]}}
    assert list(read(tmp_path, save(holder, form))) == ["module.a", "module.b.c"]


def test_wrappers_inside_each_other_and_averages_beside_the_weights(tmp_path):
    weights, average = {"a": tensor(VALUES)}, {"a": tensor(VALUES + 1)}
    for holder in (
        {"model": {"state_dict": weights, "config": {"lr": 0.1}}, "ema": average},
        {"state_dict": weights, "state_dict_ema": average, "model": {"name": "x"}},
        {"net": {"model": {"weights": weights}}, "model_ema": {"state_dict": average}},
    ):
        np.testing.assert_array_equal(read(tmp_path, save(holder, "zip"))["a"], VALUES)


class Foreign:
    """An object of training's own, with a state, a list's items or a dict's, as its class pickles it."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce_ex__(self, protocol):
        return self.reduced


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_objects_beside_the_weights_are_left_out(tmp_path, form, protocol):
    beside = [
        argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("a/b")),
        collections.defaultdict(list, {"x": [1]}),
        collections.Counter({30: 1, "b": 2}),
        collections.deque([1, 2, 3]),
        datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        decimal.Decimal("1.5"),
        np.float64(0.5),
        np.arange(3),
        {1, 2, 3},
        frozenset("ab"),
        b"bytes" * 100,
        bytearray(b"more"),
        2**4000,
        {("loss", 1): 2.0, None: 1, 0.5: 2, True: 3},
        functools.partial(argparse.Namespace, lr=0.1),
        re.IGNORECASE,
        Foreign(argparse.Namespace, (), {"state": [1]}, iter([1, 2]), iter([("k", 1)])),
    ]
    holder = {"hyper_parameters": beside, "state_dict": {"a": tensor(VALUES), "note": beside}, "loops": {0: beside[0]}}
    data = save(holder, form, protocol=protocol)
    assert list(read(tmp_path, data)) == ["a"]
    np.testing.assert_array_equal(read(tmp_path, data)["a"], VALUES)


def test_tensors_of_other_kinds_beside_the_weights_are_left_out(tmp_path):
    odd = Call("_rebuild_parameter", torch_writer.TORCH.float8_e4m3fn, True, {})
    assert list(read(tmp_path, save({"model": {"a": tensor(VALUES), "odd": odd}}, "zip"))) == ["a"]


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_model_is_refused_by_its_class(tmp_path, form):
    for holder in (argparse.Namespace(a=tensor(VALUES)), {"model": argparse.Namespace(a=tensor(VALUES))}):
        with pytest.raises(InputError, match=r"argparse\.Namespace.*save model\.state_dict\(\) rather than the model"):
            read(tmp_path, save(holder, form))


def test_attributes_of_the_state_dict_are_left_out(tmp_path):
    weights = collections.OrderedDict(a=tensor(VALUES))
    weights._metadata = {"": {"version": 2}}
    assert list(read(tmp_path, save(weights, "old"))) == ["a"]


def test_ordered_dict_of_python_2(tmp_path):
    data, storages = torch_writer.dump(["U-string", tensor(VALUES)], "zip")
    list_of_pairs = b"]" + data[2:-1] + b"a"
    holder = b"ccollections\nOrderedDict\n" + list_of_pairs + b"\x85R."
    key, storage = next(iter(storages.items()))
    entries = {"data.pkl": b"\x80\x02" + holder, f"data/{key}": storage.values.tobytes()}
    np.testing.assert_array_equal(read(tmp_path, torch_writer.pack(entries))["U-string"], VALUES)


class Attack:
    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("wrap", [lambda attack: attack, lambda attack: {"a": tensor(VALUES), "b": [{"c": attack}]}])
def test_nothing_is_executed(tmp_path, form, protocol, wrap):
    marker = tmp_path / "executed"
    attacks = [
        Attack(os.system, f"touch {marker}"),
        Attack(builtins.eval, f"open({str(marker)!r}, 'w')"),
        Attack(pathlib.Path.touch, marker),
        Attack(getattr, pathlib.Path, "touch"),
    ]
    for attack in attacks:
        with pytest.raises(InputError, match=r"refers to .* not part of a plain state dict; allowed is"):
            read(tmp_path, save(wrap(attack), form, protocol=protocol))
    assert not marker.exists()


@pytest.mark.parametrize("part", [0, 1, 2, 4])
def test_nothing_is_executed_in_the_other_pickles_of_the_older_form(tmp_path, part):
    marker = tmp_path / "executed"
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {"a": 1}, []]
    parts[part] = Attack(os.system, f"touch {marker}")
    with pytest.raises(InputError, match="refers to"):
        read(tmp_path, b"".join(pickle.dumps(value, 2) for value in parts))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"ctorch\nFloatStorage\n)R.", "calls torch.FloatStorage"),
        (b"ctorch.nn\nLinear\n)\x81.", "torch.nn.Linear"),
        (b"(ios\nsystem\n.", "operation b'i'"),
        (b"}r\xff\xff\xff\xff.", "memo index 4294967295"),
        (b"}h\x07.", "nothing was put at memo index 7"),
        (b"})" + b"\x85" * 30_000 + b"Ns.", "key of type tuple"),  # its hash would crash the interpreter
        (b"})" + b"q\x00h\x00\x86" * 60 + b"Ns.", "key of type tuple"),  # its hash would take 2**60 steps
        (b"]" * 30_000 + b"a" * 29_999 + b".", "holds one list"),
        (b"\x8d" + b"\xff" * 8 + b".", "in the middle of a pickle"),
        (b"\x8a\xff.", "in the middle of a pickle"),
        (b"tb.", "damaged before byte 3"),
        (b"X\x01\x00\x00\x00\xff.", "damaged before byte"),
        (b"X\x01\x00\x00\x00a)b.", "str where dict belongs"),
        (b"c" + b"a" * 300, "begin a line of text"),
        (b"\x80\x09.", "protocol 9"),
        (b"K\x01Q.", "storage of an unknown kind"),
        (b"].", "holds one list, not a dict of tensors"),
        (b"}.", "holds no tensors by name, but: nothing"),
        (b"}(K\x01K\x02X\x01\x00\x00\x00aNu.", "no tensors by name, but: 1, 'a'"),
        (b"}X\x01\x00\x00\x00actorch\nFloatStorage\ns.", "'a' is neither a tensor nor a plain value"),
        (b"ccollections\nOrderedDict\n]K\x01a\x85R.", "items that are no pairs"),
    ],
)
def test_hostile_or_foreign_pickle(tmp_path, body, message):
    begun = time.monotonic()
    with pytest.raises(InputError, match=message):
        read(tmp_path, pickled(body))
    assert time.monotonic() - begun < 5


def test_endless_pickle(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_pickle, "MAX_OPERATIONS", 10_000)
    with pytest.raises(InputError, match="more than 10000 operations"):
        read(tmp_path, pickled(b"}" * 20_000 + b"."))


def test_list_of_pairs_named_again_and_again(tmp_path):
    pairs = b"]q\x00(" + b"X\x01\x00\x00\x00aN\x86" * 3_000 + b"e"
    calls = b"ccollections\nOrderedDict\nq\x01" + b"h\x01h\x00\x85R" * 3_000
    with pytest.raises(InputError, match="OrderedDict of too many items"):
        read(tmp_path, pickled(pairs + calls + b"."))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (view(Storage(VALUES, "Float", claimed=10**9), (2,), (1,)), "storage .* bytes"),
        (view(Storage(VALUES, "Float", claimed=25), (2,), (1,)), "storage .* bytes"),
        (view(Storage(VALUES, "Float", claimed=-1), (0,), (1,)), "unknown kind"),
        (view(Storage(VALUES, "Float", claimed=2**62), (2,), (1,)), "unknown kind"),
        (view(Storage(VALUES, "Float"), (25,), (1,)), "reaches beyond its storage"),
        (view(Storage(VALUES, "Float"), (2, 3), (12, 6), 1), "reaches beyond its storage"),
        (view(Storage(VALUES, "Float"), (1,), (1,), 24), "reaches beyond its storage"),
        (view(Storage(VALUES, "Float"), (2,), (-1,), 5), "no integer from 0"),
        (view(Storage(VALUES, "Float"), (True,), (1,)), "no integer from 0"),
        (view(Storage(VALUES, "Float"), (2**60,), (0,)), "no integer from 0"),
        (view(Storage(VALUES, "Float"), (2,), (1, 1)), "1 sizes and 2 strides"),
        (view(Storage(VALUES, "Float"), (1,) * 40, (1,) * 40), "40 sizes"),
        (view(Storage(VALUES, "Float"), (2**40,), (0,)), "more than 8 times"),
        (view(Storage(VALUES, "Float"), (0, 2**47, 2**47), (0, 0, 0)), "too big"),
        (view(VALUES.tolist(), (1,), (1,)), "without a storage"),
        (Call("_rebuild_tensor_v2", 1), "6 arguments"),
        (Call("_rebuild_tensor_v2", Storage(VALUES, "Float"), 0, (1,), (1,), False, {}, {"neg": True}), "negative"),
        (Call("_rebuild_tensor_v3", Storage(VALUES, "Float"), 0, (1,), (1,), False, {}, "x"), "dtype"),
        (Call("_rebuild_parameter", 1, True, {}), "Parameter without a tensor"),
        (Call("_rebuild_parameter", torch_writer.TORCH.float8_e4m3fn, True, {}), "torch.float8_e4m3fn"),
    ],
)
def test_impossible_tensor(tmp_path, form, call, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, save({"a": call}, form))


def test_many_views_of_one_storage_are_bounded(tmp_path):
    shared = Storage(np.zeros(100_000, np.float32), "Float")
    with pytest.raises(InputError, match="more than 8 times"):
        read(tmp_path, save({f"{i}": view(shared, (100_000,), (1,)) for i in range(300)}, "zip"))


@pytest.mark.parametrize("form", FORMS)
def test_big_endian_is_refused(tmp_path, form):
    with pytest.raises(InputError, match="byte order"):
        read(tmp_path, small(form, little_endian=False))


def test_two_state_dicts_are_refused(tmp_path):
    inner = {"a": tensor(VALUES)}
    with pytest.raises(InputError, match="more than one state dict: state_dict, model"):
        read(tmp_path, save({"model": inner, "state_dict": inner}, "zip"))


def test_storage_of_two_types_is_refused(tmp_path):
    views = {
        "a": view(Storage(VALUES, "Float", key="1"), (1,), (1,)),
        "b": view(Storage(VALUES, "Int", key="1"), (), ()),
    }
    with pytest.raises(InputError, match="two types"):
        read(tmp_path, save(views, "old"))


def test_zip_archive_that_torch_does_not_write(tmp_path):
    body = b"\x80\x02}."
    with pytest.raises(InputError, match="compressed"):
        read(tmp_path, torch_writer.pack({"data.pkl": body + bytes(10**6)}, zipfile.ZIP_DEFLATED))
    with pytest.raises(InputError, match="without the one data"):
        read(tmp_path, torch_writer.pack({"other": body}))
    with pytest.raises(InputError, match="without the one data"):
        read(tmp_path, torch_writer.pack({"data.pkl": body, "b/data.pkl": body}))
    with pytest.raises(InputError, match=r"'data/.*' is missing"):
        data, _ = torch_writer.dump({"a": tensor(VALUES)}, "zip")
        read(tmp_path, torch_writer.pack({"data.pkl": data}))


def test_changed_byte_of_a_zip_entry_is_noticed(tmp_path):
    data = bytearray(small("zip"))
    data[data.index(VALUES.tobytes()) + 5] ^= 1
    with pytest.raises(InputError, match=r"damaged or cut short.*CRC"):
        read(tmp_path, bytes(data))


@pytest.mark.parametrize("form", FORMS)
def test_truncated_anywhere(form):
    data = small(form)
    for length in {*range(0, len(data), 7), *range(len(data) - 20, len(data))}:
        with pytest.raises(InputError, match=r"cut\.pth cannot be used"):
            torch_file.parse(data[:length], "cut.pth")


def _mutate(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind < 3:
            data[at] = rng.randrange(256)
        elif kind == 3:
            data[at : at + 4] = b"\xff" * 4
        else:
            del data[at : at + rng.randrange(1, 9)]
    return bytes(data)


@pytest.mark.parametrize("form", [*FORMS, "pickle"])
def test_mutated_bytes_are_read_or_refused(form):
    rng = random.Random(0)
    data, storages = torch_writer.dump({"a": tensor(VALUES), "b": [tensor(np.ones(3))]}, "zip")
    buffers = {f"data/{key}": storage.values.tobytes() for key, storage in storages.items()}
    for _ in range(400):
        if form == "pickle":  # in an archive whose checksums are right
            mutated = torch_writer.pack({"data.pkl": _mutate(data, rng), **buffers})
        else:
            mutated = _mutate(small(form), rng)
        try:
            tensors = torch_file.parse(mutated, "mutated")
        except InputError:
            continue
        assert all(isinstance(values, np.ndarray) for values in tensors.values())


def test_message_names_file_fault_and_remedy(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"plain text")
    with pytest.raises(InputError) as caught:
        torch_file.read(path)
    for part in (str(path), "b'plai'", "state dict", "little-endian", "model.state_dict()"):
        assert part in str(caught.value)
    with pytest.raises(InputError, match=r"absent\.pth cannot be read"):
        torch_file.read(tmp_path / "absent.pth")
