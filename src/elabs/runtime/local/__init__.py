"""The local runtime: a small root daemon that makes and keeps labs in runc containers, and gains a hub that was taken over nothing."""
