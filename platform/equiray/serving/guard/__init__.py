"""The guard of the endpoint: keys, limits, bodies, refusals, deadlines, and which ways to start are refused.

Ray Serve has no authentication: whoever reaches its port is answered. Everything here is plain ASGI and SQL, so that it
works, and is tested, under any ASGI server; Ray runs the one limiter that all replicas share (`limiter`).
"""
