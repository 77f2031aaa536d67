"""The part of a lab's environment that is no secret and the same wherever it runs."""

from elabs.runtime.protocol import LAB_PORT

LAB_COMMAND = ["/usr/bin/python3", "-s", "-P", "-m", "elabs.lab"]
"""What becomes the lab's server, below an init that reaps."""


def home_in_lab(lab: str) -> str:
    """Where a lab sees its home."""
    return f"/home/{lab}"


def lab_environment(lab: str, *, language: str, apps: tuple[str, ...], memory: int, cpu: float) -> dict[str, str]:
    """Of the lab with that slug; `memory` in bytes, `cpu` in CPUs."""
    home = home_in_lab(lab)
    return {
        "HOME": home,
        "USER": lab,
        "LOGNAME": lab,
        "SHELL": "/bin/bash",
        "LANG": "es_ES.UTF-8" if language == "es" else "C.UTF-8",
        "PATH": f"{home}/.local/bin:/usr/local/bin:/usr/bin:/bin",
        "TMPDIR": "/tmp",
        "XDG_RUNTIME_DIR": "/run/lab",
        "JUPYTER_RUNTIME_DIR": "/run/lab/jupyter",
        "ELABS_APPS": ",".join(apps),
        "ELABS_LANGUAGE": language,
        "ELABS_MEMORY_LIMIT": str(memory),
        # numeric libraries start a thread for each CPU of the machine, not of the lab
        **{name: str(max(1, round(cpu))) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")},
    }


def service_url(prefix: str) -> str:
    """Where a lab listens; `prefix` is its path under the hub's address, `/user/NAME/`."""
    return f"http://0.0.0.0:{LAB_PORT}{prefix}"
