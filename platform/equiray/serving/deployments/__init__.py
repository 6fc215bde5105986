"""On Ray Serve: `Gateway` answers requests, `Decider` and `Chat` hold models, `Watch` is the monitor."""
