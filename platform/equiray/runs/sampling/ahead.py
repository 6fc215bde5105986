"""`sample_ahead`: the chains of a spec, written before its run."""

from collections.abc import Callable
from pathlib import Path

from equiray.runs.sampling.cases import load_bbq_cases
from equiray.runs.sampling.chains import Sampler
from equiray.runs.sampling.engines import Engines
from equiray.specs.reward_run import load_reward_spec


def sample_ahead(path: Path, overrides: tuple[str, ...], *, fair: bool, say: Callable[[str], None]) -> None:
    """Write what is missing of a reward run's chains; with `fair`, of held-out cases those of the fairness prompt, too.

    Raises
    ------
    BadInput
        Anything wrong with the spec, its cases or its engine.
    """
    spec = load_reward_spec(path, overrides)
    engines = Engines(spec=spec.engine)
    engines.check()
    cases = load_bbq_cases(spec.cases).cases
    sampler = Sampler(engines=engines, sampling=spec.sampling, separator=spec.separator, order_seed=spec.cases.seed)
    sampler.write(sampler.questions(cases), "chains")
    say(f"{len(cases)} cases x {spec.sampling.chains} chains are there")
    if fair:
        held = [case for case in cases if case.category in spec.held_out]
        sampler.write(sampler.questions(held, "fair"), "chains asked to be fair")
        say(f"{len(held)} held-out cases x {spec.sampling.chains} chains of the fairness prompt are there")
