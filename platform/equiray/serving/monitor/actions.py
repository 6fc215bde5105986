"""What the gateway must do now that a version has failed: go on, fall back to an earlier bundle, or refuse.

Notable: a FAIL stays, for bets that have won are won. Only a person ends what it entails, by an ``admin`` record that
accepts the version's failures; a fallback that fails itself leaves nothing to answer with, so the gateway refuses.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from equiray.errors import BadInput

Doing = Literal["answer", "fall_back", "refuse"]


@dataclass(frozen=True, kw_only=True)
class OnFail:
    """The policy: `fallback` names the bundle's version that answers instead."""

    do: Literal["log", "fall_back", "refuse"] = "log"
    fallback: str | None = None
    webhook: str | None = None

    def __post_init__(self) -> None:
        if (self.do == "fall_back") != (self.fallback is not None):
            fix = "name the earlier bundle's version as `fallback` with `do: fall_back`, and with nothing else"
            raise BadInput(f"do: {self.do}, fallback: {self.fallback}", place="on_fail of the live monitor", fix=fix)
        if self.webhook is not None and not self.webhook.startswith(("http://", "https://")):
            fix = "give an http or https address"
            raise BadInput(f"{self.webhook!r} is no address", place="on_fail.webhook of the live monitor", fix=fix)


@dataclass(frozen=True, kw_only=True)
class Action:
    """What to do with requests that `version` would answer: `by` is the version that does, None if nobody."""

    do: Doing
    by: str | None
    because: str = ""


def action_for(version: str, on_fail: OnFail, failures: Mapping[str, str], accepted: Collection[str]) -> Action:
    """The state that follows from what has failed.

    Parameters
    ----------
    version : str
        The one that is deployed.
    failures : mapping
        Why a version has failed, by version.
    accepted : collection
        Versions whose failures a person has accepted.
    """
    standing = {name: why for name, why in failures.items() if name not in accepted}
    if version not in standing or on_fail.do == "log":
        return Action(do="answer", by=version, because=standing.get(version, ""))
    if on_fail.do == "refuse":
        return Action(do="refuse", by=None, because=standing[version])
    fallback = on_fail.fallback
    if fallback is None or fallback == version or fallback in standing:
        also = f"; {fallback}: {standing[fallback]}" if fallback in standing and fallback != version else ""
        return Action(do="refuse", by=None, because=f"{standing[version]}{also}")
    return Action(do="fall_back", by=fallback, because=standing[version])
