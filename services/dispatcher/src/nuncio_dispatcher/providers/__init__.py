"""The push providers, on the reference transport: aioapns for APNs, httpx for FCM and Web Push.

`lanes.FolderLanes` is what the rest of the service sees: domain/ports.py, Lanes. Each provider has
the same files: settings (its section of a credential file), auth, payload, outcomes (the table of
answers), client (the lane).
"""

import logging

# These log URLs and headers at their lower levels, and tokens are in both: never, at any setting.
for _name in ("aioapns", "hpack", "httpcore", "httpx"):
    logging.getLogger(_name).setLevel(logging.WARNING)
