"""The hub of a release; see `elabs.hub.cluster.main`."""

from elabs.hub.cluster.main import main

if __name__ == "__main__":
    main()
