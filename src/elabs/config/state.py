"""Where an elabs instance keeps everything: one folder, and the names inside it."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_STATE = Path("/var/lib/elabs")


@dataclass(frozen=True)
class State:
    """Paths below the state folder. Who owns what stands beside each."""

    root: Path
    """0755, root."""

    @property
    def config(self) -> Path:
        """The settings in force, as JSON with every default; written by `up`, root 0644; daemon and hub read this and never the person's file."""
        return self.root / "config.json"

    @property
    def instance(self) -> Path:
        """Number, addresses and service uids of this instance, as JSON; root 0644."""
        return self.root / "instance.json"

    @property
    def env(self) -> Path:
        """Python environments by hash of their requirements; root."""
        return self.root / "env"

    @property
    def node(self) -> Path:
        """configurable-http-proxy with its Node: `current/bin/node` and `current/node_modules/configurable-http-proxy/bin/configurable-http-proxy`; root."""
        return self.root / "node"

    @property
    def images(self) -> Path:
        """Root file systems of images, by name and key; root."""
        return self.root / "images"

    @property
    def homes(self) -> Path:
        """One btrfs subvolume a person; root 0711."""
        return self.root / "homes"

    @property
    def pool(self) -> Path:
        """The loop file that holds homes where the host has no btrfs; root 0600."""
        return self.root / "homes.btrfs"

    @property
    def lab_code(self) -> Path:
        """Our code that runs inside labs, by hash, bound read-only into each; root 0755."""
        return self.root / "lab"

    @property
    def hub(self) -> Path:
        """The hub's own folder: database, cookie secret, its copies of secrets; hub uid 0700."""
        return self.root / "hub"

    @property
    def proxy(self) -> Path:
        """The proxy's own folder: `secrets/proxy_token` and, where the site has TLS, `certificate.pem` and `key.pem`; proxy uid 0700."""
        return self.root / "proxy"

    @property
    def secrets(self) -> Path:
        """Tokens between our own parts; root 0700."""
        return self.root / "secrets"

    @property
    def demo_accounts(self) -> Path:
        """The demo directory's passwords; root 0600."""
        return self.root / "demo-accounts"

    @property
    def run(self) -> Path:
        """Sockets and running labs; root 0755."""
        return self.root / "run"

    @property
    def socket(self) -> Path:
        """The daemon's socket; root:hub 0660."""
        return self.run / "runtime.sock"

    @property
    def logs(self) -> Path:
        """Logs of hub, proxy, daemon and labs; root 0700."""
        return self.root / "log"

    @property
    def journal(self) -> Path:
        """Events of labs; root 0600."""
        return self.root / "journal.sqlite"

    @property
    def tools(self) -> Path:
        """Files of Debian packages that are unpacked here instead of installed; root 0755."""
        return self.root / "tools"

    @property
    def seccomp(self) -> Path:
        """The list of system calls that Debian's container tools share."""
        return self.tools / "containers-common/usr/share/containers/seccomp.json"
