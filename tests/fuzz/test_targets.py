"""Bad input at every door: seeds, their mutations and plain noise, the same in every run; seconds, not hours.

`make fuzz` goes on from here with a fuzzer that follows coverage.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import seeds
from tests.fuzz.targets import TARGETS

# Tries for each door, by what one costs: all of them together take about half a minute.
TRIES = {"bot_file": 200, "card": 200}
MOST = 500


@st.composite
def mutations(draw: st.DrawFn, target: str) -> bytes:
    """A seed, cut, doubled, spliced with another, or with foreign words in it; or bytes that are none of ours."""
    known = seeds.of(target)
    data = bytearray(draw(st.sampled_from(known) | st.binary(max_size=200)))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        match draw(st.integers(0, 5)):
            case 0:
                del data[start:end]
            case 1:
                data[start:start] = data[start:end] * draw(st.integers(1, 9))
            case 2:
                data[start:end] = draw(st.sampled_from(seeds.TOKENS)).encode()
            case 3:
                data[start:end] = draw(st.binary(max_size=8))
            case 4:
                data[start:end] = b'"%s"' % draw(st.text(max_size=8)).encode("utf-8", "surrogatepass")
            case _:
                other = draw(st.sampled_from(known))
                data[start:end] = other[: draw(st.integers(0, 200))]
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS)
def test_no_seed_gets_through_a_door_that_should_hold(target):
    """Huge, deep, compressed, not UTF-8, doubled keys, half characters, NaN; and every honest kind."""
    for seed in seeds.of(target):
        TARGETS[target](seed)


@pytest.mark.parametrize("target", TARGETS)
def test_no_mutation_of_a_seed_does_either(target):
    """The same tries in every run: what fails here fails for everybody."""

    @settings(max_examples=TRIES.get(target, MOST), database=None)
    @given(mutations(target))
    def tried(data):
        TARGETS[target](data)

    tried()
