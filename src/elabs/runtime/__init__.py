"""Where labs run. `protocol` and `client` are what a hub sees; `local` is the daemon of one machine; `images` builds what labs start from."""
