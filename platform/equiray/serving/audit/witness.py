"""What the checkpoints say about a log."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from equiray.errors import BadInput
from equiray.serving.audit.checkpoints import Checkpoint, Folder
from equiray.serving.audit.walk import Problem, Walk


@dataclass(frozen=True, kw_only=True)
class Witness:
    """The checkpoints of a place, once they are found to be signed and to follow each other.

    Parameters
    ----------
    checkpoints : tuple of Checkpoint
        Those whose signatures fit.
    macs : dict
        Signed macs by the number of their record; 0 for the log's id.
    problems, unseen : tuple
        What is wrong with the checkpoints themselves, and what they cannot tell.
    """

    checkpoints: tuple[Checkpoint, ...]
    macs: dict[int, str]
    problems: tuple[Problem, ...]
    unseen: tuple[str, ...]

    @property
    def length(self) -> int:
        """How many records the last checkpoint covers."""
        return self.checkpoints[-1].length if self.checkpoints else 0

    def compare(self, walk: Walk) -> list[Problem]:
        """What in a log is not as it was signed."""
        return [*self.problems, *self._compared(walk)]

    def _compared(self, walk: Walk) -> Iterator[Problem]:
        if not self.checkpoints:
            return
        last = self.checkpoints[-1]
        if last.log_id != walk.log_id:
            yield Problem("rewritten", None, "the checkpoints are another log's: this one was put in its place")
        elif walk.unlike:
            first, after = walk.unlike[0], max((n for n in self.macs if n < walk.unlike[0]), default=0)
            yield Problem(
                "rewritten",
                first,
                f"the log was written anew after record {after:,}: record {first:,} is not the one that was signed"
                f" ({len(walk.unlike):,} signed records differ)",
            )
        if last.length > walk.last:
            yield Problem(
                "cut",
                walk.last + 1,
                f"the log ends at record {walk.last:,}, and had {last.length:,} at {last.at}: its tail was cut, or an"
                " old backup was put in its place",
            )


def read_witness(folder: Path, key: bytes) -> Witness:
    """Read the checkpoints of a folder.

    Raises
    ------
    BadInput
        There is no such folder, or it cannot be read.
    """
    if not folder.is_dir():
        raise BadInput("no folder of checkpoints", place=str(folder), fix="name the folder that the service writes to")
    try:
        return _witness_of(Folder(folder).lines(), key)
    except FileNotFoundError:
        problem = Problem(
            "checkpoint", None, f"no checkpoints in {folder}: they were taken away, or it is another folder"
        )
        return Witness(checkpoints=(), macs={}, problems=(problem,), unseen=())
    except OSError as error:
        raise BadInput(
            f"the checkpoints cannot be read: {error.strerror}", place=str(folder), fix="make them readable"
        ) from error


def _witness_of(lines: Iterable[Checkpoint | None], key: bytes) -> Witness:
    good: list[Checkpoint] = []
    problems: list[Problem] = []
    unreadable: list[int] = []
    for number, each in enumerate(lines, start=1):
        if each is None:
            unreadable.append(number)
            continue
        if not each.is_signed(key):
            said = f"checkpoint line {number:,} was altered, or signed with another key"
            problems.append(Problem("checkpoint", each.length, said))
            continue
        before = good[-1] if good else None
        if each.previous != ("" if before is None else before.signature):
            said = f"checkpoints before line {number:,} were taken away or altered"
            problems.append(Problem("checkpoint", each.length, said))
        elif before is not None and (each.length <= before.length or each.log_id != before.log_id):
            said = f"checkpoint line {number:,} does not go on from the one before"
            problems.append(Problem("checkpoint", each.length, said))
        good.append(each)
    if problems and not good:
        said = f"none of the {len(problems):,} checkpoints fits this key: it is another one, or all were altered"
        problems = [Problem("checkpoint", None, said)]
    unseen: list[str] = []
    if unreadable:
        listed = ", ".join(f"{number:,}" for number in unreadable[:6])
        unseen.append(f"what stood in unreadable lines of the checkpoints ({listed}): a crash can leave half a line")
    if good and good[0].length:
        unseen.append(f"what was written anew before the first checkpoint, at record {good[0].length:,}")
    return Witness(
        checkpoints=tuple(good),
        macs={each.length: each.mac for each in good},
        problems=tuple(problems),
        unseen=tuple(unseen),
    )
