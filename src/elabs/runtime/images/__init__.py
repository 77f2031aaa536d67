"""Images: the read-only root file systems that labs start from, built from Debian and PyPI by resumable steps.

`definition` says what an image holds and gives it a key, `building` makes it in `steps` (each in `rooms` of its own, with what `host` lends and the `mirror`
that the host uses), `store` finds finished ones. For a cluster `oci` writes a finished one as a file, with `layers` out of file trees and the `contents` that
on one machine are bound over it. The image of the hub is made the same way.
"""

from elabs.runtime.images.building import build
from elabs.runtime.images.definition import names
from elabs.runtime.images.errors import ImageError
from elabs.runtime.images.progress import Report
from elabs.runtime.images.store import Image, every, find

__all__ = ["Image", "ImageError", "Report", "build", "every", "find", "names"]
