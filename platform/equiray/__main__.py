"""`python -m equiray`: the command line where the `equiray` script is not on the PATH, as on a cluster's head node."""

from equiray.cli import main

main()
