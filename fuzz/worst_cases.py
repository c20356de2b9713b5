"""Inputs that are as large, deep, numerous or well compressed as the limits allow: the first numbers of each target."""

from __future__ import annotations

import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

from PIL import Image

from fuzz.chunk_mutations import SIGNATURE, chunk
from fuzz.message_mutations import field

Case = Callable[[], bytes]

_HEAD = "netfile_version: 1\ninput { name: data shape: [3, 8, 8] }\n"
_FULL = 2 << 20
_BLOCKS = 8191


def _netfile(*parts: str) -> bytes:
    return (_HEAD + "".join(parts)).encode()


def _fan(count: int) -> str:
    return "".join(f"layer{{type:LRN name:n{i} bottom:data}}\n" for i in range(count))


def _names(count: int, start: str = "n") -> str:
    return ",".join(f"{start}{i}" for i in range(count))


def _misspelt(length: int, known: int, wrong: int) -> bytes:
    name = "x" * length
    layers = "".join(f"layer{{type:LRN name:{name}{i}}}\n" for i in range(known))
    return _netfile(layers, "".join(f"layer{{type:ReLU name:b{i} bottom:y{name[1:]}{i}}}\n" for i in range(wrong)))


NETFILE: tuple[Case, ...] = (
    lambda: _netfile("layer{type:LRN}\n" * _BLOCKS),
    lambda: _netfile("layer{type:ReLU}\n" * _BLOCKS),
    lambda: _netfile("layer{type:Dropout}\n" * _BLOCKS),
    lambda: _netfile("layer{type:Pooling global_pooling:true}\n" * _BLOCKS),
    lambda: _netfile(_fan(_BLOCKS)),
    lambda: _netfile(_fan(_BLOCKS - 1), f"layer{{type:Concat name:all bottom:[{_names(_BLOCKS - 1)}]}}"),
    lambda: _netfile(*(f"layer{{type:Concat bottom:[{'data,' * 60_000}]}}\n" for _ in range(5))),
    lambda: _netfile(*(f"layer{{type:Concat name:a{i} bottom:[a{i - 1},a{i - 1}]}}\n" for i in range(1, 8000))).replace(
        b"a0", b"data"
    ),
    lambda: _misspelt(8, 8000, 150),
    lambda: _misspelt(55, 8000, 150),
    lambda: _misspelt(100_000, 10, 8),
    lambda: _netfile(f"requires: [{_names(65_000)}]\n", "layer{type:ReLU}"),
    lambda: _netfile(f"requires: [{_names(100, 'not-here')}]\n", "layer{type:ReLU}"),
    lambda: (
        "netfile_version: 1\n" + "".join(f"input{{name:i{i} shape:[1]}}\n" for i in range(_BLOCKS)) + "layer{type:ReLU}"
    ).encode(),
    lambda: _netfile(f"layer{{type:ReLU name:x top:[{_names(65_000)}]}}"),
    lambda: ("layer{type:ReLU name:a}\n" * _BLOCKS).encode(),
    lambda: (
        "".join(f"layer{{type:ReLU name:a{'_' * i}}}\n" for i in range(1900)) + "layer{type:ReLU name:a}\n" * 2000
    ).encode(),
    lambda: _netfile("layer{type:Pooling kernel_size:9223372036854775807 pad:9223372036854775806}"),
    lambda: _netfile("layer{type:LRN local_size:9223372036854775807}\n" * 100),
    lambda: _netfile("layer{type:Eltwise bottom:[data,data] coeff:[" + "1," * 65_000 + "]}"),
    lambda: _netfile("layer{" + "a:1 " * (_FULL // 5) + "}"),
    lambda: _netfile("layer{type:ReLU " + "bottom:data " * (_FULL // 14) + "}"),
    lambda: b"labels: [" + b"1," * 65_536 + b"]\nlayer{type:ReLU}",
    lambda: b" " * (_FULL - 20) + b"netfile_version: 1",
    lambda: b"#\n" * (_FULL // 2 - 20) + b"netfile_version: 1",
    *(
        (lambda piece=piece: piece * (_FULL // len(piece) - 1))
        for piece in (b"{", b"}", b"[", b'"', b'"\\', b":", b"a:", b"a[", b"x{", b"\xc3\xa9", b"a", b"\\", b"9")
    ),
    lambda: b'netfile_version: 1\nname: "' + b"\\" * (_FULL - 100) + b'"',
    lambda: b'name: "' + b'\\"' * (_FULL // 2 - 100),
)

_INPUT = 'input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n'


def _prototxt(layers: str) -> bytes:
    return (_INPUT + layers).encode()


PROTOTXT: tuple[Case, ...] = (
    lambda: b"layer{}" * 49_000,
    lambda: b"layer{}" * 8192,
    lambda: b"layers{}" * 8192,
    lambda: b"layers{layer{}}" * 8192,
    lambda: _prototxt("".join(f'layer{{name:"n{i}" type:"ReLU" bottom:"data" top:"n{i}"}}\n' for i in range(8000))),
    lambda: _prototxt("".join(f'layer{{name:"n{i}" type:"ReLU" bottom:"data" top:"n{i}"}} ' for i in range(8000))),
    lambda: _prototxt("".join(f'layer{{name:"n{i}" type:"ReLU" bottom:"m{i}" top:"n{i}"}}\n' for i in range(8000))),
    lambda: _prototxt("".join(f'layer{{name:"n" type:"Split" bottom:"data" top:"n{i}"}}\n' for i in range(8000))),
    lambda: b'layer{type:"Concat"' + b'bottom:"a"' * 49_000 + b"}",
    lambda: b'layer{type:"ReLU"}' + b"a:1 " * 49_000,
    lambda: b'layer{type:"ReLU"}input_dim:[' + b"1," * 74_000 + b"1]",
    lambda: b'layer{name:"' + b"a" * (_FULL - 20) + b'"}',
    lambda: b"".join(b'layer{name:"%d%s"}' % (i, b"a" * 65_000) for i in range(31)),
    lambda: b"layer{name:" + b'"a"\n' * 140_000 + b"}",
    lambda: b"layer{" * 30 + b"a:1 " * 40_000 + b"}" * 30,
    lambda: b'layer{type:"ReLU" include{' + b'stage:"x" ' * 49_000 + b"}}",
    *(
        (lambda piece=piece: piece * (_FULL // len(piece) - 1))
        for piece in (b"{", b"}", b"[", b'"', b"'", b'"\\', b"#", b"a", b"\xff", b"a{", b"<")
    ),
)

_V1_LAYER = field(2, b"")
_LAYER = field(100, b"")

CAFFEMODEL: tuple[Case, ...] = (
    lambda: _LAYER * 8192,
    lambda: _V1_LAYER * 8192,
    lambda: _LAYER * 900_000,
    lambda: field(100, field(1, b"a") + b"\x3a\0" * 490_000),
    lambda: field(100, b"\x3a\0" * 900_000) * 12,
    lambda: field(100, b"\x1a\0" * 490_000),
    lambda: field(100, field(1, b"a" * ((8 << 20) - 100)) + field(2, b"ReLU")),
    lambda: field(100, field(1, b"a" * (9 << 20))),
    lambda: field(100, field(7, b"\x2d\0\0\0\0" * 4_000_000)),
    lambda: field(100, field(7, (b"\x2d\0\0\0\0" + b"\x2a\x04\0\0\0\0") * 900)),
    lambda: field(100, field(7, field(7, b"\x08\x01" * 200_000))),
    lambda: _LAYER + b"\xf8\x3f\x01" * 490_000,
    lambda: field(100, field(1, b"a") + field(102, b"\x0b" * 10_000)),
    lambda: b"".join(
        field(100, field(1, b"n%d" % i) + field(2, b"ReLU") + field(3, b"m%d" % i) + field(4, b"n%d" % i))
        for i in range(8000)
    ),
)

MEAN: tuple[Case, ...] = (
    lambda: b"\x08\x01\x10\x01" * 240_000,
    lambda: field(1, 1) + field(2, 3) + field(3, 1000) + field(4, 1000) + field(5, bytes(12_000_000)),
    lambda: field(1, 1) + field(2, 3) + field(3, 1000) + field(4, 1000) + b"\x2d\0\0\0\0" * 3_000_000,
    lambda: field(7, field(1, 0) + field(1, 2**63 - 1)),
)


def _npy(header: str, values: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + values


def _shape(shape: str, dtype: str = "'<f4'") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}"


NPY: tuple[Case, ...] = tuple(
    functools.partial(_npy, header, bytes(400))
    for header in (
        "-" * 9_000 + "1",
        "(" * 9_000,
        "[" * 190 + "]" * 190,
        "{[]: 1}",
        "1if " * 2_000 + "1",
        "'''",
        "{" * 150,
        _shape("(99999999999999999999999,)"),
        _shape("(0, 99999999999999999999999)"),
        _shape("(True, 3)"),
        _shape("(-1,)"),
        _shape("(10**10,)"),
        _shape("(" + "1," * 70 + ")"),
        _shape("(1000000000000,)", "'V0'"),
        _shape("(3,)", "'99999999999f4'"),
        _shape("(3,)", "(" * 90 + "'f4'" + ",)" * 90),
        _shape("(3,)", "[('a'," * 60 + "'f4'" + ")]" * 60),
        _shape("(3,)", "'|O'"),
        _shape("(3,)", "'<M8[999999999999999999999Y]'"),
        _shape("(-1,)", "[]"),
        _shape("(0, 32767, 2147483647, 65536)", "'|u1'"),
        _shape("(100,)", "'<f2'"),
        _shape("(0, 3, 1000)"),
        _shape("(0, 3)"),
    )
)


def _zip(entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return stream.getvalue()


def _overlapping(count: int) -> bytes:
    """Return an archive of many members that all mean the same compressed bytes."""
    one = _zip([("x.npy", _npy(_shape("(4000000,)"), bytes(16_000_000)))])
    at = one.index(b"PK\x01\x02")
    end = one.index(b"PK\x05\x06")
    record = one[at:end]
    tail = struct.pack("<HHHHIIH", 0, 0, count, count, len(record) * count, at, 0)
    return one[:at] + record * count + b"PK\x05\x06" + tail


NPZ: tuple[Case, ...] = (
    lambda: _zip([("x.npy", _npy(_shape("(15000000,)"), bytes(60_000_000)))]),
    lambda: _zip([("x.npy", _npy(_shape("(25000000,)"), bytes(100_000_000)))]),
    lambda: _overlapping(40),
    lambda: _zip([(f"x{i}.npy", _npy(_shape("(1,)"), bytes(4))) for i in range(1_000)], zipfile.ZIP_STORED),
    lambda: _zip([(f"x{i}.npy", b"") for i in range(65_000)], zipfile.ZIP_STORED),
    lambda: _zip([("x.npy", _npy("-" * 9_000 + "1"))]),
    lambda: _zip([("x.npy", _npy(_shape("(3,)", "'|O'"), b"cos\nsystem\n(S'id'\ntR."))]),
    lambda: _zip([("x.npy", b"x")], zipfile.ZIP_LZMA),
)


def _png(width: int, height: int, colour: int = 2, depth: int = 8) -> bytes:
    """Return a PNG of zeros, which takes a thousandth of its pixels."""
    packer = zlib.compressobj(1)
    row = bytes(1 + width * {0: 1, 2: 3, 6: 4}[colour] * depth // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _stretched(kind: str, old: bytes, new: bytes, mode: str = "RGB", **options: object) -> bytes:
    """Return a small image in whose header a size was replaced, so that it promises more than it holds."""
    stream = io.BytesIO()
    Image.new(mode, (17, 19)).save(stream, kind, **options)
    data = stream.getvalue()
    assert old in data
    return data.replace(old, new, 1)


_ONE_PIXEL = SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
_JPEG = (struct.pack(">HH", 19, 17), struct.pack(">HH", 5792, 5792))

IMAGE: tuple[Case, ...] = (
    # The reader depends on the length modulo 3 (image.py): three zeros after the end reach each of them.
    *((lambda extra=extra: _png(5792, 5792) + bytes(extra)) for extra in range(3)),
    *((lambda extra=extra: _png(4096, 4096, 6, 16) + bytes(extra)) for extra in range(3)),
    *((lambda extra=extra: _stretched("JPEG", *_JPEG, progressive=True) + bytes(extra)) for extra in range(3)),
    *((lambda extra=extra: _stretched("JPEG", *_JPEG, mode="CMYK") + bytes(extra)) for extra in range(3)),
    lambda: _png(9400, 9400),
    lambda: _stretched("GIF", struct.pack("<HH", 17, 19), struct.pack("<HH", 65535, 65535)),
    lambda: _stretched("BMP", struct.pack("<ii", 17, 19), struct.pack("<ii", 2**31 - 1, 2**31 - 1)),
    lambda: _stretched("PPM", b"17 19", b"99999999 99999999"),
    lambda: _stretched("WEBP", b"VP8 ", b"VP8X"),
    lambda: (
        b"RIFF"
        + struct.pack("<I", 30)
        + b"WEBPVP8X"
        + struct.pack("<I", 10)
        + b"\x02\0\0\0"
        + b"\xfe\x3f\0" * 2
        + b"ANIM"
    ),
    lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/etc/passwd) (r) file\n",
    lambda: (
        SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(90 << 20)))
    ),
    lambda: (
        SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        + chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(90 << 20)))
    ),
    lambda: SIGNATURE + b"".join(chunk(b"tEXt", b"k%d\0" % i) for i in range(100_000)),
)

LABELS: tuple[Case, ...] = (
    lambda: b"ab\n" * ((4 << 20) // 3),
    lambda: b"\n" * ((4 << 20) - 1) + b"x",
    lambda: "\u2028".encode() * ((4 << 20) // 3),
    lambda: b"x" * (5 << 20),
    lambda: b" " * (4 << 20),
)

PARAMETERS: tuple[Case, ...] = (
    lambda: b"\xdd" + struct.pack(">I", 2_000_000) + b"\x01" * 2_000_000,
    lambda: b"\xdd" + struct.pack(">I", 2**32 - 1) + b"\x01" * 100,
    lambda: b"\xdd" + struct.pack(">I", 3_000_000) + b"\x90" * 3_000_000,
    lambda: b"\x91" * 3_000_000,
    lambda: b"\xdd" + struct.pack(">I", 1_000_000) + b"\xca\0\0\0\0" * 999_999 + b"\xc0",
    lambda: b"\xdd" + struct.pack(">I", 1_000_000) + (b"\xca\0\0\0\0\x01" * 500_000),
    lambda: b"\x89CNNRT\r\n" + struct.pack("<II", 1, 1 << 20) + b"\x81\xa7tensors\xdc\x10\x00" + b"\x86" * (1 << 20),
    lambda: b"\x89CNNRT\r\n" + struct.pack("<II", 1, 1 << 20) + b"\x91" * (1 << 20),
    lambda: b"\x89CNNRT\r\n" + struct.pack("<II", 1, 2**32 - 1),
)
