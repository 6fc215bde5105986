"""Ray Data: read -> serialize -> embed -> write in blocks, with resume and progress; small inputs without Ray."""
