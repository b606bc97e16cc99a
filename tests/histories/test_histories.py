"""Histories: whatever people, the operator and bad luck do, in whatever order, the promises of the follow-up hold.

Hypothesis makes histories up (`machine`), and they are lived in a town of the real handlers on the local stack
(`town`); a judge that shares nothing with relance reads the journal of each (`judge`). How many, and how to repeat a
run, says `living`; a failure prints the shortest history that fails.
"""

from hypothesis import Phase

from tests.histories.living import live


def test_histories_break_no_promise(town, starts):
    """Never two, never outside the rules, never after no, never lost."""
    counts = live(town, starts, Phase.generate, Phase.shrink)
    # Else there was nothing to judge.
    assert counts["requests"] > counts["histories"]
    assert counts["due silences"] > counts["histories"] / 2
