"""A lab's bundle, as literal dictionaries: each wall is a line here."""

from pathlib import Path

from elabs.runtime.local import bundle
from elabs.runtime.local.bundle import LabSpec

SPEC = LabSpec(
    lab="colibri", person="colibri", block=1879113728, rootfs=Path("/s/images/small-1/rootfs"), home=Path("/s/homes/colibri"), code=Path("/s/lab/abc"), etc=Path("/s/run/labs/colibri/etc"),
    cgroup="/elabs-0/colibri", memory=2**30, cpu=1.5, pids=256, tmp=2**28, gateway="198.18.0.1", prefix="/user/colibri/", base_url="/", apps=("openrefine",), language="es",
    seccomp={"defaultAction": "SCMP_ACT_ERRNO"},
)  # fmt: skip


def config() -> dict:
    return bundle.oci_config(SPEC, ["/usr/bin/tini", "--", "lab"])


def test_the_process_has_no_privilege() -> None:
    process = config()["process"]
    assert process["user"] == {"uid": 1000, "gid": 1000, "additionalGids": [], "umask": 18}
    assert process["capabilities"] == {"bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": []}
    assert process["noNewPrivileges"] is True
    assert process["args"] == ["/usr/bin/tini", "--", "lab"]
    assert process["cwd"] == "/home/colibri"


def test_every_namespace_is_the_labs_own() -> None:
    linux = config()["linux"]
    assert linux["namespaces"] == [{"type": kind} for kind in ("user", "pid", "ipc", "uts", "mount", "cgroup", "network")]
    assert linux["uidMappings"] == linux["gidMappings"] == [{"containerID": 0, "hostID": 1879113728, "size": 65536}]
    assert linux["seccomp"] == {"defaultAction": "SCMP_ACT_ERRNO"}


def test_limits() -> None:
    assert config()["linux"]["resources"] == {
        "memory": {"limit": 2**30, "swap": 2**30},
        "cpu": {"period": 100_000, "quota": 150_000, "shares": 1536},
        "pids": {"limit": 256},
        "devices": [{"allow": False, "access": "rwm"}],
    }


def test_the_image_is_read_only_and_the_home_is_not() -> None:
    made = config()
    assert made["root"] == {"path": "/s/images/small-1/rootfs", "readonly": True}
    binds = {mount["destination"]: (mount["source"], mount["options"]) for mount in made["mounts"] if mount["type"] == "bind"}
    assert binds == {
        "/home/colibri": ("/s/homes/colibri", ["bind", "nosuid", "nodev", "rw"]),
        "/opt/elabs": ("/s/lab/abc", ["bind", "nosuid", "nodev", "ro"]),
        **{
            f"/etc/{name}": (f"/s/run/labs/colibri/etc/{name}", ["bind", "nosuid", "nodev", "ro"])
            for name in ("passwd", "group", "hosts", "hostname", "resolv.conf")
        },
    }


def test_all_that_is_memory_is_bounded() -> None:
    sizes = {
        mount["destination"]: [option for option in mount["options"] if option.startswith("size=")] for mount in config()["mounts"] if mount["type"] == "tmpfs"
    }
    assert sizes == {
        "/dev": ["size=65536"],
        "/dev/shm": ["size=268435456"],
        "/run": ["size=1048576"],
        "/run/lab": ["size=16777216"],
        "/tmp": ["size=268435456"],
        "/home": ["size=65536"],
    }


def test_nothing_but_proc_and_dev_is_without_nosuid_and_nodev() -> None:
    for mount in config()["mounts"]:
        assert "nosuid" in mount["options"], mount
        assert mount["destination"] in ("/dev", "/dev/pts") or "nodev" in mount["options"], mount


def test_the_environment_holds_no_secret() -> None:
    environment = bundle.environment(SPEC)
    assert environment["JUPYTERHUB_SERVICE_URL"] == "http://0.0.0.0:8888/user/colibri/"
    assert environment["JUPYTERHUB_API_URL"] == "http://198.18.0.1:8081/hub/api"
    assert environment["JUPYTERHUB_ACTIVITY_URL"] == "http://198.18.0.1:8081/hub/api/users/colibri/activity"
    assert environment["PATH"] == "/home/colibri/.local/bin:/usr/local/bin:/usr/bin:/bin"
    assert environment["LANG"] == "es_ES.UTF-8"
    assert not [name for name in environment if "TOKEN" in name]


def test_the_labs_own_etc() -> None:
    files = bundle.etc_files(SPEC, "root:x:0:0:root:/root:/bin/bash\n", "root:x:0:\n")
    assert files["passwd"] == "root:x:0:0:root:/root:/bin/bash\ncolibri:x:1000:1000:colibri:/home/colibri:/bin/bash\n"
    assert files["group"] == "root:x:0:\ncolibri:x:1000:\n"
    assert files["resolv.conf"] == "nameserver 198.18.0.1\noptions edns0\n"
