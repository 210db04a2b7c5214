"""The tariff that is shipped, read once for all tests."""

from adapters.tariffs import TariffTable

TARIFFS = TariffTable.load()
