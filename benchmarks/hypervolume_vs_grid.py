"""Search against a grid of the same budget, visited at random: hypervolume on test rows (see sweep_race.py).

Needs Adult in the folder that EQUIRAY_DATA names.
"""

import sweep_race

if __name__ == "__main__":
    sweep_race.main("hypervolume_vs_grid", "grid", __doc__ or "")
