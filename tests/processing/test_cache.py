from __future__ import annotations

import threading

import pytest
from headrace.processing.cache import TEST_TTL_S, CacheScope, PluginCache
from hypothesis import given, settings
from hypothesis import strategies as st

ONE, OTHER = CacheScope.for_trigger(1), CacheScope.for_trigger(2)


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _value(cache: PluginCache, scope: CacheScope, key: str, *, use_global: bool = False) -> bytes | None:
    entry = cache.get(scope, key, use_global=use_global)
    return None if entry is None else entry.value


def test_what_is_put_is_got_until_it_is_deleted() -> None:
    cache = PluginCache()
    cache.put(ONE, "k", b"v")
    assert _value(cache, ONE, "k") == b"v"
    assert cache.delete(ONE, "k")
    assert not cache.delete(ONE, "k")
    assert _value(cache, ONE, "k") is None


def test_triggers_have_namespaces_of_their_own_and_share_the_global_one() -> None:
    cache = PluginCache()
    cache.put(ONE, "k", b"one")
    cache.put(ONE, "k", b"all", use_global=True)
    assert _value(cache, OTHER, "k") is None
    assert _value(cache, OTHER, "k", use_global=True) == b"all"


def test_test_runs_neither_see_production_nor_each_other_and_forget_after_half_an_hour() -> None:
    clock = Clock()
    cache = PluginCache(clock=clock)
    mine, theirs = CacheScope.for_test("mine"), CacheScope.for_test("theirs")
    cache.put(ONE, "k", b"production", use_global=True)
    cache.put(mine, "k", b"test")
    cache.put(mine, "k", b"shared test", use_global=True)
    assert _value(cache, mine, "k", use_global=True) == b"shared test"
    assert _value(cache, theirs, "k") is None
    assert _value(cache, theirs, "k", use_global=True) is None
    clock.now += TEST_TTL_S
    assert _value(cache, mine, "k") is None
    assert _value(cache, ONE, "k", use_global=True) == b"production"


def test_an_entry_is_gone_when_its_time_is_up() -> None:
    clock = Clock()
    cache = PluginCache(clock=clock)
    cache.put(ONE, "k", b"v", ttl_s=1.5)
    clock.now += 1.4
    assert _value(cache, ONE, "k") == b"v"
    clock.now += 0.1
    assert _value(cache, ONE, "k") is None
    assert not cache.delete(ONE, "k")
    assert cache.size_bytes == 0


@pytest.mark.parametrize("ttl", [-1.0, float("nan"), float("inf"), 2.0**64])
def test_a_ttl_that_is_no_duration_is_refused(ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl must be"):
        PluginCache().put(ONE, "k", b"v", ttl_s=ttl)


def test_an_update_counts_only_for_the_version_it_was_made_from_and_keeps_the_time_to_live() -> None:
    clock = Clock()
    cache = PluginCache(clock=clock)
    first = cache.put(ONE, "k", b"1", ttl_s=10)
    second = cache.update(ONE, "k", b"2", version=first)
    assert second is not None
    assert cache.update(ONE, "k", b"3", version=first) is None
    assert _value(cache, ONE, "k") == b"2"
    clock.now += 10
    assert cache.update(ONE, "k", b"4", version=second) is None
    assert _value(cache, ONE, "k") is None


def test_the_entries_unused_for_longest_make_room() -> None:
    cache = PluginCache(max_bytes=3_500)
    for key in "abc":
        cache.put(ONE, key, bytes(900))
    cache.get(ONE, "a")
    cache.put(ONE, "d", bytes(900))
    assert [key for key in "abcd" if _value(cache, ONE, key) is not None] == ["a", "c", "d"]


def test_an_expired_entry_makes_room_before_a_current_one() -> None:
    clock = Clock()
    cache = PluginCache(max_bytes=3_500, clock=clock)
    cache.put(ONE, "old", bytes(900))
    cache.put(ONE, "expired", bytes(900), ttl_s=1)
    cache.put(ONE, "new", bytes(900))
    clock.now += 2
    cache.put(ONE, "newest", bytes(900))
    assert _value(cache, ONE, "old") is not None


def test_a_value_larger_than_an_entry_may_be_is_refused_and_costs_nothing() -> None:
    cache = PluginCache(max_entry_bytes=1_000)
    cache.put(ONE, "k", b"small")
    with pytest.raises(ValueError, match="the most is 1000"):
        cache.put(ONE, "k", bytes(1_000))
    assert _value(cache, ONE, "k") == b"small"


def test_a_deleted_trigger_takes_its_entries_along_and_leaves_the_global_ones() -> None:
    cache = PluginCache()
    cache.put(ONE, "k", b"v")
    cache.put(ONE, "g", b"v", use_global=True)
    cache.put(OTHER, "k", b"v")
    cache.drop_local(ONE)
    assert _value(cache, ONE, "k") is None
    assert _value(cache, ONE, "g", use_global=True) == b"v"
    assert _value(cache, OTHER, "k") == b"v"


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 600), st.booleans())))
def test_the_bound_holds_and_the_books_balance_whatever_comes(steps: list[tuple[str, int, bool]]) -> None:
    cache = PluginCache(max_bytes=1_500)
    for key, size, shared in steps:
        if size < 0:
            cache.delete(ONE, key, use_global=shared)
        else:
            cache.put(ONE, key, bytes(size), use_global=shared)
        held = [cache.get(ONE, each, use_global=where) for each in "abc" for where in (True, False)]
        assert cache.size_bytes == sum(entry.size for entry in held if entry is not None) <= 1_500


def test_threads_may_use_it_at_once() -> None:
    cache = PluginCache(max_bytes=50_000)

    def work(scope: CacheScope) -> None:
        for number in range(2_000):
            cache.put(scope, str(number % 50), bytes(number % 900))
            cache.get(scope, str((number + 7) % 50))
            cache.delete(scope, str((number + 3) % 50))

    threads = [threading.Thread(target=work, args=(scope,)) for scope in (ONE, OTHER, ONE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 <= cache.size_bytes <= 50_000
