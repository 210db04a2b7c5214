"""Parts of the simulator that need no server: print history, rate windows, PINs, order numbers."""

from adapters.simulator.access.clients import pin_of
from adapters.simulator.access.limits import Family, RateLimits
from adapters.simulator.desk import open_desk
from adapters.simulator.market.history import PrintHistory, PrintRange
from tests.support.tape import CLIENT_ID, config_of, steady

SECOND_NS = 1_000_000_000


def test_a_range_holds_every_print_of_its_steps() -> None:
    history = PrintHistory()
    for step, price_e4 in ((1, 100), (2, 90), (2, 120), (5, 110)):
        history.add(step, price_e4)
    assert history.between(1, 2) == PrintRange(90, 120, 2)
    assert history.between(5, 9) == PrintRange(110, 110, 1)


def test_a_range_begins_with_the_print_in_force() -> None:
    history = PrintHistory()
    history.add(1, 100)
    history.add(5, 110)
    assert history.between(3, 4) == PrintRange(100, 100, 1)
    assert history.between(3, 5) == PrintRange(100, 110, 2)
    assert history.between(9, 9) == PrintRange(110, 110, 1)
    assert history.between(0, 0) is None


def test_a_long_history_forgets_its_beginning() -> None:
    history = PrintHistory()
    for step in range(1, 100_002):
        history.add(step, step)
    assert history.between(1, 10) is None
    assert history.between(50_001, 100_001) == PrintRange(50_001, 100_001, 50_001)


def test_a_rate_window_slides() -> None:
    limits = RateLimits(scale=1)
    assert all(limits.take(CLIENT_ID, Family.ORDERS, now_ns=0) for _ in range(10))
    assert not limits.take(CLIENT_ID, Family.ORDERS, now_ns=SECOND_NS - 1)
    assert limits.take(CLIENT_ID, Family.ORDERS, now_ns=SECOND_NS)


def test_the_longest_window_holds_too() -> None:
    limits = RateLimits(scale=1)
    taken = [limits.take(CLIENT_ID, Family.ORDERS, now_ns=number * SECOND_NS // 10) for number in range(400)]
    assert sum(taken) == 250


def test_clients_and_families_have_budgets_of_their_own() -> None:
    limits = RateLimits(scale=1)
    assert limits.take(CLIENT_ID, Family.QUOTES, now_ns=0)
    assert not limits.take(CLIENT_ID, Family.QUOTES, now_ns=0)
    assert limits.take(CLIENT_ID, Family.READS, now_ns=0)
    assert limits.take("1000000002", Family.QUOTES, now_ns=0)


def test_what_names_another_subject_does_not_count() -> None:
    limits = RateLimits(scale=1)
    assert limits.take(CLIENT_ID, Family.OPTION_CHAIN, now_ns=0, subject="NIFTY")
    assert limits.take(CLIENT_ID, Family.OPTION_CHAIN, now_ns=0, subject="BANKNIFTY")
    assert not limits.take(CLIENT_ID, Family.OPTION_CHAIN, now_ns=3 * SECOND_NS - 1, subject="NIFTY")
    assert limits.take(CLIENT_ID, Family.OPTION_CHAIN, now_ns=3 * SECOND_NS, subject="NIFTY")


def test_a_pin_is_what_the_secret_and_the_client_say() -> None:
    # int.from_bytes(hmac_sha256(secret, client id)[:8]) modulo a million, reckoned with openssl.
    assert pin_of("1012345678", secret=b"s" * 32) == "169069"
    assert pin_of("1012345678", secret=b"t" * 32) != pin_of("1012345678", secret=b"s" * 32)


def test_a_simulator_that_starts_later_in_the_day_gives_no_old_number_again() -> None:
    tape = steady(1_310_00_00)
    assert open_desk(config_of(tape)).simulator.next_order_number == 1
    assert open_desk(config_of(tape, first_number=500)).simulator.next_order_number == 500
    in_real_time = open_desk(config_of(tape, lock_step=False)).simulator.next_order_number
    assert in_real_time % 100 == 1
    assert in_real_time < 86_400 * 100
