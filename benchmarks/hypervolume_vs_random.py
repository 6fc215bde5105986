"""Search against random search, equal budget: hypervolume of the front on test rows (see sweep_race.py).

Needs Adult in the folder that EQUIRAY_DATA names.
"""

import sweep_race

if __name__ == "__main__":
    sweep_race.main("hypervolume_vs_random", "random", __doc__ or "")
