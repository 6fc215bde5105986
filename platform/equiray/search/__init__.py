"""Ray Tune runs trials, Optuna suggests them; what a trial does comes from `equiray.runs.search`."""
