"""What every training of a language model shares: what it moves, its schedule, and how it survives a kill."""
