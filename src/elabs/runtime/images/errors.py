"""The one error of this package: a build or a look-up that cannot go on, said in one line to whoever asked."""


class ImageError(Exception):
    """`str()` is one English line: what is wrong, where, what to do."""
