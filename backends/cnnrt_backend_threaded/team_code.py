"""The code that threads run between kernels: dealing out units of work, waiting for one another, joining and leaving.

A step's units are dealt out in ranges, one for each thread, so that a thread meets the same images again in the next
step; who has finished his own takes from the others. A step is over when all of its units are done, whoever did them.
So nobody waits for a thread that sleeps, and one that wakes up late joins at the step that is under way.

Everything the threads share lies in two blocks of 64-bit words, in lines of eight (64 bytes, so that what one thread
writes often shares no cache line with what others write):

    team     line 0: the call's number, odd while it is under way
             line 1: threads inside
             line 2: next thread's index
             line 3: steps, their count, threads allowed, stop, address of the function that yields the processor,
                     lines of a step
    a step   line 0: function, arguments, units, grain, number of the first unit
             line 1: units done
             line 2 + t: next unit of thread t's range; a table may have lines for more threads than run

Joining is Dekker's handshake: a thread announces itself, then looks again whether the call is still under way; the
caller ends the call, then looks whether anybody is inside. Both are sequentially consistent, so one of the two sees the
other.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import attrs

from cnnrt_backend_threaded.code_key import code_key
from cnnrt_backend_threaded.llvm import llvm
from cnnrt_backend_threaded.machine_code import CodeRequest, function_addresses
from cnnrt_backend_threaded.target import Target, host_target

LINE = 8
"""Words of a cache line."""
TEAM_LINES = 4
STEP_LINES = 2
"""Lines of a step beside those of the threads."""
UNITS, FIRST_UNIT = 2, 4
"""Words of a step that change from piece to piece where its weights come in pieces."""
CALL, INSIDE, NEXT, STEPS = (line * LINE for line in range(TEAM_LINES))
COUNT, THREADS, STOP, YIELD, LINES = (STEPS + word for word in range(1, 6))
DONE, RANGES = LINE, STEP_LINES * LINE
PAUSES = 256
"""Pauses between two offers of the processor to others: a thread that is waited for may need this very core."""

PAUSE = {
    "x86_64": ("llvm.x86.sse2.pause",),
    "amd64": ("llvm.x86.sse2.pause",),
    "i686": ("llvm.x86.sse2.pause",),
    "aarch64": ("llvm.aarch64.hint", 1),
    "arm64": ("llvm.aarch64.hint", 1),
}
"""What tells a processor that it is in a waiting loop, by architecture: LLVM's name, and its number (YIELD on Arm)."""


@attrs.frozen
class TeamCode:
    """The functions as they are called from Python; all release the interpreter's lock.

    - `run(team, steps, count, lines, threads)` computes steps as thread 0 and returns when all are done.
    - `serve(team, seen, spins)` computes as another thread in every call after number `seen`; returns the latest call's
      number when `spins` pauses went by without one, or -1 when the team is to stop.
    - `pause(count)` only waits: to learn how long a pause is.
    """

    run: Any
    serve: Any
    pause: Any


@functools.cache
def team_code() -> TeamCode:
    """Return the functions for this process."""
    found = function_addresses(team_request())
    word, place = ctypes.c_int64, ctypes.c_void_p
    return TeamCode(
        ctypes.CFUNCTYPE(None, place, place, word, word, word)(found["run"]),
        ctypes.CFUNCTYPE(word, place, word, word)(found["serve"]),
        ctypes.CFUNCTYPE(None, word)(found["pause"]),
    )


def team_request() -> CodeRequest:
    """Return the code of the functions for this machine."""
    target, names = host_target(), ("run", "serve", "pause")
    return CodeRequest(target, "team", code_key("team", target), names, lambda: write_team(target), "team of threads")


def write_team(target: Target) -> str:
    """Return the module of the functions for a target, in LLVM's assembly language."""
    module = llvm.ir.Module()
    module.triple = target.triple
    walk = _walk(module)
    _run(module, walk)
    _serve(module, walk)
    _pause(module)
    return str(module)


class _Words:
    """Instructions on shared words."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.build = llvm.ir.IRBuilder(function.append_basic_block("entry"))

    def blocks(self, *names: str) -> list[Any]:
        return [self.function.append_basic_block(name) for name in names]

    def at(self, words: Any, index: Any) -> Any:
        return self.build.gep(words, [llvm.I64(index) if isinstance(index, int) else index])

    def read(self, words: Any, index: Any, order: str = "acquire") -> Any:
        return self.build.load_atomic(self.at(words, index), order, 8)

    def write(self, words: Any, index: Any, value: Any, order: str = "monotonic") -> None:
        self.build.store_atomic(value, self.at(words, index), order, 8)

    def fetch_add(self, words: Any, index: Any, value: Any, order: str = "seq_cst") -> Any:
        return self.build.atomic_rmw("add", self.at(words, index), value, order)

    def pause(self) -> None:
        """Tell the processor that this is a waiting loop."""
        module = self.function.module
        name, *numbers = PAUSE.get(module.triple.partition("-")[0], ("",))
        if name:
            kind = llvm.ir.FunctionType(llvm.VOID, [llvm.I32] * len(numbers))
            intrinsic = module.globals.get(name) or llvm.ir.Function(module, kind, name)
            self.build.call(intrinsic, [llvm.I32(n) for n in numbers])

    def wait(self, team: Any, ready: Any) -> None:
        """Pause until `ready()` emits a true condition, and offer the processor to others now and then."""
        before = self.build.block
        head, body, offer, after = self.blocks("wait", "pausing", "offer", "ready")
        self.build.branch(head)
        self.build.position_at_end(head)
        pauses = self.build.phi(llvm.I64)
        pauses.add_incoming(llvm.I64(0), before)
        self.build.cbranch(ready(), after, body)
        self.build.position_at_end(body)
        self.pause()
        more = self.build.add(pauses, llvm.I64(1))
        pauses.add_incoming(more, body)
        self.build.cbranch(
            self.build.icmp_unsigned("==", self.build.urem(more, llvm.I64(PAUSES)), llvm.I64(0)), offer, head
        )
        self.build.position_at_end(offer)
        kind = llvm.ir.PointerType(llvm.ir.FunctionType(llvm.ir.IntType(32), []))
        self.build.call(self.build.inttoptr(self.build.load(self.at(team, YIELD)), kind), [])
        pauses.add_incoming(more, offer)
        self.build.branch(head)
        self.build.position_at_end(after)

    def loop(self, stop: Any, body: Any) -> None:
        """Emit `body(index)` for the indices below `stop`."""
        before = self.build.block
        head, inside, after = self.blocks("loop", "body", "after")
        self.build.branch(head)
        self.build.position_at_end(head)
        index = self.build.phi(llvm.I64)
        index.add_incoming(llvm.I64(0), before)
        self.build.cbranch(self.build.icmp_unsigned("<", index, stop), inside, after)
        self.build.position_at_end(inside)
        body(index)
        index.add_incoming(self.build.add(index, llvm.I64(1)), self.build.block)
        self.build.branch(head)
        self.build.position_at_end(after)

    def step(self, steps: Any, index: Any, lines: Any) -> Any:
        """Return the place of a step."""
        return self.at(steps, self.build.mul(index, self.build.mul(lines, llvm.I64(LINE))))

    def bound(self, units: Any, threads: Any, thread: Any) -> Any:
        """Return the first unit of a thread's range, rounded up so that a single unit is the caller's."""
        product = self.build.mul(units, thread)
        return self.build.udiv(self.build.add(product, self.build.sub(threads, llvm.I64(1))), threads)


def _walk(module: Any) -> Any:
    """walk(team, steps, count, lines, threads, thread): take part in all steps."""
    function = llvm.ir.Function(
        module, llvm.ir.FunctionType(llvm.VOID, [llvm.WORDS, llvm.WORDS, *[llvm.I64] * 4]), "walk"
    )
    function.linkage = "internal"
    team, steps, count, lines, threads, thread = function.args
    words = _Words(function)
    build = words.build

    def take_part(index: Any) -> None:
        step = words.step(steps, index, lines)
        code = build.inttoptr(build.load(words.at(step, 0)), llvm.ir.PointerType(llvm.KERNEL))
        arguments = build.inttoptr(build.load(words.at(step, 1)), llvm.WORDS)
        units, grain = build.load(words.at(step, UNITS)), build.load(words.at(step, 3))
        offset = build.load(words.at(step, FIRST_UNIT))

        def take_from(neighbour: Any) -> None:
            whose = build.urem(build.add(thread, neighbour), threads)
            place = build.add(llvm.I64(RANGES), build.mul(whose, llvm.I64(LINE)))
            end = words.bound(units, threads, build.add(whose, llvm.I64(1)))
            again, take, over = words.blocks("again", "take", "over")
            build.branch(again)
            build.position_at_end(again)
            first = words.fetch_add(step, place, grain, "monotonic")
            build.cbranch(build.icmp_unsigned("<", first, end), take, over)
            build.position_at_end(take)
            beyond = build.add(first, grain)
            last = build.select(build.icmp_unsigned("<", beyond, end), beyond, end)
            build.call(code, [arguments, build.add(first, offset), build.add(last, offset), thread])
            words.fetch_add(step, DONE, build.sub(last, first), "acq_rel")
            build.branch(again)
            build.position_at_end(over)

        def done() -> Any:
            return build.icmp_unsigned(">=", words.read(step, DONE), units)

        with build.if_then(build.not_(done())):
            words.loop(threads, take_from)
            words.wait(team, done)

    words.loop(count, take_part)
    build.ret_void()
    return function


def _run(module: Any, walk: Any) -> None:
    function = llvm.ir.Function(
        module, llvm.ir.FunctionType(llvm.VOID, [llvm.WORDS, llvm.WORDS, *[llvm.I64] * 3]), "run"
    )
    team, steps, count, lines, threads = function.args
    words = _Words(function)
    build = words.build
    alone, together = words.blocks("alone", "together")
    build.cbranch(build.icmp_unsigned("==", threads, llvm.I64(1)), alone, together)

    build.position_at_end(alone)

    def compute(index: Any) -> None:
        step = words.step(steps, index, lines)
        units = build.load(words.at(step, UNITS))
        with build.if_then(build.icmp_unsigned("!=", units, llvm.I64(0))):
            code = build.inttoptr(build.load(words.at(step, 0)), llvm.ir.PointerType(llvm.KERNEL))
            arguments = build.inttoptr(build.load(words.at(step, 1)), llvm.WORDS)
            offset = build.load(words.at(step, FIRST_UNIT))
            build.call(code, [arguments, offset, build.add(offset, units), llvm.I64(0)])

    words.loop(count, compute)
    build.ret_void()

    build.position_at_end(together)

    def reset(index: Any) -> None:
        step = words.step(steps, index, lines)
        units = build.load(words.at(step, UNITS))
        words.write(step, DONE, llvm.I64(0))

        def reset_range(thread: Any) -> None:
            place = build.add(llvm.I64(RANGES), build.mul(thread, llvm.I64(LINE)))
            words.write(step, place, words.bound(units, threads, thread))

        words.loop(threads, reset_range)

    words.loop(count, reset)
    for place, value in (
        (STEPS, build.ptrtoint(steps, llvm.I64)),
        (COUNT, count),
        (LINES, lines),
        (THREADS, threads),
        (NEXT, llvm.I64(1)),
    ):
        words.write(team, place, value)
    words.fetch_add(team, CALL, llvm.I64(1))
    build.call(walk, [team, steps, count, lines, threads, llvm.I64(0)])
    words.fetch_add(team, CALL, llvm.I64(1))
    words.wait(team, lambda: build.icmp_signed("==", words.read(team, INSIDE, "seq_cst"), llvm.I64(0)))
    build.ret_void()


def _serve(module: Any, walk: Any) -> None:
    function = llvm.ir.Function(module, llvm.ir.FunctionType(llvm.I64, [llvm.WORDS, llvm.I64, llvm.I64]), "serve")
    team, first_seen, spins = function.args
    words = _Words(function)
    build = words.build
    entry = build.block
    fresh, look, check, tired, rest, join, inside, member, leave, stop, sleep = words.blocks(
        "fresh", "look", "check", "tired", "rest", "join", "inside", "member", "leave", "stop", "sleep"
    )
    build.branch(fresh)
    build.position_at_end(fresh)
    seen = build.phi(llvm.I64)
    seen.add_incoming(first_seen, entry)
    build.branch(look)

    build.position_at_end(look)
    pauses = build.phi(llvm.I64)
    pauses.add_incoming(llvm.I64(0), fresh)
    number = words.read(team, CALL)
    under_way = build.icmp_unsigned("==", build.and_(number, llvm.I64(1)), llvm.I64(1))
    build.cbranch(build.and_(under_way, build.icmp_unsigned("!=", number, seen)), join, check)
    build.position_at_end(check)
    build.cbranch(build.icmp_unsigned("!=", words.read(team, STOP), llvm.I64(0)), stop, tired)
    build.position_at_end(tired)
    more = build.add(pauses, llvm.I64(1))
    build.cbranch(build.icmp_unsigned("<", more, spins), rest, sleep)
    build.position_at_end(rest)
    words.pause()
    pauses.add_incoming(more, rest)
    build.branch(look)

    build.position_at_end(join)
    words.fetch_add(team, INSIDE, llvm.I64(1))
    still = build.icmp_unsigned("==", words.read(team, CALL, "seq_cst"), number)
    build.cbranch(still, inside, leave)
    build.position_at_end(inside)
    steps = build.inttoptr(words.read(team, STEPS), llvm.WORDS)
    count, lines, threads = (words.read(team, word) for word in (COUNT, LINES, THREADS))
    thread = words.fetch_add(team, NEXT, llvm.I64(1))
    build.cbranch(build.icmp_unsigned("<", thread, threads), member, leave)
    build.position_at_end(member)
    build.call(walk, [team, steps, count, lines, threads, thread])
    build.branch(leave)
    build.position_at_end(leave)
    words.fetch_add(team, INSIDE, llvm.I64(-1))
    seen.add_incoming(number, leave)
    build.branch(fresh)

    build.position_at_end(stop)
    build.ret(llvm.I64(-1))
    build.position_at_end(sleep)
    build.ret(seen)


def _pause(module: Any) -> None:
    function = llvm.ir.Function(module, llvm.ir.FunctionType(llvm.VOID, [llvm.I64]), "pause")
    words = _Words(function)
    words.loop(function.args[0], lambda index: words.pause())
    words.build.ret_void()


def yield_address() -> int:
    """Return the address of the C function that offers the processor to other threads."""
    library = getattr(ctypes, "windll", None)
    function = ctypes.CDLL(None).sched_yield if library is None else library.kernel32.SwitchToThread
    return ctypes.cast(function, ctypes.c_void_p).value or 0
