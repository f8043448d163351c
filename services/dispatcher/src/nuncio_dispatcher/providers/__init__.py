"""The push providers.

`lanes.FolderLanes` is what the rest of the service sees: domain/ports.py, Lanes. A `lane` is the
same for all of them; what differs is in the files that each provider has: settings (its section of
a credential file), auth, payload, outcomes (the table of answers), client (rows to requests).
Requests travel by `http2`, or by the libraries in `reference`: see transports.
"""

import logging

# These log URLs and headers at their lower levels, and tokens are in both: never, at any setting.
for _name in ("aioapns", "hpack", "httpcore", "httpx"):
    logging.getLogger(_name).setLevel(logging.WARNING)
