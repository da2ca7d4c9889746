"""Incidents of replicas that share a store, with a real Redis.

The times of the shared tier are constant: a replica counts for ten seconds after its last acknowledgement, and connects
again after two seconds at most. So a step takes a second here, and the file counts it as ten.
"""

import incidents
import testbed
from store import Store, secret

# Fresh for five minutes of the file.
CACHE = {"ttl": "30s", "proof_ttl": "30s", "stale_while_revalidate": "3s", "stale_if_error": "0s"}


class SharedIncident(incidents.Incident):
    """Three replicas that share a store."""

    before, during, after = 20, 80, 60
    sections, instances, step = {"cache": CACHE}, ("a", "b", "c"), 1.0

    def prepare(self, world):
        self.store = Store(world.stack)
        self.shared = {"url": self.store.url, "secret_file": str(secret(world.folder, "secret"))}
        world.sections = {**world.sections, "shared": self.shared}

    def healthy(self, world):
        # Each question is put to all replicas.
        for _ in range(3):
            number = next(world.numbers)
            for port in range(len(world.data)):
                world.ask(number * len(world.data) + port, f"B2X_1_{number}", bearer=incidents.token(number % 2))

    def fault(self, world, step):
        self.healthy(world)

    def repair(self, world):
        """The end of the fault changes nothing at Graph."""


class StoreGone(SharedIncident):
    """The store is killed, and started without data after 13 minutes."""

    histograms = True

    def begin(self, world):
        self.store.kill()

    def repair(self, world):
        self.store.start()


class StoreFrozen(SharedIncident):
    """The store does not respond for 13 minutes."""

    histograms = True

    def begin(self, world):
        self.store.freeze()

    def repair(self, world):
        self.store.thaw()


class StorePassword(SharedIncident):
    """The store begins to require a password that the replicas do not have."""

    def begin(self, world):
        self.store.kill()
        self.store.start()
        self.store.command("CONFIG", "SET", "requirepass", "word")

    def repair(self, world):
        self.store.kill()
        self.store.start()


class StoreRestarts(SharedIncident):
    """The store is away for 20 seconds, as in a failover, and loses its data."""

    during = 2

    def begin(self, world):
        self.store.kill()

    def repair(self, world):
        self.store.start()


class StoreFlushed(SharedIncident):
    """An operator sends FLUSHALL to the store."""

    during = 10

    def begin(self, world):
        self.store.command("FLUSHALL")


class StoreFull(SharedIncident):
    """The store is full, and refuses all writes."""

    during = 150

    def begin(self, world):
        self.store.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.store.command("CONFIG", "SET", "maxmemory", "1")

    def repair(self, world):
        self.store.command("CONFIG", "SET", "maxmemory", "0")


class StoreTampered(SharedIncident):
    """Somebody changes the values in the store."""

    during = 40

    def healthy(self, world):
        super().healthy(world)
        self.change = False

    def fault(self, world, step):
        # One replica reads from Graph, and the others find the changed value.
        number, first = next(world.numbers), len(world.data)
        world.ask(0, f"B2X_1_{number}", bearer=incidents.token(number % 2))
        testbed.wait_until(lambda: len(self.values()) > 0, "a value in the store")
        for key in self.values():
            self.store.command("SETRANGE", key, 20, "changed")
        for at in range(1, first):
            world.ask(at, f"B2X_1_{number}", bearer=incidents.token(number % 2))

    def values(self):
        return [key for kind in "ep" for key in self.store.command("KEYS", f"cc:*:{kind}:*")]


class WrongSecret(SharedIncident):
    """A replica is replaced by one with another secret. Purges go on."""

    during = 200

    def begin(self, world):
        world.own["d"] = {"shared": {"secret_file": str(secret(world.folder, "other"))}}
        world.start("d")
        world.remove("c")

    def fault(self, world, step):
        self.healthy(world)
        if step % 6 == 5:
            testbed.ask(world.instances["a"], f"/cache?flow=B2X_1_{step}", None, method="DELETE")


class SharedRollout(SharedIncident):
    """All replicas that share a store are replaced, one after the other."""

    def fault(self, world, step):
        for at, (new, old) in {5: ("d", "a"), 15: ("e", "b"), 25: ("f", "c")}.items():
            if step == at:
                world.start(new)
                world.remove(old)
        self.healthy(world)


ALL = {
    incident.name: incident
    for incident in (
        StoreGone("store-gone"),
        StoreFrozen("store-frozen"),
        StorePassword("store-password"),
        StoreRestarts("store-restarts"),
        StoreFlushed("store-flushed"),
        StoreFull("store-full"),
        StoreTampered("store-tampered"),
        WrongSecret("wrong-secret"),
        SharedRollout("shared-rollout"),
    )
}
