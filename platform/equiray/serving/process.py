"""What the service's processes do once they have started, so that answers wait for nothing but their own work.

Notable: Python's full collections look at every object, and imported libraries leave half a million of them: a third of
a second in which nobody is answered. They are never garbage, so they are taken out of later collections; and these come
less often than Python would have them, for requests on their way are no garbage either.
"""

import gc
import os

_OBJECTS, _YOUNG, _OLD = 50_000, 20, 100
"""New objects before a collection, and how many of each generation's before one of the next: Python's 700, 10 and 10
would make several full collections a second under load."""

_NICE = 10
"""On a core that answers want wholly, a tenth is left: the live monitor reads faster than one core answers even so."""


def settle_heap() -> None:
    """Call once, when everything is loaded: what lives now is not looked at again by the garbage collector."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, _YOUNG, _OLD)


def stand_back() -> None:
    """Let others have the processor first: this thread, and those that it starts (Linux)."""
    if hasattr(os, "nice"):
        os.nice(_NICE)
