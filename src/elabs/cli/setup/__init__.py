"""Steps that make an instance ready, each an `ensure`: nothing to do where its result is there, never half of it left. An upgrade is a second run."""
