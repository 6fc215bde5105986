"""Avatars: exact proportions, attributes that can be seen in the pixels, and pictures that are drawn once."""

from dataclasses import replace

import numpy as np
import pytest

from equiray.data.pictures import avatars
from equiray.data.pictures.avatars import load_avatars
from equiray.data.pictures.recipe import CELEBA_CELLS, CLASSES, GLASSES, HAIR, SKIN, AvatarRecipe, draw_attributes
from equiray.data.splits import keyed_hash
from equiray.errors import BadInput

SMALL = AvatarRecipe(train=60, validation=8, test=12, cells=(3, 3, 3, 1))


@pytest.fixture
def draw():
    for module in ("dicebear", "dicebear_styles", "resvg_py", "PIL"):
        pytest.importorskip(module, reason="the extra `pictures` is not installed")
    from equiray.data.pictures.drawing import draw

    return draw


def cells(drawn, split: str) -> list[int]:
    of_split = drawn.split == split
    return [int((of_split & (drawn.label == y) & (drawn.skin == s)).sum()) for y in (0, 1) for s in ("light", "dark")]


def test_every_split_has_celebas_proportions_to_a_row():
    drawn = draw_attributes(AvatarRecipe())
    assert CELEBA_CELLS == (71_629, 66_874, 22_880, 1_387) and sum(CELEBA_CELLS) == 162_770
    for split, rows in (("train", 10_000), ("validation", 4_000), ("test", 20_000)):
        exact = rows * np.array(CELEBA_CELLS) / 162_770
        assert sum(cells(drawn, split)) == rows
        assert (np.abs(cells(drawn, split) - exact) < 1).all()
    assert cells(drawn, "test")[3] == 171  # .85 %
    assert np.array_equal(drawn.row_id, np.arange(34_000))


def test_all_but_label_and_skin_is_independent_of_both():
    drawn = draw_attributes(AvatarRecipe(train=20_000, validation=0, test=0, cells=(1, 1, 1, 1)))
    for option in ("hair", *(name for name in drawn.options[0] if name not in ("skinColor", "accessoriesProbability"))):
        values = drawn.hair if option == "hair" else np.array([chosen[option] for chosen in drawn.options])
        if values.dtype.kind == "f":
            values = values > np.median(values)
        codes = np.unique(values, return_inverse=True)[1]
        table = np.zeros((4, codes.max() + 1))
        np.add.at(table, (drawn.label * 2 + (drawn.skin == "dark"), codes), 1)
        expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
        chi2, freedom = ((table - expected) ** 2 / expected).sum(), 3 * codes.max()
        assert freedom > 0 and chi2 < freedom + 5 * np.sqrt(2 * freedom), option  # mean and standard deviation of chi2


def test_hair_length_and_skin_are_those_of_the_style_s_options():
    drawn = draw_attributes(SMALL)
    for chosen, label, skin, hair in zip(drawn.options, drawn.label, drawn.skin, drawn.hair, strict=True):
        assert chosen["skinColor"] in SKIN[skin] and chosen["topVariant"] in HAIR[hair]
        assert chosen["accessoriesProbability"] == 100 * label
    assert set(SKIN) == {"light", "dark"} and CLASSES[1] == "glasses"


def test_a_picture_hangs_on_its_row_id_and_the_seed_alone():
    drawn, other = draw_attributes(SMALL), draw_attributes(replace(SMALL, seed=1))
    longer = draw_attributes(replace(SMALL, test=100))
    free = [name for name in drawn.options[0] if name not in ("skinColor", "accessoriesProbability", "topVariant")]
    assert [[o[name] for name in free] for o in drawn.options] == [
        [o[name] for name in free] for o in longer.options[: len(drawn.options)]
    ]
    assert drawn.options != other.options and (drawn.label != other.label).any()
    place = keyed_hash(drawn.row_id, 0, "avatar glasses") % np.uint64(6)
    assert [chosen["accessoriesVariant"] for chosen in drawn.options] == [GLASSES[p] for p in place]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cells": (1, 1, 1)}, r"cells are \(1, 1, 1\)"),
        ({"cells": (1, 1, 1, -1)}, "cells are"),
        ({"cells": (0, 0, 0, 0)}, "cells are"),
        ({"test": -1}, "-1 pictures of test"),
        ({"test": 20, "cells": CELEBA_CELLS}, r"20 pictures of test lack a cell\n.*\n.*118 are enough"),
    ],
)
def test_a_recipe_without_some_cell_is_refused(change, said):
    with pytest.raises(BadInput, match=said):
        replace(AvatarRecipe(train=1000, validation=0, test=1000), **change)
    assert cells(draw_attributes(replace(SMALL, train=118, cells=CELEBA_CELLS, validation=0, test=0)), "train")[3] == 1
    without = AvatarRecipe(train=10, validation=0, test=0, cells=(1, 1, 1, 0))
    assert cells(draw_attributes(without), "train")[3] == 0


def test_the_digest_names_the_pictures():
    digest = SMALL.sha256("a==1")
    assert len(digest) == 64 and digest == replace(SMALL).sha256("a==1")
    assert len({digest, SMALL.sha256("a==2"), replace(SMALL, seed=1).sha256("a==1")}) == 3


def options(**changes: object) -> dict:
    plain = draw_attributes(SMALL).options[0] | {"rotate": 0, "translateX": 0, "translateY": 0, "scale": 1}
    return plain | {"facialHairProbability": 0, "accessoriesProbability": 0} | changes


def test_glasses_can_be_seen_on_every_skin_in_every_colour(draw):
    drawn = draw_attributes(AvatarRecipe(train=2000, validation=0, test=0))
    frames = sorted({chosen["accessoriesColor"] for chosen in drawn.options})
    tones = [tone for group in SKIN.values() for tone in group]
    plain = dict(zip(tones, draw([options(skinColor=tone) for tone in tones]).astype(int), strict=True))
    worn = [(tone, kind, frame) for tone in tones for kind in GLASSES for frame in frames]
    pictures = draw(
        [options(skinColor=t, accessoriesVariant=k, accessoriesColor=f, accessoriesProbability=100) for t, k, f in worn]
    )
    assert len(frames) == 6
    for (tone, kind, frame), picture in zip(worn, pictures.astype(int), strict=True):
        changed = np.abs(picture - plain[tone]).max(axis=2)
        assert (changed > 25).sum() >= 20, (tone, kind, frame)  # pixels of 4,096
        assert not changed[:16].any() and not changed[40:].any()  # nothing but the face


def test_skin_can_be_seen(draw):
    tones = {tone: group for group, of_group in SKIN.items() for tone in of_group}
    pictures = draw([options(skinColor=tone) for tone in tones])
    for picture, tone in zip(pictures, tones, strict=True):
        rgb = np.array([int(tone[i : i + 2], 16) for i in (1, 3, 5)])
        face = picture[31:37, 24:40].reshape(-1, 3)  # cheeks and nose
        assert np.median(np.abs(face - rgb).max(axis=1)) <= 2
    luminance = {tone: picture[31:37, 24:40].mean() for picture, tone in zip(pictures, tones, strict=True)}
    light, dark = ([luminance[tone] for tone in SKIN[group]] for group in ("light", "dark"))
    assert min(light) > 1.5 * max(dark)


def test_every_option_is_drawn_as_chosen(draw):
    """The style replaces a colour that equals a neighbour's: the palettes must leave it nothing to replace."""
    from importlib.resources import files
    from json import loads

    from dicebear import Avatar, Style

    style = Style(loads(files("dicebear_styles").joinpath("avataaars.json").read_text("utf-8")))
    for chosen in draw_attributes(AvatarRecipe(train=300, validation=0, test=0)).options:
        resolved = Avatar(style, chosen).to_json()["options"]
        for name, value in chosen.items():
            if not name.endswith("Probability") and name in resolved:
                drawn = resolved[name][0] if isinstance(resolved[name], list) else resolved[name]
                assert drawn == value, name
        assert ("accessoriesVariant" in resolved) >= (chosen["accessoriesProbability"] == 100)


def test_avatars_are_drawn_once_and_marked_synthetic(draw, tmp_path, monkeypatch):
    first = load_avatars(SMALL, folder=tmp_path)
    assert isinstance(first.inputs, np.ndarray)
    assert first.inputs.shape == (80, 64, 64, 3) and first.inputs.dtype == np.uint8
    assert first.synthetic and first.warnings[0].startswith("synthetic") and "synthetic" in first.title
    assert set(first.attributes) == {"skin", "hair"} and first.classes == ("no glasses", "glasses")
    assert np.array_equal(first.inputs[[5, 70]], draw([draw_attributes(SMALL).options[i] for i in (5, 70)]))
    assert len(np.unique(first.inputs.reshape(80, -1), axis=0)) == 80
    monkeypatch.setattr(avatars, "draw", lambda options: pytest.fail("drawn again"))
    again = load_avatars(SMALL, folder=tmp_path)
    assert np.array_equal(first.inputs, again.inputs) and first.source_sha256 == again.source_sha256
    (file,) = tmp_path.iterdir()
    assert first.source_sha256[:16] in file.name


@pytest.mark.parametrize("harm", ["cut", "other pixels", "other recipe"])
def test_a_broken_file_of_pictures_is_refused(draw, tmp_path, harm):
    load_avatars(SMALL, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    with np.load(file) as kept:
        arrays = dict(kept)
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:500])
    elif harm == "other pixels":
        np.savez_compressed(file, **arrays | {"pixels": 255 - arrays["pixels"]})
    else:
        np.savez_compressed(file, **arrays | {"recipe": "0" * 64})
    with pytest.raises(BadInput, match=r"cut short or altered.*\n.*avatars-.*\n.*drawn anew"):
        load_avatars(SMALL, folder=tmp_path)


def test_without_the_packages_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "resvg_py" else object())
    with pytest.raises(BadInput, match=r"resvg-py cannot be imported\n.*\n.*pip install 'equiray\[pictures\]'"):
        load_avatars(SMALL, folder=tmp_path)


def test_twenty_pictures_a_second_on_one_core(draw):
    import time

    chosen = draw_attributes(AvatarRecipe(train=80, validation=0, test=0, cells=(1, 1, 1, 1))).options
    draw(chosen[:1])
    start = time.process_time()
    draw(chosen)
    assert len(chosen) / (time.process_time() - start) > 20


def test_the_tiny_vit_reads_avatars():
    torch = pytest.importorskip("torch", reason="the extra `llm` is not installed")
    from equiray.models.backbones import pixel_values
    from equiray.models.tiny_vit import draw_tiny_vit, tiny_vit_config

    config = tiny_vit_config()
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (8, 192, 3)
    model = draw_tiny_vit(0)
    assert 3.5e6 < sum(each.numel() for each in model.parameters()) < 3.7e6
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    pictures[0, 1, 2] = (0, 255, 51)
    values = pixel_values(pictures, 64)
    assert values.dtype == torch.float32 and values[0, :, 1, 2].tolist() == pytest.approx([-1, 1, -0.6])
    with torch.no_grad():
        assert model(values).last_hidden_state.shape == (2, 65, 192)
