"""Tables of read models: an index leaves out the rows that have nothing to be found by."""

from sqlalchemy.schema import CreateIndex

from adapters.postgres.view_tables import DIALECT
from projections.audit_trail import AUDIT_TRAIL
from projections.orders import ORDERS
from projections.read_model import AnyReadModel


def indexes_of(model: AnyReadModel) -> set[str]:
    return {str(CreateIndex(index).compile(dialect=DIALECT)) for index in model.table.indexes}


def test_a_row_without_a_user_is_not_in_the_index_by_user() -> None:
    by_user = "CREATE INDEX audit_trail_v1_2 ON views.audit_trail_v1 (user_id, sequence) WHERE user_id IS NOT NULL"
    assert by_user in indexes_of(AUDIT_TRAIL)


def test_where_every_row_has_a_value_all_are_in_the_index() -> None:
    assert indexes_of(ORDERS) == {
        "CREATE INDEX orders_v2_1 ON views.orders_v2 (trade_id)",
        "CREATE INDEX orders_v2_2 ON views.orders_v2 (account_id, intended_sequence)",
    }
