"""How a lane works, whichever its provider.

`lane` takes a send; `sending` is one of them under way, `sheet` its answers; `line` is what the
sends of a lane share. Rows pass the `gate` (is the credential taken), and on the road to their
origin (`roads`) the `breaker` (does the provider answer) and the `budget` (how fast). `live` tells
people how it stands.
"""
