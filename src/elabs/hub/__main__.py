"""`python -m elabs.hub`: the hub of the instance that `$ELABS_STATE` names."""

from elabs.hub.local import main

if __name__ == "__main__":
    main()
