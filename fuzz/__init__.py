"""Fuzzing of everything that reads a file from a stranger: `python -m fuzz --help`, or `make fuzz`.

Input number `i` of a target under a seed is always the same bytes, so a finding is named by target, seed and number.

    targets.py            the list of targets; each lives in a file named after what it reads (netfile.py, ...)
    target.py             what a target is
    mutations.py          changes to bytes: flips, cuts, splices, inflated sizes, a dictionary of nasty values
    text_mutations.py     changes to the tokens of a text
    message_mutations.py  changes to the fields of protobuf messages and the tokens of MessagePack
    chunk_mutations.py    changes to the chunks of a PNG, checksums made right again
    guards.py             what an input may not do: touch other files, run code, take too long, take too much memory
    worker.py             a process that reads inputs under guard and counts what came of them
    runner.py             starts workers, survives their death, adds up
    worst_cases.py        inputs that are as large as the limits allow, one for each limit
    planted_faults.py     targets that misbehave, which tests use to see that the guards bite
    guided.py             the same targets under atheris, guided by coverage, where it is installed
"""
