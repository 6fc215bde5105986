"""Scored chains: what fits, what does not, and the way to disk and back."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiray.errors import BadInput
from equiray.mitigation.voting.chains import ScoredChain, ScoredChains
from equiray.mitigation.voting.store import load_chains, save_chains
from voting_cases import chains_of

STEPS = st.lists(st.floats(0, 1), min_size=1, max_size=4)
CHAIN = st.one_of(
    st.tuples(st.integers(0, 2), STEPS),
    st.tuples(st.sampled_from(["unparsed", "refused"]), st.lists(st.floats(0, 1), max_size=2)),
)


@given(st.lists(st.lists(CHAIN, min_size=1, max_size=4), min_size=1, max_size=5), st.sampled_from(["train", "test"]))
@settings(max_examples=40, deadline=None)
def test_what_is_saved_is_read_back_bit_for_bit(tmp_path_factory, cases, split):
    chains = chains_of(*cases, options=3, split=split)
    path = tmp_path_factory.mktemp("chains") / "scored.parquet"
    save_chains(chains, path)
    again = load_chains(path)
    assert (again.split, again.case_ids) == (chains.split, chains.case_ids)
    for name in ("options", "answers", "outcomes", "step_offsets", "step_fair"):
        ours, theirs = getattr(chains, name), getattr(again, name)
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs), name


def test_a_file_of_another_kind_cut_short_or_thinned_out_is_refused(tmp_path):
    chains = chains_of([(0, [0.5]), ("refused", [])], [(1, [0.5, 0.25])])
    path = tmp_path / "scored.parquet"
    with pytest.raises(BadInput, match="no such file"):
        load_chains(path)
    save_chains(chains, path)
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(None), path)
    with pytest.raises(BadInput, match=r"no file of equiray.scored_chains/1"):
        load_chains(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(BadInput, match="2 chains, not 3"):
        load_chains(path)
    pq.write_table(table.take([1, 0, 2]), path)
    with pytest.raises(BadInput, match="do not stand in order"):
        load_chains(path)
    save_chains(chains, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadInput, match="cut short"):
        load_chains(path)


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        (ScoredChain(2, "answered", [0.5]), "answered with option 2"),
        (ScoredChain(None, "answered", [0.5]), "answered with option -1"),
        (ScoredChain(1, "refused", [0.5]), "no answer, yet option 1"),
        (ScoredChain(1, "answered", []), "answered in no step"),
        (ScoredChain(1, "answered", [0.5, 1.5]), "probability 1.5"),
        (ScoredChain(1, "answered", [float("nan")]), "probability nan"),
        (ScoredChain(None, "lost", []), "outcome 'lost'"),
    ],
)
def test_a_chain_that_does_not_fit_is_named(chain, said):
    with pytest.raises(BadInput, match=said) as caught:
        ScoredChains.of("test", {"x": (2, [ScoredChain(0, "answered", [0.5]), chain])})
    assert "case 'x', chain 1" in caught.value.place


def test_cases_that_do_not_fit_are_named():
    one = [ScoredChain(0, "answered", [0.5])]
    with pytest.raises(BadInput, match="no chain was sampled"):
        ScoredChains.of("test", {"x": (2, one), "y": (2, [])})
    with pytest.raises(BadInput, match="1 options"):
        ScoredChains.of("test", {"x": (1, one)})
    with pytest.raises(BadInput, match="split 'dev'"):
        ScoredChains.of("dev", {"x": (2, one)})
    with pytest.raises(BadInput, match="answers of shape"):
        ScoredChains.of("test", {})
    chains = chains_of([(0, [0.5]), (1, [0.5])], [(0, [0.5])])
    with pytest.raises(BadInput, match="stands there twice"):
        replace(chains, case_ids=("x", "x"))
    with pytest.raises(BadInput, match="sampled after an absent one"):
        replace(chains, answers=chains.answers[:, ::-1], outcomes=chains.outcomes[:, ::-1])
    with pytest.raises(BadInput, match="shape"):
        replace(chains, options=np.array([2]))
