"""Eight block columns at a time: the vector operations that the kernels are made of.

Numba intrinsics in LLVM's portable vector types; they compile for every target. Offsets count elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

# A tile has one line a frequency: Note [Tiles] in _kernels.py.
COLUMNS = 128
STRIDE = 136  # COLUMNS + 8: room for a neighbour on either side

_Function = TypeVar("_Function", bound=Callable[..., Any])

_F32 = ir.FloatType()
_I16X8 = ir.VectorType(ir.IntType(16), 8)
_I32X8 = ir.VectorType(ir.IntType(32), 8)
_F32X8 = ir.VectorType(_F32, 8)
_LOW = (0, 8, 1, 9, 2, 10, 3, 11)
_HIGH = (4, 12, 5, 13, 6, 14, 7, 15)
_cgutils: Any = cgutils


def kernel(*, forceinline: bool = False) -> Callable[[_Function], _Function]:
    """Numba's njit without the GIL; the machine code is kept on disk where there is a place (NUMBA_CACHE_DIR)."""

    def compile_lazily(function: _Function) -> _Function:
        options: dict[str, Any] = {"nogil": True, "forceinline": forceinline}
        try:
            compiled: _Function = njit(cache=True, **options)(function)
        except RuntimeError:  # neither the package's folder nor the user's cache can be written
            compiled = njit(**options)(function)
        return compiled

    return compile_lazily


def _intrinsic(function: Any) -> Any:
    return intrinsic(function)


def _address(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    data = _cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def _shuffle(builder: Any, first: Any, second: Any, lanes: tuple[int, ...]) -> Any:
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes)))


def _splat(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(_F32X8, ir.Undefined)
    single = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return _shuffle(builder, single, undefined, (0,) * 8)


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    for _ in range(3):
        rows = [_shuffle(builder, rows[j // 2], rows[j // 2 + 4], _HIGH if j % 2 else _LOW) for j in range(8)]
    return rows


def _load_lanes(builder: Any, address: Any) -> Any:
    return builder.load(builder.bitcast(address, _F32X8.as_pointer()), align=4)


def _store_lanes(builder: Any, lanes: Any, address: Any) -> None:
    builder.store(lanes, builder.bitcast(address, _F32X8.as_pointer()), align=4)


def _store_as(builder: Any, lanes: Any, array_type: Any, address: Any) -> None:
    """Store as float32, or, in a uint16 array, as the bits of float16: rounded to nearest even, saturated."""
    if array_type.dtype == types.float32:
        _store_lanes(builder, lanes, address)
        return

    def floats(value: float) -> Any:
        return ir.Constant(_F32X8, [value] * 8)

    def integers(value: int) -> Any:
        return ir.Constant(_I32X8, [value] * 8)

    for comparison, limit in (("<", 65504.0), (">", -65504.0)):
        inside = builder.fcmp_ordered(comparison, lanes, floats(limit))
        lanes = builder.select(inside, lanes, floats(limit))
    bits = builder.bitcast(lanes, _I32X8)
    sign = builder.and_(builder.lshr(bits, integers(16)), integers(0x8000))
    magnitude = builder.and_(bits, integers(0x7FFFFFFF))
    odd = builder.and_(builder.lshr(magnitude, integers(13)), integers(1))
    rounded = builder.add(builder.add(magnitude, integers(0xFFF - 0x38000000)), odd)
    normal = builder.lshr(rounded, integers(13))
    # Below 2 ** -14 one step of float16 is 2 ** -24, which adding 0.5 rounds to.
    shifted = builder.bitcast(builder.fadd(builder.bitcast(magnitude, _F32X8), floats(0.5)), _I32X8)
    subnormal = builder.sub(shifted, integers(0x3F000000))
    small = builder.icmp_signed("<", magnitude, integers(0x38800000))
    half = builder.or_(sign, builder.select(small, subnormal, normal))
    builder.store(builder.trunc(half, _I16X8), builder.bitcast(address, _I16X8.as_pointer()), align=2)


def _fetch_intrinsic(*, to_write: bool) -> Any:
    """`fetch(array, offset)`: have the cache line of an element brought near; the element need not exist."""

    @_intrinsic
    def fetch(typingctx: Any, array: Any, offset: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            integer, byte = ir.IntType(32), ir.IntType(8).as_pointer()
            function = _cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), [byte, integer, integer, integer]), "llvm.prefetch.p0i8"
            )
            address = builder.bitcast(_address(context, builder, signature.args[0], *args), byte)
            keep, data = ir.Constant(integer, 3), ir.Constant(integer, 1)
            builder.call(function, [address, ir.Constant(integer, int(to_write)), keep, data])
            return context.get_dummy_value()

        return types.void(array, types.int64), codegen

    return fetch


def _dot(builder: Any, pairs: list[tuple[Any, Any]]) -> Any:
    """Sum of products, each in one rounding where the machine has the instruction."""
    function = _cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_F32X8, [_F32X8] * 3), "llvm.fmuladd.v8f32"
    )
    total = builder.fmul(*pairs[0])
    for a, b in pairs[1:]:
        total = builder.call(function, [a, b, total])
    return total


def _ends_intrinsic(terms: int, pitch: int) -> Any:
    """`ends(tile, start, basis, first, first_at, last, last_at)`: the first and the last sample of 8 blocks.

    Along the axis whose frequencies lie `pitch` apart in the tile, of the first `terms` of them.
    """

    @_intrinsic
    def ends(
        typingctx: Any, tile: Any, start: Any, basis: Any, first: Any, first_at: Any, last: Any, last_at: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            def at(argument: int, offset: Any) -> Any:
                return _address(context, builder, signature.args[argument], args[argument], offset)

            def constant(value: int) -> Any:
                return ir.Constant(args[1].type, value)

            pairs = [
                (
                    _load_lanes(builder, at(0, builder.add(args[1], constant(j * pitch)))),
                    _splat(builder, builder.load(at(2, constant(j)))),
                )
                for j in range(terms)
            ]
            even, odd = _dot(builder, pairs[0::2]), _dot(builder, pairs[1::2])
            _store_lanes(builder, builder.fadd(even, odd), at(3, args[4]))
            _store_lanes(builder, builder.fsub(even, odd), at(5, args[6]))
            return context.get_dummy_value()

        return types.void(tile, types.int64, basis, first, types.int64, last, types.int64), codegen

    return ends


def _double_down_intrinsic(terms: int) -> Any:
    """`double(tile, start, operators, before, before_at, after, after_at, out, left, right)`: 8 blocks to 16.

    Note [Twofold upsampling], along v, of the first `terms` frequencies; the upper ones go to `left`.
    """

    @_intrinsic
    def double(
        typingctx: Any,
        tile: Any,
        start: Any,
        operators: Any,
        before: Any,
        before_at: Any,
        after: Any,
        after_at: Any,
        out: Any,
        left: Any,
        right: Any,
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            def at(argument: int, offset: Any) -> Any:
                return _address(context, builder, signature.args[argument], args[argument], offset)

            def constant(value: int) -> Any:
                return ir.Constant(args[1].type, value)

            def operator(row: int, column: int) -> Any:
                return _splat(builder, builder.load(at(2, constant(8 * row + column))))

            pitch = 8 * STRIDE
            source = [_load_lanes(builder, at(0, builder.add(args[1], constant(j * pitch)))) for j in range(terms)]
            previous, following = _load_lanes(builder, at(3, args[4])), _load_lanes(builder, at(5, args[6]))
            for i in range(8):
                same = _dot(builder, [(source[j], operator(i, j)) for j in range(i % 2, terms, 2)])
                other = _dot(builder, [(source[j], operator(i, j)) for j in range(1 - i % 2, terms, 2)])
                edge = operator(8, i)
                upper = builder.fadd(builder.fadd(same, other), builder.fmul(previous, edge))
                combine = builder.fsub if i % 2 else builder.fadd
                lower = combine(builder.fsub(same, other), builder.fmul(following, edge))
                _store_lanes(builder, upper, at(7, builder.add(args[8], constant(i * pitch))))
                _store_lanes(builder, lower, at(7, builder.add(args[9], constant(i * pitch))))
            return context.get_dummy_value()

        integer = types.int64
        return (
            types.void(tile, integer, operators, before, integer, after, integer, out, integer, integer),
            codegen,
        )

    return double


def _double_across_intrinsic(terms: int, *, ending: bool) -> Any:
    """`double(tile, start, signed, before, before_at, after, after_at, v, places, affine, out, x)`: 8 blocks to 16.

    Note [Twofold upsampling], along u, of the first `terms` frequencies: for k = 8 v + i,
    out[places[k] + x + 0..15] = value * affine[k] + affine[64 + k], left and right blocks in turn. The sources are
    doubled, instead of the results being interleaved: `signed` holds, for each output frequency i, the matrix's row and
    then the edge, each value eight times, with the sign changing from lane to lane where F has it so. At a component's
    `ending`, where a block has a matrix of its own, there is a second such table for the upper 8 of the 16.
    """

    @_intrinsic
    def double(
        typingctx: Any,
        tile: Any,
        start: Any,
        signed: Any,
        before: Any,
        before_at: Any,
        after: Any,
        after_at: Any,
        v: Any,
        places: Any,
        affine: Any,
        out: Any,
        x: Any,
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            def at(argument: int, offset: Any) -> Any:
                return _address(context, builder, signature.args[argument], args[argument], offset)

            def constant(value: int) -> Any:
                return ir.Constant(args[1].type, value)

            source = [_load_lanes(builder, at(0, builder.add(args[1], constant(j * STRIDE)))) for j in range(terms)]
            edges = _load_lanes(builder, at(3, args[4])), _load_lanes(builder, at(5, args[6]))
            sources = [[_shuffle(builder, lane, lane, lanes) for lane in source] for lanes in (_LOW, _HIGH)]
            for half, lanes in enumerate((_LOW, _HIGH)):
                sources[half].append(_shuffle(builder, edges[0], edges[1], lanes))
            for i in range(8):
                places = [8 * (9 * i + j) for j in (*range(terms), 8)]
                row = [_load_lanes(builder, at(2, constant(place))) for place in places]
                upper = [_load_lanes(builder, at(2, constant(576 + place))) for place in places] if ending else row
                k = builder.add(builder.mul(args[7], constant(8)), constant(i))
                scale = _splat(builder, builder.load(at(9, k)))
                shift = _splat(builder, builder.load(at(9, builder.add(k, constant(64)))))
                place = builder.add(builder.load(at(8, k)), args[11])
                for half, values in enumerate((row, upper)):
                    lanes = _dot(builder, list(zip(sources[half], values, strict=True)))
                    lanes = builder.fadd(builder.fmul(lanes, scale), shift)
                    _store_lanes(builder, lanes, at(10, builder.add(place, constant(8 * half))))
            return context.get_dummy_value()

        integer = types.int64
        signature = (tile, integer, signed, before, integer, after, integer, integer, places, affine, out, integer)
        return types.void(*signature), codegen

    return double


fetch = _fetch_intrinsic(to_write=False)
fetch_to_write = _fetch_intrinsic(to_write=True)
ends_down_narrow = _ends_intrinsic(4, 8 * STRIDE)
ends_down_wide = _ends_intrinsic(8, 8 * STRIDE)
ends_across_narrow = _ends_intrinsic(4, STRIDE)
ends_across_wide = _ends_intrinsic(8, STRIDE)
double_down_narrow = _double_down_intrinsic(4)
double_down_wide = _double_down_intrinsic(8)
double_across_narrow = _double_across_intrinsic(4, ending=False)
double_across_wide = _double_across_intrinsic(8, ending=False)
double_ending_narrow = _double_across_intrinsic(4, ending=True)
double_ending_wide = _double_across_intrinsic(8, ending=True)


@_intrinsic
def multiply_add(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """The float32 a * b + c, in one rounding where the machine has the instruction (not reassociated: no fastmath)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name = "llvm.fmuladd.f32"
        function = _cgutils.get_or_insert_function(builder.module, ir.FunctionType(_F32, [_F32] * 3), name)
        return builder.call(function, args)

    return types.float32(types.float32, types.float32, types.float32), codegen


@_intrinsic
def load_8x8(typingctx: Any, blocks: Any, word: Any, factors: Any, v: Any, tile: Any, column: Any) -> Any:
    """tile[(8 v + u) * STRIDE + column + x] = factors[8 v + u] * coefficient (v, u) of 8 blocks on, x and u in 0..7.

    `blocks` is int64, four coefficients a word; `word` is where row v of the first block starts.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        blocks_type, _, factors_type, _, tile_type, _ = signature.args
        rows = []
        for x in range(8):
            offset = builder.add(args[1], ir.Constant(args[1].type, 16 * x))
            address = _address(context, builder, blocks_type, args[0], offset)
            rows.append(builder.load(builder.bitcast(address, _I16X8.as_pointer()), align=2))
        first = builder.mul(args[3], ir.Constant(args[3].type, 8))
        for u, lanes in enumerate(_transposed(builder, rows)):
            k = builder.add(first, ir.Constant(first.type, u))
            factor = _splat(builder, builder.load(_address(context, builder, factors_type, args[2], k)))
            line = builder.add(builder.mul(k, ir.Constant(k.type, STRIDE)), args[5])
            address = _address(context, builder, tile_type, args[4], line)
            product = builder.fmul(builder.sitofp(lanes, _F32X8), factor)
            _store_lanes(builder, product, address)
        return context.get_dummy_value()

    return types.void(blocks, types.int64, factors, types.int64, tile, types.int64), codegen


@_intrinsic
def move_8x8(
    typingctx: Any, blocks: Any, word: Any, factors: Any, shifts: Any, places: Any, v: Any, out: Any, x: Any
) -> Any:
    """load_8x8 with its target elsewhere: out[places[8 v + u] + x + 0..7] = factors * coefficients + shifts."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def at(argument: int, offset: Any) -> Any:
            return _address(context, builder, signature.args[argument], args[argument], offset)

        def constant(value: int) -> Any:
            return ir.Constant(args[1].type, value)

        rows = []
        for n in range(8):
            address = at(0, builder.add(args[1], constant(16 * n)))
            rows.append(builder.load(builder.bitcast(address, _I16X8.as_pointer()), align=2))
        for u, lanes in enumerate(_transposed(builder, rows)):
            k = builder.add(builder.mul(args[5], constant(8)), constant(u))
            factor, shift = (_splat(builder, builder.load(at(n, k))) for n in (2, 3))
            lanes = builder.fadd(builder.fmul(builder.sitofp(lanes, _F32X8), factor), shift)
            _store_lanes(builder, lanes, at(6, builder.add(builder.load(at(4, k)), args[7])))
        return context.get_dummy_value()

    return types.void(blocks, types.int64, factors, shifts, places, types.int64, out, types.int64), codegen


@_intrinsic
def store_8(typingctx: Any, tile: Any, offset: Any, scale: Any, shift: Any, out: Any, position: Any) -> Any:
    """out[position + x] = tile[offset + x] * scale + shift, x in 0..7, as float32 or the bits of float16."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = _address(context, builder, signature.args[0], args[0], args[1])
        target = _address(context, builder, signature.args[4], args[4], args[5])
        lanes = _load_lanes(builder, source)
        lanes = builder.fadd(builder.fmul(lanes, _splat(builder, args[2])), _splat(builder, args[3]))
        _store_as(builder, lanes, signature.args[4], target)
        return context.get_dummy_value()

    return types.void(tile, types.int64, types.float32, types.float32, out, types.int64), codegen


@_intrinsic
def store_8x8(
    typingctx: Any,
    tile: Any,
    offset: Any,
    frequencies: Any,
    scale: Any,
    shift: Any,
    n: Any,
    out: Any,
    position: Any,
    pitch: Any,
) -> Any:
    """out[position + x * pitch + j] = tile[offset + frequencies[n + j] * STRIDE + x] * scale[n + j] + shift[n + j]."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def at(argument: int, offset: Any) -> Any:
            return _address(context, builder, signature.args[argument], args[argument], offset)

        lines = []
        for j in range(8):
            k = builder.load(at(2, builder.add(args[5], ir.Constant(args[5].type, j))))
            lines.append(_load_lanes(builder, at(0, builder.add(builder.mul(k, ir.Constant(k.type, STRIDE)), args[1]))))
        scale, shift = _load_lanes(builder, at(3, args[5])), _load_lanes(builder, at(4, args[5]))
        for x, lanes in enumerate(_transposed(builder, lines)):
            address = at(6, builder.add(args[7], builder.mul(args[8], ir.Constant(args[8].type, x))))
            lanes = builder.fadd(builder.fmul(lanes, scale), shift)
            _store_as(builder, lanes, signature.args[6], address)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(tile, integer, frequencies, scale, shift, integer, out, integer, integer), codegen
