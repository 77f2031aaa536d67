"""Steps that make an instance ready, each an `ensure`: does nothing where its result is there, and never leaves half of it, so that an upgrade is a second run."""
