"""What is kept, under what, and what survives a process that is killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

import tiny_models
from equiray.errors import BadInput, Incomplete
from equiray.models.engines.cache import CompletionCache, request_key, write_missing
from equiray.models.engines.protocol import Identity
from equiray.models.engines.records import Completion, Message, Request, Sampling
from equiray.models.engines.transformers_engine import TransformersEngine

IDENTITY = Identity(backend="counting", model="m", prompts_sha256="p", dtype="float32")
SAMPLING = Sampling(max_tokens=4)


def request(name: str, text: str = "Who was it?", n: int = 3) -> Request:
    return Request(request_id=name, messages=(Message("system", "Think."), Message("user", text)), n=n)


class Counting:
    """Writes what it was asked, and counts."""

    identity = IDENTITY

    def __init__(self) -> None:
        self.written: list[tuple[str, int]] = []

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        for one in requests:
            for index in one.wanted:
                self.written.append((one.messages[-1].content, index))
                text = f"{one.messages[-1].content} {index} {sampling.seed}\n\n\u00e9 \ud83d"
                yield Completion(request_id=one.request_id, index=index, text=text, tokens=2, finish="stop")


def sampled(directory, requests, sampling=SAMPLING, identity=IDENTITY):
    engine, cache = Counting(), CompletionCache(directory, identity)
    list(write_missing(engine, cache, requests, sampling))
    return engine.written, cache.completions(requests, sampling)


def test_nothing_is_sampled_twice_and_more_is_only_what_is_missing(tmp_path):
    first, eight = sampled(tmp_path, [request("a", n=8)])
    assert len(first) == 8
    again, same = sampled(tmp_path, [request("another name", n=8)])
    assert again == [] and [c.text for c in same[0]] == [c.text for c in eight[0]]
    assert {c.request_id for c in same[0]} == {"another name"}
    more, both = sampled(tmp_path, [request("a", n=32)])
    assert [index for _, index in more] == list(range(8, 32))
    assert both[0][:8] == eight[0]
    fewer, two = sampled(tmp_path, [request("a", n=2)])
    assert fewer == [] and two[0] == eight[0][:2]


def test_equal_contents_are_sampled_once_for_the_most_that_is_asked(tmp_path):
    written, (two, five) = sampled(tmp_path, [request("a", n=2), request("b", n=5)])
    assert [index for _, index in written] == [0, 1, 2, 3, 4]
    assert [c.text for c in two] == [c.text for c in five[:2]]


@pytest.mark.parametrize(
    "change",
    [{"temperature": 0.7}, {"top_p": 0.9}, {"max_tokens": 5}, {"stop": ("\n",)}, {"seed": 1}],
    ids=lambda change: next(iter(change)),
)
def test_another_sampling_is_another_completion(tmp_path, change):
    sampled(tmp_path, [request("a")])
    assert len(sampled(tmp_path, [request("a")], replace(SAMPLING, **change))[0]) == 3


@pytest.mark.parametrize("part", ["backend", "model", "prompts_sha256", "dtype"])
def test_another_engine_is_another_completion(tmp_path, part):
    sampled(tmp_path, [request("a")])
    assert len(sampled(tmp_path, [request("a")], identity=replace(IDENTITY, **{part: "other"}))[0]) == 3
    named = [json.loads(path.read_text())[part] for path in tmp_path.glob("*/identity.json")]
    assert sorted(named) == sorted([getattr(IDENTITY, part), "other"])


def test_messages_are_told_apart_by_role_and_border():
    def key(*messages: Message) -> str:
        return request_key(Request(request_id="a", messages=messages), SAMPLING)

    assert (
        len({key(Message("user", "ab")), key(Message("system", "ab")), key(Message("user", "a"), Message("user", "b"))})
        == 3
    )


def test_a_torn_end_and_a_broken_line_are_sampled_again(tmp_path, caplog):
    _, whole = sampled(tmp_path, [request("a", n=6)])
    (shard,) = tmp_path.glob("*/*.jsonl")
    lines = shard.read_bytes().splitlines(keepends=True)
    shard.write_bytes(b"".join([lines[0], b"\0" * 40 + b"\n", *lines[2:5], lines[5][:-9]]))
    written, mended = sampled(tmp_path, [request("a", n=6)])
    assert [index for _, index in written] == [1, 5]
    assert mended == whole
    assert "broken line" in caplog.text
    assert sampled(tmp_path, [request("a", n=6)])[0] == []  # the torn line stays torn, and harms nothing


def test_two_caches_see_what_the_other_adds(tmp_path):
    ours, theirs = (CompletionCache(tmp_path, IDENTITY) for _ in range(2))
    both = [request("a", "first"), request("b", "second")]
    list(write_missing(Counting(), ours, both[:1], SAMPLING))
    list(write_missing(Counting(), theirs, both[1:], SAMPLING))
    assert ours.missing(both, SAMPLING) == theirs.missing(both, SAMPLING) == []
    assert ours.completions(both, SAMPLING) == theirs.completions(both, SAMPLING)


def test_of_two_that_were_written_at_once_all_readers_take_the_same(tmp_path):
    one, other = (CompletionCache(tmp_path, IDENTITY) for _ in range(2))
    asked = request("a", n=1)
    for cache, text in ((one, "earlier"), (other, "later")):
        cache.add(asked, SAMPLING, Completion(request_id="a", index=0, text=text, tokens=1, finish="stop"))
    readers = [CompletionCache(tmp_path, IDENTITY).completions([asked], SAMPLING)[0][0].text for _ in range(3)]
    assert readers == ["earlier"] * 3


def test_what_is_missing_is_said(tmp_path):
    cache = CompletionCache(tmp_path, IDENTITY)
    list(write_missing(Counting(), cache, [request("a", n=2)], SAMPLING))
    with pytest.raises(Incomplete, match=r"3 of 5 completions of request 'a' are missing"):
        cache.completions([request("a", n=5)], SAMPLING)


def test_a_name_that_repeats_is_refused(tmp_path):
    with pytest.raises(BadInput, match="request id 'a' is there twice"):
        CompletionCache(tmp_path, IDENTITY).missing([request("a"), request("a", "other")], SAMPLING)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Incomplete, match=r"cannot write: .*\n.*file"):
        CompletionCache(tmp_path / "file", IDENTITY)


ENDLESS = """
import sys, test_completion_cache as t
cache = t.CompletionCache(t.Path(sys.argv[1]), t.IDENTITY)
for done in t.write_missing(t.Counting(), cache, [t.request("a", n=10**6)], t.SAMPLING):
    print(done.index, flush=True)
"""


def test_what_a_killed_process_had_handed_on_is_kept(tmp_path):
    code = ENDLESS.replace("t.Path", "__import__('pathlib').Path")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["platform", "tests", *sys.path])}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    ) as child:
        assert child.stdout is not None
        said = [int(child.stdout.readline()) for _ in range(50)]
        child.send_signal(signal.SIGKILL)
        said += [int(line) for line in child.stdout if line.endswith(b"\n")]
    (left,) = CompletionCache(tmp_path, IDENTITY).missing([request("a", n=10**6)], SAMPLING)
    assert set(said) <= left.skip
    assert len(left.skip) - len(said) <= 1  # the last may have been kept and not been said
    written, _ = sampled(tmp_path, [request("a", n=len(left.skip) + 2)])
    assert len(written) == 2


def test_a_run_that_is_broken_off_and_resumed_has_the_texts_of_one_that_is_not(tmp_path):
    engine = TransformersEngine(lm=tiny_models.tiny("llama", chat=True), live_chains=5)
    requests = [request(str(i), f"The age is {i}", n=4) for i in (20, 39, 40)]
    whole = CompletionCache(tmp_path / "whole", engine.identity)
    list(write_missing(engine, whole, requests, SAMPLING))
    parts = CompletionCache(tmp_path / "parts", engine.identity)
    for _, _ in zip(write_missing(engine, parts, requests, SAMPLING), range(5), strict=False):
        pass
    rest = list(write_missing(engine, CompletionCache(tmp_path / "parts", engine.identity), requests[::-1], SAMPLING))
    assert len(rest) == 12 - 6  # one was kept before the loop ended
    assert parts.completions(requests, SAMPLING) == whole.completions(requests, SAMPLING)
