"""elabs: a personal, ephemeral computing lab on persistent storage for every researcher of an institute.

Layers, each reading only those below it: `cli > hub, observe > runtime > storage, journal > config`; `lab` runs inside labs and knows only `config`.
"""

__version__ = "0.1.0"
