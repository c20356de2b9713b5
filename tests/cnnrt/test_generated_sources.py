"""Source texts that attrs keeps for tracebacks go with the plugins' loading; those of other packages stay."""

from __future__ import annotations

import linecache

import attrs

from cnnrt.generated_sources import let_go_of_generated_sources


def test_texts_of_the_packages_asked_for_go_and_no_others() -> None:
    @attrs.frozen
    class Here:
        value: int

    mine = [file for file in linecache.cache if file.startswith("<attrs") and "Here" in file]
    assert mine  # attrs still keeps them in this way
    before = dict(linecache.cache)
    let_go_of_generated_sources()
    assert all(file in linecache.cache for file in mine)
    let_go_of_generated_sources((__name__,))
    assert not any(file in linecache.cache for file in mine)
    assert {file for file in before if not file.startswith("<attrs")} <= linecache.cache.keys()
    assert Here(1) == Here(1)
