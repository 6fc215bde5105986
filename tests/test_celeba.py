"""CelebA's official format, on small files of that format."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from equiray.data.examples.celeba import load_celeba
from equiray.data.pictures.reading import read_pictures
from equiray.errors import BadInput

NAMES = "5_o_Clock_Shadow Blond_Hair Eyeglasses Male"
# picture, four attributes, split
PICTURES = [
    ("000001.jpg", (-1, 1, -1, -1), 0),
    ("000002.jpg", (1, 1, -1, 1), 0),
    ("000003.jpg", (-1, -1, 1, 1), 1),
    ("000004.jpg", (-1, -1, -1, -1), 2),
]


def attributes(names: str = NAMES, count: object = len(PICTURES)) -> str:
    lines = [f"{name} " + " ".join(f"{value:2d}" for value in values) for name, values, _ in PICTURES]
    return "\n".join([str(count), f"{names} ", *lines]) + "\n"


def partition() -> str:
    return "".join(f"{name} {split}\n" for name, _, split in PICTURES)


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "list_attr_celeba.txt").write_text(attributes())
    (tmp_path / "list_eval_partition.txt").write_text(partition())
    (tmp_path / "img_align_celeba").mkdir()
    for name, _, _ in PICTURES:
        (tmp_path / "img_align_celeba" / name).write_bytes(b"")
    return tmp_path


def test_label_attribute_split_and_paths(folder):
    examples = load_celeba(folder=folder)
    assert examples.inputs == [folder / "img_align_celeba" / name for name, _, _ in PICTURES]
    assert examples.label.tolist() == [1, 1, 0, 0] and examples.classes == ("not Blond_Hair", "Blond_Hair")
    assert examples.attributes["Male"].tolist() == ["not Male", "Male", "Male", "not Male"]
    assert examples.split.tolist() == ["train", "train", "validation", "test"]
    files = [folder / "list_attr_celeba.txt", folder / "list_eval_partition.txt"]
    lines = "".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files)
    assert examples.source_sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert examples.warnings[-1] == "list_attr_celeba.txt has 4 rows, the official file 202,599"
    assert not examples.synthetic


def test_any_attribute_is_a_label_and_the_official_folders_are_known(folder, tmp_path, monkeypatch):
    mirror = tmp_path / "mirror" / "celeba"
    for inside, name in (
        ("Anno", "list_attr_celeba.txt"),
        ("Eval", "list_eval_partition.txt"),
        ("Img", "img_align_celeba"),
    ):
        (mirror / inside).mkdir(parents=True)
        (folder / name).rename(mirror / inside / name)
    monkeypatch.setenv("EQUIRAY_DATA", str(mirror.parent))
    examples = load_celeba(label="Eyeglasses", attributes=("Male", "Blond_Hair"))
    assert examples.label.tolist() == [0, 0, 1, 0]
    assert examples.attributes["Blond_Hair"].tolist() == ["Blond_Hair"] * 2 + ["not Blond_Hair"] * 2


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("list_attr_celeba.txt", "", "empty or was cut short"),
        ("list_attr_celeba.txt", attributes(count=5), "line 1 counts '5' rows, 4 follow"),
        ("list_attr_celeba.txt", attributes(count="image_id,Male"), "line 1 counts 'image_id,Male' rows"),
        (
            "list_attr_celeba.txt",
            attributes(NAMES.replace("Male", "Mole")),
            r"no attribute 'Male'\n.*line 2\n.*known: 5",
        ),
        (
            "list_attr_celeba.txt",
            attributes(f"{NAMES} Young"),
            r"5 cells where a picture and 5 attributes .*\n.*line 3",
        ),
        (
            "list_attr_celeba.txt",
            attributes().replace("-1  1 -1 -1", "-1  0 -1 -1"),
            r"Blond_Hair is '0', not 1 or -1\n.*line 3",
        ),
        ("list_eval_partition.txt", partition() + "000005.jpg 0\n", "5 pictures, the attribute file lists 4"),
        (
            "list_eval_partition.txt",
            partition().replace("3.jpg 1", "3.jpg 3"),
            r"'000003.jpg 3' where .* 0, 1 or 2 .*\n.*line 3",
        ),
        (
            "list_eval_partition.txt",
            partition().replace("000002", "000009"),
            r"'000009.jpg 0' where '000002.jpg' .*\n.*line 2",
        ),
    ],
)
def test_another_format_is_refused_with_its_line(folder, file, text, said):
    (folder / file).write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        load_celeba(folder=folder)
    assert file in caught.value.place


def test_a_picture_that_is_not_there_is_named(folder):
    (folder / "img_align_celeba" / "000003.jpg").unlink()
    with pytest.raises(BadInput, match=r"lists 000003.jpg, which is not there\n.*img_align_celeba\n.*unpack"):
        load_celeba(folder=folder)


def test_pictures_are_read_as_the_square_in_the_middle(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="the extra `pictures` is not installed")
    tall = np.zeros((8, 4, 3), dtype=np.uint8)
    tall[2:4, :, 0], tall[4:6, :, 1] = 200, 100  # what is above and below the middle square is black
    image.fromarray(tall).save(tmp_path / "tall.png")
    (pixels,) = read_pictures([tmp_path / "tall.png"], side=2)
    assert pixels.tolist() == [[[200, 0, 0]] * 2, [[0, 100, 0]] * 2]
    (tmp_path / "no.jpg").write_bytes(b"not a picture")
    with pytest.raises(BadInput, match=r"cannot be read: .*\n.*no.jpg"):
        read_pictures([tmp_path / "no.jpg"], side=2)
