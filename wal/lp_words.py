"""Eight bytes at a time: what the line protocol kernels do to memory and machine words.

Text is addressed by absolute addresses held in ``int64``, so that a key seen in the body, in the
copied tail of the body or in the arena of unescaped names is one kind of thing. Words are ``int64``
as well: mixing signed and unsigned integers would turn both into floats in compiled code. A load
may reach up to seven bytes past the text it is about; whoever starts a kernel owes it readable
memory there (see ``lp_parse``).

Little-endian throughout: the first byte of the text is the lowest byte of the word.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_I8: Final = ir.IntType(8)
_I64: Final = ir.IntType(64)
_I128: Final = ir.IntType(128)


def machine_code(kind: type[T]) -> Callable[[Callable[..., Any]], Callable[..., T]]:
    """A function that emits its own LLVM instructions; ``kind`` is what it gives, as type checkers see it."""

    def decorate(function: Callable[..., Any]) -> Callable[..., T]:
        return cast(Callable[..., T], intrinsic(function))

    return decorate


def compiled(function: F) -> F:
    """A helper of kernels: compiled into each kernel that calls it."""
    return cast(F, numba.njit(nogil=True, error_model="numpy")(function))


def _sources() -> str:
    """A digest of the kernels' sources."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(Path(__file__).parent.glob("lp_*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_SOURCES: Final = _sources()
_log: Final = logging.getLogger(__name__)


def kernel(signature: Any) -> Callable[[F], F]:
    """An entry point: compiled when its module is imported, for this signature only, and cached on disk.

    Numba notices changes of the module a kernel is in, but not of the modules it calls into; it
    names its files after the function, so the function is named after all of them.
    """

    def decorate(function: F) -> F:
        function.__qualname__ = f"{function.__qualname__}_{_SOURCES}"
        options: Any = {"nogil": True, "error_model": "numpy"}
        try:
            return cast(F, numba.njit(signature, cache=True, **options)(function))
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            _log.warning("compiled code cannot be kept for the next start: %s; set NUMBA_CACHE_DIR", error)
            return cast(F, numba.njit(signature, **options)(function))

    return decorate


def signed(word: int) -> int:
    """The ``int64`` with the bits of an unsigned word."""
    return word - (1 << 64) if word >> 63 else word


def every_byte(byte: int) -> int:
    """A word with ``byte`` in each of its eight bytes."""
    return signed(byte * 0x0101010101010101)


ONES: Final = every_byte(0x01)
HIGHS: Final = every_byte(0x80)
LOWS: Final = every_byte(0x7F)
SPACES_AND_BELOW: Final = every_byte(0x21)
BACKSLASHES: Final = every_byte(0x5C)
QUOTES: Final = every_byte(0x22)
COMMAS: Final = every_byte(0x2C)
EQUALS: Final = every_byte(0x3D)
NEWLINES: Final = every_byte(0x0A)


@machine_code(int)
def load64(typingctx, address):  # type: ignore[no-untyped-def]
    """The eight bytes at ``address``."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        value = builder.load(builder.inttoptr(args[0], _I64.as_pointer()))
        value.align = 1
        return value

    return types.int64(types.int64), codegen


@machine_code(int)
def load8(typingctx, address):  # type: ignore[no-untyped-def]
    """The byte at ``address``, 0 to 255."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.zext(builder.load(builder.inttoptr(args[0], _I8.as_pointer())), _I64)

    return types.int64(types.int64), codegen


def _store(bits: int) -> Callable[..., None]:
    @machine_code(type(None))
    def store(typingctx, address, value):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            kind = ir.IntType(bits)
            value = args[1] if bits == 64 else builder.trunc(args[1], kind)
            instruction = builder.store(value, builder.inttoptr(args[0], kind.as_pointer()))
            instruction.align = 1
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return store


store8 = _store(8)
store32 = _store(32)
store64 = _store(64)


@machine_code(type(None))
def copy(typingctx, target, source, count):  # type: ignore[no-untyped-def]
    """Copy ``count`` bytes between two places that do not overlap."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        target = builder.inttoptr(args[0], _I8.as_pointer())
        source = builder.inttoptr(args[1], _I8.as_pointer())
        cgutils.raw_memcpy(builder, target, source, args[2], 1)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@machine_code(type(None))
def clear(typingctx, target, count):  # type: ignore[no-untyped-def]
    """Set ``count`` bytes to zero."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        cgutils.memset(builder, builder.inttoptr(args[0], _I8.as_pointer()), args[1], 0)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@machine_code(int)
def shift_right(typingctx, word, count):  # type: ignore[no-untyped-def]
    """``word`` as an unsigned number, shifted right by 0 to 63 bits."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.lshr(args[0], args[1])

    return types.int64(types.int64, types.int64), codegen


@machine_code(bool)
def below(typingctx, left, right):  # type: ignore[no-untyped-def]
    """Whether ``left < right``, both as unsigned numbers."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.icmp_unsigned("<", args[0], args[1])

    return types.boolean(types.int64, types.int64), codegen


@machine_code(int)
def multiply_high(typingctx, left, right):  # type: ignore[no-untyped-def]
    """The upper 64 bits of the unsigned 128-bit product."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        product = builder.mul(builder.zext(args[0], _I128), builder.zext(args[1], _I128))
        return builder.trunc(builder.lshr(product, ir.Constant(_I128, 64)), _I64)

    return types.int64(types.int64, types.int64), codegen


@machine_code(int)
def trailing_zeros(typingctx, word):  # type: ignore[no-untyped-def]
    """How many of the lowest bits are zero; ``word`` must not be 0."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), codegen


@machine_code(int)
def leading_zeros(typingctx, word):  # type: ignore[no-untyped-def]
    """How many of the highest bits are zero; ``word`` must not be 0."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), codegen


@machine_code(int)
def as_bits(typingctx, number):  # type: ignore[no-untyped-def]
    """The bits of a double."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], _I64)

    return types.int64(types.float64), codegen


@compiled
def get(row: int, place: int) -> int:
    """Word number ``place`` of the row of words at address ``row``."""
    return load64(row + 8 * place)


@compiled
def put(row: int, place: int, word: int) -> None:
    store64(row + 8 * place, word)


@compiled
def add(row: int, place: int, more: int) -> None:
    store64(row + 8 * place, load64(row + 8 * place) + more)


@compiled
def first_bytes(count: int) -> int:
    """A mask of the first ``count`` bytes of a word, 0 to 8."""
    if count >= 8:
        return -1
    return (1 << (count << 3)) - 1


@compiled
def zero_bytes(word: int) -> int:
    """A word whose lowest set bit is the high bit of the first byte of ``word`` that is zero; 0 if none is."""
    return (word - ONES) & ~word & HIGHS


@compiled
def control_bytes(word: int) -> int:
    """As :func:`zero_bytes`, for the first byte that is a space or below."""
    return (word - SPACES_AND_BELOW) & ~word & HIGHS


@compiled
def same(left: int, right: int, count: int) -> bool:
    """Whether two texts of ``count`` bytes are equal."""
    at = 0
    while at + 8 <= count:
        if load64(left + at) != load64(right + at):
            return False
        at += 8
    return at == count or (load64(left + at) ^ load64(right + at)) << ((8 - (count - at)) << 3) == 0


@compiled
def mixed(word: int, key: int) -> int:
    """Both halves of the 128-bit product, folded: every bit of either changes half of the result."""
    return (word * key) ^ multiply_high(word, key)


# Two arbitrary odd constants; the secrecy that keeps attackers from choosing colliding names is the seed's.
HASH_KEY: Final = signed(0xA0761D6478BD642F)
LENGTH_KEY: Final = signed(0xE7037ED1A0B428DB)


@compiled
def hashed(at: int, count: int, seed: int) -> int:
    """A 64-bit hash of a text; ``seed`` is random for each process."""
    result = seed
    end = at + count
    while at + 8 <= end:
        result = mixed(load64(at) ^ result, HASH_KEY)
        at += 8
    result = mixed((load64(at) & first_bytes(end - at)) ^ result, HASH_KEY)
    return mixed(result ^ count, LENGTH_KEY)
