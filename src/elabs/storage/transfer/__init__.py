"""A home in an archive, and back: exported into a plain folder, imported from it, resumed wherever it was cut off.

The archive is a folder that can lie on any disk and be copied by any tool:

    archive.json      format, and whose home it is
    packs/000001.pack file contents, in packs of at most 64 MiB
    manifest.jsonl    one JSON line an entry, in the order of the tree; written last, so that an archive with one is complete

Why packs, and neither a tar nor an object a file. A tar that is cut off has to be read again to its end to go on, and a changed file shifts all that follows.
An object a file makes a hundred thousand small files, which every disk and copy pays for once more. A pack is a sequence of *pieces*: the bytes of one run of
data of one file, at most 4 MiB, each behind its length and SHA-256. So a pack says itself how far it is good (cut off, it is good up to the last whole
piece); the same content is stored once; what is there is found by its checksum, whatever happened to the home meanwhile; holes are not stored.

    packs.py      pieces in files: append, verify, read            manifest.py   an entry as a line, and which lines no import accepts
    reading.py    a home -> entries and pieces                      writing.py    entries and pieces -> a home, never over what is there
    wire.py       frames over two pipes                             agent.py      the end that has the home: a fork, or a process in a pod
    archive.py    the folder as a whole                            exporting.py, importing.py   the end that has the archive
    process.py    the agent as a fork, with the person's own ids

The agent knows nothing of the archive, and the other end nothing of the home: between them are two pipes, on one machine as over `kubectl exec`.
Nothing here follows a symbolic link: folders are opened name by name.
"""
