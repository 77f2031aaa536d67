"""A real fresh machine, in the tests: a stock Debian guest in QEMU, in which somebody who has only the README does what the README says.

settings.py   what of this machine the guest needs to reach the world: apt sources, authorities it trusts; and why QEMU cannot run here
base.py       the guest's disk: Debian's own packages and nothing of ours, made once and kept
qemu.py       one QEMU process and the socket that steers it
guest.py      a booted guest: commands over ssh in real login sessions, files, reboot, what to show when a test fails
person.py     what a person does with elabs, run inside the guest
conftest.py   the guest as fixtures, each a step of the story
"""
