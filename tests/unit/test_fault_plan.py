"""Faults by plan: what the same seed and the same requests lead to, and what is no plan."""

from collections import Counter
from itertools import product

import pytest

from adapters.simulator.faults.call_faults import Fault, FaultDesk, FaultKind, FaultTarget, targets_of
from adapters.simulator.faults.fault_plan import FaultPlan, PlanInvalid, PlayedPlan, plan_from
from infra.problems import OperatorProblem
from infra.roles.program import _with_options
from infra.settings import Settings
from infra.wiring.exchange import fault_plan_of
from tests.support.tape import CLIENT_ID, OTHER_CLIENT_ID

PLAN = FaultPlan(seed=7, rates={FaultKind.DELAY: 0.2, FaultKind.UNAVAILABLE: 0.1, FaultKind.ACCEPT_TWICE: 0.1})


def met(plan: FaultPlan, target: FaultTarget, *, client_id: str = CLIENT_ID, requests: int = 200) -> list[Fault | None]:
    played = PlayedPlan(plan)
    return [played.next(target, client_id=client_id, path="") for _ in range(requests)]


def kinds(faults: list[Fault | None]) -> list[FaultKind | None]:
    return [fault and fault.kind for fault in faults]


def test_the_same_seed_and_the_same_requests_meet_the_same_faults() -> None:
    assert met(PLAN, FaultTarget.PLACE) == met(PLAN, FaultTarget.PLACE)
    other_seed = FaultPlan(seed=8, rates=PLAN.rates)
    assert kinds(met(PLAN, FaultTarget.PLACE)) != kinds(met(other_seed, FaultTarget.PLACE))


def test_what_one_client_meets_does_not_depend_on_what_others_ask() -> None:
    played = PlayedPlan(PLAN)
    mixed = []
    for _ in range(200):
        played.next(FaultTarget.PLACE, client_id=OTHER_CLIENT_ID, path="")
        played.next(FaultTarget.READ, client_id=CLIENT_ID, path="/orders")
        mixed.append(played.next(FaultTarget.PLACE, client_id=CLIENT_ID, path=""))
    assert mixed == met(PLAN, FaultTarget.PLACE)
    assert kinds(mixed) != kinds(met(PLAN, FaultTarget.PLACE, client_id=OTHER_CLIENT_ID))


def test_each_kind_comes_about_as_often_as_its_rate_says() -> None:
    counts = Counter(kinds(met(PLAN, FaultTarget.PLACE, requests=10_000)))
    assert counts[FaultKind.DELAY] == pytest.approx(2_000, rel=0.1)
    assert counts[FaultKind.UNAVAILABLE] == pytest.approx(1_000, rel=0.2)
    assert counts[None] == pytest.approx(6_000, rel=0.1)


def test_delays_and_quantities_stay_within_the_plan() -> None:
    plan = FaultPlan(seed=1, rates={FaultKind.DELAY: 1.0}, delay_ms_max=20, quantity_max=3)
    faults = [fault for fault in met(plan, FaultTarget.PLACE, requests=1_000) if fault is not None]
    assert {fault.delay_ms for fault in faults} == set(range(21))
    assert {fault.quantity for fault in faults} == {1, 2, 3}


def test_no_request_meets_a_kind_that_is_not_for_it() -> None:
    for kind, target in product(FaultKind, FaultTarget):
        if kind is not FaultKind.REVOKE_TOKEN:
            faults = PlayedPlan(FaultPlan(seed=1, rates={kind: 1.0}))
            is_met = faults.next(target, client_id=CLIENT_ID, path="/positions") is not None
            assert is_met is (target in targets_of(kind)), (kind, target)
    elsewhere = PlayedPlan(FaultPlan(seed=1, rates={FaultKind.WRONG_POSITIONS: 1.0}))
    assert elsewhere.next(FaultTarget.READ, client_id=CLIENT_ID, path="/orders") is None


def test_on_the_command_line_faults_and_speed_go_with_the_simulator() -> None:
    asked = {"simulator_faults": "seed=7 delay=0.02", "tape_speed": 4.0}
    expected = Settings(simulator_faults="seed=7 delay=0.02", tape_speed=4.0)
    assert _with_options(Settings(), ["market", "simulator"], asked) == expected
    with pytest.raises(OperatorProblem, match="not among the roles"):
        _with_options(Settings(), ["market"], asked)


def test_a_plan_may_be_for_some_requests_only() -> None:
    played = PlayedPlan(FaultPlan(seed=1, rates={FaultKind.DELAY: 1.0}, targets=frozenset({FaultTarget.CANCEL})))
    assert played.next(FaultTarget.PLACE, client_id=CLIENT_ID, path="") is None
    assert played.next(FaultTarget.CANCEL, client_id=CLIENT_ID, path="") is not None


def test_what_was_asked_for_comes_before_what_was_planned_and_all_is_counted() -> None:
    desk = FaultDesk()
    desk.source = PlayedPlan(FaultPlan(seed=1, rates={FaultKind.DELAY: 1.0}))
    desk.order(Fault(kind=FaultKind.REJECT))
    faults = [desk.take(FaultTarget.PLACE, client_id=CLIENT_ID, body={"correlationId": "one"}) for _ in range(3)]
    assert kinds(faults) == [FaultKind.REJECT, FaultKind.DELAY, FaultKind.DELAY]
    assert desk.account.counts == {FaultKind.REJECT: 1, FaultKind.DELAY: 2}
    assert [(each.number, each.kind, each.correlation_id) for each in desk.account.last][:2] == [
        (1, FaultKind.REJECT, "one"),
        (2, FaultKind.DELAY, "one"),
    ]
    desk.clear()
    assert desk.take(FaultTarget.PLACE, client_id=CLIENT_ID) is None


def test_a_plan_is_written_as_words() -> None:
    assert plan_from("seed=7 delay=0.02 tear_body=0.01 targets=place,read delay_ms_max=300") == FaultPlan(
        seed=7,
        rates={FaultKind.DELAY: 0.02, FaultKind.TEAR_BODY: 0.01},
        targets=frozenset({FaultTarget.PLACE, FaultTarget.READ}),
        delay_ms_max=300,
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("delay=0.1", "seed"),
        ("seed=1 earthquake=0.1", "earthquake"),
        ("seed=1 delay=2", "<= 1"),
        ("seed=1 delay=0.6 html=0.6", "1.200 in all"),
        ("seed=1 delay", "name=value"),
        ("seed=1 delay=0.1 delay=0.2", "each name once"),
        ("seed=1 delay=0.1 delay_ms_max=90001", "90000"),
        ("seed=1 delay=0.1 targets=lunch", "lunch"),
        ("seed=1 revoke_token=0.1", "strikes no request"),
    ],
)
def test_what_is_no_plan_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(PlanInvalid, match=why):
        plan_from(text)
    with pytest.raises(OperatorProblem, match="cannot be planned"):
        fault_plan_of(Settings(simulator_faults=text))


def test_a_restart_needs_a_journal_which_lock_step_has_not() -> None:
    assert fault_plan_of(Settings()) is None
    planned = fault_plan_of(Settings(simulator_faults="seed=1 restart=0.1"))
    assert planned is not None
    assert planned.needs_journal
    with pytest.raises(OperatorProblem, match="no journal"):
        fault_plan_of(Settings(simulator_faults="seed=1 restart=0.1", lock_step=True))
