"""The limit on failed logins, with a clock of the test's own."""

from hypothesis import given
from hypothesis import strategies as st

from elabs.hub.login.attempts import ADDRESS_FACTOR, Attempt, Attempts

HOME = "203.0.113.7"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(limit: int = 3, within: float = 60, most: int = 100) -> tuple[Attempts, Clock]:
    clock = Clock()
    return Attempts(limit, within, clock, most), clock


def begun(attempts: Attempts, account: str = "lince", address: str = HOME) -> Attempt:
    attempt = attempts.begin(account, address)
    assert isinstance(attempt, Attempt)
    return attempt


def test_after_the_limit_one_waits_until_the_first_failure_is_old() -> None:
    attempts, clock = made()
    for _ in range(3):
        begun(attempts)
        clock.now += 10
    assert attempts.begin("lince", HOME) == 30
    clock.now += 29
    assert attempts.begin("lince", HOME) == 1
    clock.now += 1.5
    begun(attempts)


def test_waiting_does_not_make_the_wait_longer() -> None:
    attempts, clock = made()
    for _ in range(3):
        begun(attempts)
    for _ in range(50):
        clock.now += 1
        attempts.begin("lince", HOME)
    assert attempts.begin("lince", HOME) == 10


def test_a_success_forgets_the_accounts_failures_alone() -> None:
    attempts, _ = made()
    begun(attempts)
    begun(attempts)
    attempts.succeeded(begun(attempts))
    for _ in range(3):
        begun(attempts)
    assert isinstance(attempts.begin("lince", HOME), float)


def test_attempts_at_the_same_time_count_before_any_has_failed() -> None:
    attempts, _ = made()
    running = [attempts.begin("lince", f"198.51.100.{number}") for number in range(20)]
    assert sum(isinstance(attempt, Attempt) for attempt in running) == 3


def test_one_account_does_not_make_another_wait_until_the_addresss_own_limit() -> None:
    attempts, _ = made()
    for number in range(3 * ADDRESS_FACTOR):
        begun(attempts, f"person{number}")
    assert isinstance(attempts.begin("somebody", HOME), float)
    begun(attempts, "somebody", "198.51.100.1")


def test_ones_own_success_does_not_clear_an_address() -> None:
    attempts, _ = made()
    for number in range(3 * ADDRESS_FACTOR - 1):
        begun(attempts, f"person{number}")
        if number % 5 == 0:
            attempts.succeeded(begun(attempts, "mine"))
    begun(attempts, "last")
    assert isinstance(attempts.begin("mine", HOME), float)


def test_what_nobody_answered_does_not_count() -> None:
    attempts, _ = made()
    for _ in range(100):
        attempts.unanswered(begun(attempts))
    begun(attempts)


def test_addresses_of_one_ipv6_network_are_one() -> None:
    attempts, _ = made(limit=1)
    for number in range(ADDRESS_FACTOR):
        begun(attempts, f"person{number}", f"2001:db8::{number:x}")
    assert isinstance(attempts.begin("next", "2001:db8::ffff:1"), float)
    begun(attempts, "next", "2001:db8:0:1::1")


def test_an_ipv4_address_is_the_same_however_written() -> None:
    attempts, _ = made(limit=1)
    for number in range(ADDRESS_FACTOR):
        begun(attempts, f"person{number}", "::ffff:203.0.113.7")
    assert isinstance(attempts.begin("next", HOME), float)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=200))
def test_memory_is_bounded(tries: list[tuple[int, int]]) -> None:
    attempts, clock = made(limit=2, most=10)
    for account, address in tries:
        clock.now += 1
        attempts.begin(f"person{account}", f"198.51.100.{address}")
    assert len(attempts._accounts._times) <= 10
    assert len(attempts._addresses._times) <= 10
    assert all(len(times) <= 2 for times in attempts._accounts._times.values())
