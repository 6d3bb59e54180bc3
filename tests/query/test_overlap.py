from __future__ import annotations

from headrace.query.overlap import MAX_RANGES, Range, coarsen, find_overlap
from hypothesis import given
from hypothesis import strategies as st

_RANGE = st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def _disjoint(ranges: list[Range]) -> list[Range]:
    joined: list[Range] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


_SOURCES = st.lists(st.lists(_RANGE, min_size=1, max_size=3).map(_disjoint), max_size=8)


def _holds(ranges: list[Range], time: int) -> bool:
    return any(first <= time <= last for first, last in ranges)


def test_sources_that_do_not_meet_pass_straight() -> None:
    overlap = find_overlap([[(0, 9)], [(10, 19)], [(30, 39)]])
    assert overlap.windows == ()
    assert overlap.straight == (0, 1, 2)
    assert overlap.layers == ()


def test_only_the_shared_time_is_merged() -> None:
    overlap = find_overlap([[(0, 100)], [(90, 200)], [(300, 400)]])
    assert overlap.windows == ((90, 100),)
    assert overlap.straight == (2,)
    assert overlap.outside == (0, 1)
    assert overlap.layers == ((0,), (1,))


def test_a_shared_instant_is_shared() -> None:
    assert find_overlap([[(0, 10)], [(10, 20)]]).windows == ((10, 10),)


def test_files_that_do_not_meet_share_a_layer() -> None:
    overlap = find_overlap([[(0, 9)], [(10, 19)], [(0, 19)]])
    assert overlap.layers == ((0, 1), (2,))


def test_a_late_row_does_not_make_everything_overlap() -> None:
    files = [[(at * 10, at * 10 + 9)] for at in range(100)]
    overlap = find_overlap([*files, [(55, 55), (1_000, 1_010)]])
    assert overlap.windows == ((55, 55),)
    assert len(overlap.straight) == 99


@given(_SOURCES)
def test_every_shared_time_is_in_a_window_and_layers_keep_the_order(sources: list[list[Range]]) -> None:
    overlap = find_overlap(sources)
    layer_of = {source: at for at, members in enumerate(overlap.layers) for source in members}
    assert sorted((*overlap.straight, *layer_of)) == list(range(len(sources)))
    assert set(overlap.outside) <= set(layer_of)
    for time in range(80):
        holders = [at for at, ranges in enumerate(sources) if _holds(ranges, time)]
        inside = _holds(list(overlap.windows), time)
        if len(holders) > 1:
            assert inside
            layers = [layer_of[source] for source in holders]
            assert layers == sorted(set(layers))
        if inside:
            assert not set(holders) & set(overlap.straight)
        else:
            assert set(holders) <= {*overlap.straight, *overlap.outside}


@given(st.lists(_RANGE, min_size=1, max_size=40))
def test_coarse_ranges_are_few_and_cover_all(ranges: list[Range]) -> None:
    exact = _disjoint([(first * 3, first * 3 + 1) for first, _ in ranges])
    coarse = coarsen(exact)
    assert len(coarse) <= MAX_RANGES
    assert coarse == _disjoint(coarse)
    assert all(any(a <= first and last <= b for a, b in coarse) for first, last in exact)
    assert (coarse[0][0], coarse[-1][1]) == (exact[0][0], exact[-1][1])
