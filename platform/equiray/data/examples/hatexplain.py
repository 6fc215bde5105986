"""HateXplain (Mathew et al. 2021, arXiv 2012.10289) in its official format: posts, three annotators each.

The label is the one that most annotators gave; posts without a majority are left out, as in the authors' own division.
As in their study of bias, ``hatespeech`` and ``offensive`` are toxic, and a community counts as a post's target if at
least two annotators named it.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equiray.data.examples.official import find_official, read_official, unlike_official
from equiray.data.examples.record import Examples
from equiray.data.sources import digest_of
from equiray.errors import BadInput

SITE = "https://github.com/hate-alert/HateXplain, folder Data"
POSTS = 20_148
LABELS = ("normal", "offensive", "hatespeech")
WARNING = (
    "HateXplain: groups are communities that at least two annotators take for the target of a post, not its authors;"
    " posts quote hate speech"
)
_DIVISIONS = {"train": "train", "val": "validation", "test": "test"}
_DATASET = ("dataset.json", "Data/dataset.json")
_POST_IDS = ("post_id_divisions.json", "Data/post_id_divisions.json")
_FIX = "use the authors' file as it is"


def load_hatexplain(*, folder: Path | None = None, groups: Sequence[str] = ("African", "Women")) -> Examples:
    """Posts of HateXplain, toxic or normal, in the official division.

    Parameters
    ----------
    folder : Path, optional
        Holds ``dataset.json`` and ``post_id_divisions.json``, or ``Data`` with both; without it the mirror is looked
        at.
    groups : sequence of str
        Target communities, as the file names them; each is an attribute with groups ``African``, ``not African``.

    Returns
    -------
    examples : Examples
        A text is a post's tokens joined by spaces; `row_id` the post's place in ``dataset.json``. Warnings count ties
        and posts that no division lists.

    Raises
    ------
    BadInput
        A file is absent or not in the official format (names the post), or a community is the target of no post.
    """
    dataset_file, divisions_file = find_official("hatexplain", (_DATASET, _POST_IDS), folder=folder, site=SITE)
    posts = _read_posts(dataset_file)
    split_of = _read_divisions(divisions_file, posts)
    majority = {post: _majority(annotators) for post, (_, annotators) in posts.items()}
    kept = [(row, post) for row, post in enumerate(posts) if majority[post] is not None and post in split_of]
    ties = sum(label is None for label in majority.values())
    undivided = len(posts) - ties - len(kept)
    said = [f"{ties:,} posts without a majority label were left out"] if ties else []
    said += [f"{undivided:,} posts that {divisions_file.name} does not list were left out"] if undivided else []
    targets = {post: _targets(posts[post][1]) for _, post in kept}
    _check_groups(groups, targets, dataset_file)
    return Examples(
        name="hatexplain",
        title="HateXplain, toxic posts",
        row_id=np.array([row for row, _ in kept], dtype=np.int64),
        inputs=[posts[post][0] for _, post in kept],
        label=np.array([majority[post] != LABELS[0] for _, post in kept], dtype=np.int8),
        classes=("normal", "toxic"),
        attributes={
            g: np.array([g if g in targets[post] else f"not {g}" for _, post in kept], dtype=np.str_) for g in groups
        },
        split=np.array([split_of[post] for _, post in kept], dtype=np.str_),
        synthetic=False,
        source_sha256=digest_of([dataset_file, divisions_file]),
        warnings=(WARNING, *said, *unlike_official(dataset_file, len(posts), POSTS)),
    )


def _read_posts(path: Path) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """Text and annotators of each post by its id, in file order."""
    posts: dict[str, tuple[str, list[dict[str, Any]]]] = {}
    for post, entry in _mapping(path, "posts").items():
        place = f"{path}, post {post!r}"
        tokens = entry.get("post_tokens") if isinstance(entry, dict) else None
        annotators = entry.get("annotators") if isinstance(entry, dict) else None
        if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
            raise BadInput("`post_tokens` is no list of words", place=place, fix=_FIX)
        if not isinstance(annotators, list) or not annotators:
            raise BadInput("`annotators` is no list of annotations", place=place, fix=_FIX)
        for annotation in annotators:
            _check_annotation(annotation, place)
        posts[post] = (" ".join(tokens), annotators)
    return posts


def _check_annotation(annotation: Any, place: str) -> None:
    label = annotation.get("label") if isinstance(annotation, dict) else None
    if label not in LABELS:
        raise BadInput(f"an annotator's label is {label!r:.40}, not {', '.join(LABELS)}", place=place, fix=_FIX)
    target = annotation.get("target")
    if not isinstance(target, list) or not all(isinstance(community, str) for community in target):
        raise BadInput(f"an annotator's target is {target!r:.40}, not a list of names", place=place, fix=_FIX)


def _read_divisions(path: Path, posts: Mapping[str, object]) -> dict[str, str]:
    divisions = _mapping(path, "divisions")
    if set(divisions) != set(_DIVISIONS):
        problem = f"divisions are {', '.join(divisions)}, not {', '.join(_DIVISIONS)}"
        raise BadInput(problem, place=str(path), fix=_FIX)
    split_of: dict[str, str] = {}
    for division, ids in divisions.items():
        for post in ids if isinstance(ids, list) else [ids]:
            place = f"{path}, division {division!r}"
            if not isinstance(post, str) or post not in posts:
                raise BadInput(f"post {post!r:.60} is not in the data set", place=place, fix="use files of one release")
            if post in split_of:
                raise BadInput(f"post {post!r} is listed twice", place=place, fix=_FIX)
            split_of[post] = _DIVISIONS[division]
    return split_of


def _mapping(path: Path, what: str) -> dict[str, Any]:
    try:
        document = json.loads(read_official(path))
    except ValueError as error:
        raise BadInput(f"no JSON: {error}", place=str(path), fix=_FIX) from error
    if not isinstance(document, dict) or not document:
        kind = type(document).__name__
        raise BadInput(f"a mapping of {what} is due, this is {kind}, or empty", place=str(path), fix=_FIX)
    return document


def _majority(annotators: Sequence[Mapping[str, Any]]) -> str | None:
    """The label that more than half of the annotators gave, None if there is none."""
    label, votes = Counter(annotation["label"] for annotation in annotators).most_common(1)[0]
    return label if 2 * votes > len(annotators) else None


def _targets(annotators: Sequence[Mapping[str, Any]]) -> set[str]:
    votes = Counter(community for annotation in annotators for community in set(annotation["target"]))
    return {community for community, count in votes.items() if count >= 2}


def _check_groups(groups: Sequence[str], targets: Mapping[str, set[str]], path: Path) -> None:
    known = set().union(*targets.values())
    for group in groups:
        if group not in known:
            fix = f"named in the file: {', '.join(sorted(known))}"
            raise BadInput(f"no post targets {group!r}", place=str(path), fix=fix)
