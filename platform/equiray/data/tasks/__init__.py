"""The tasks: four built in, one file each, and the user's own table. Start at `equiray.data.tasks.load`."""
