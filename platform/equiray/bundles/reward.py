"""A bundle's reward model, and how its scores weigh chains."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from equiray.bundles.manifest import MANIFEST, RewardPart
from equiray.errors import BadInput
from equiray.mitigation.reward.model import Base, RewardModel, load_base
from equiray.mitigation.reward.store import load_reward_model, read_about
from equiray.specs.reward_model import RewardModelSpec


@dataclass(frozen=True, kw_only=True, eq=False)
class Reward:
    """A reward model beside its base.

    The base is no other part's: while the reward model is open, adapters stand in it.
    """

    part: RewardPart
    folder: Path
    base: Base
    _one: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def load(cls, bundle: Path, part: RewardPart, *, source: str | None = None) -> "Reward":
        """Load the base from `source`, or from where the manifest says.

        Raises
        ------
        BadInput
            The base is not there, or has other weights.
        """
        spec = RewardModelSpec(**read_about(bundle / part.folder)["spec"])
        found = source or part.base.source
        place = f"{bundle / MANIFEST}, parts.reward.base"
        try:
            base = load_base(spec, source=found)
        except BadInput as error:
            fix = f"{error.fix}; where it lies elsewhere on this machine, say so: `reward_source=PATH`"
            raise BadInput(error.problem, place=place, fix=fix) from error
        if base.identity != part.base.identity:
            raise BadInput(
                f"the reward model's base {found!r} has other weights ({base.identity:.12}) than it was trained on "
                f"({part.base.identity:.12})",
                place=place,
                fix=f"give the weights of {part.base.name} that it was trained on: `reward_source=PATH`",
            )
        return cls(part=part, folder=bundle / part.folder, base=base)

    @contextmanager
    def opened(self) -> Iterator[RewardModel]:
        """The reward model for the length of a block.

        Raises
        ------
        ValueError
            It is open already: a second adapter in the base would change what the first one says.
        """
        if not self._one.acquire(blocking=False):
            raise ValueError(
                f"the reward model of {self.folder} is open already: close it first, or load the bundle again"
            )
        try:
            with load_reward_model(self.folder, self.base) as model:
                yield model
        finally:
            self._one.release()
