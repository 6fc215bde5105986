"""The YAML of data sets that are no tables: texts and pictures in their authors' formats, and drawn avatars."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from equiray.specs.documents import Document
from equiray.specs.run import TaskSpec

_NAME = r"^[A-Za-z0-9_-]+$"
_POSITIVE = "the class to be told from all others; needed where there are more than two"
_PATH = "the folder of the authors' files; default: the data set's in $EQUIRAY_DATA"


class AvatarsSpec(Document):
    """Avatars with and without glasses, synthetic; as many are drawn of each split as the run's `rows` say."""

    examples: Literal["avatars"]
    name: str = Field(default="avatars", pattern=_NAME)
    attributes: tuple[str, ...] = ("skin",)
    positive: str | None = Field(default=None, description=_POSITIVE)
    cells: tuple[int, int, int, int] | None = Field(
        default=None, description="proportions of no glasses x (light, dark), then glasses; default: CelebA's"
    )
    seed: int = 0


class CelebaSpec(Document):
    """CelebA: faces, and any of its 40 attributes as label and groups."""

    examples: Literal["celeba"]
    name: str = Field(default="celeba", pattern=_NAME)
    path: str | None = Field(default=None, description=_PATH)
    label: str = "Blond_Hair"
    attributes: tuple[str, ...] = ("Male",)
    positive: str | None = Field(default=None, description=_POSITIVE)


class MultinliSpec(Document):
    """MultiNLI: sentence pairs, three classes."""

    examples: Literal["multinli"]
    name: str = Field(default="multinli", pattern=_NAME)
    path: str | None = Field(default=None, description=_PATH)
    attributes: tuple[str, ...] = ("negation",)
    positive: str | None = Field(default=None, description=_POSITIVE)


class HatexplainSpec(Document):
    """HateXplain: posts, toxic or not; communities that they target as attributes."""

    examples: Literal["hatexplain"]
    name: str = Field(default="hatexplain", pattern=_NAME)
    path: str | None = Field(default=None, description=_PATH)
    attributes: tuple[str, ...] = ("African", "Women")
    positive: str | None = Field(default=None, description=_POSITIVE)


ExamplesSpec = AvatarsSpec | CelebaSpec | MultinliSpec | HatexplainSpec
_DATA_SETS = ("avatars", "celeba", "multinli", "hatexplain")


def _kind(task: Any) -> str:
    """Which of the documents below a task is; an unknown data set's name names none of them."""
    named = task.get("examples") if isinstance(task, dict) else getattr(task, "examples", None)
    return "(table)" if named is None else f"({named})"


AnyTaskSpec = Annotated[
    Annotated[TaskSpec, Tag("(table)")]
    | Annotated[AvatarsSpec, Tag("(avatars)")]
    | Annotated[CelebaSpec, Tag("(celeba)")]
    | Annotated[MultinliSpec, Tag("(multinli)")]
    | Annotated[HatexplainSpec, Tag("(hatexplain)")],
    Discriminator(
        _kind,
        custom_error_type="examples",
        custom_error_message=f"`examples` is none of {', '.join(_DATA_SETS)}",
    ),
]


def reads_pictures(task: TaskSpec | ExamplesSpec) -> bool:
    """Whether a task's rows are pictures; texts otherwise."""
    return isinstance(task, AvatarsSpec | CelebaSpec)
