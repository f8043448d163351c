"""The reference transports: the same requests over libraries that everyone uses.

aioapns carries those to APNs, httpx all others. They are what the engine in `http2` is compared
with, and what to fall back to.
"""
