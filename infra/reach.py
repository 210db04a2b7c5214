"""The database that the command line works on: that of the running engine, or a server of the user's own."""

from infra.database import DatabaseUrls, prepare_roles
from infra.home import Home
from infra.keys import load_keys
from infra.problems import OperatorProblem
from infra.runtime import running_engine
from infra.settings import Settings


async def reach_database(settings: Settings) -> DatabaseUrls:
    """Return how each role reaches the database.

    Raises:
        OperatorProblem: no engine runs on the home folder, and the settings name no server.
    """
    home = Home(settings.home)
    engine = running_engine(home)
    if engine is not None:
        return engine.database
    if settings.database_url is None:
        raise OperatorProblem(
            f"No engine runs on {settings.home}.", remedy="Start it by `khata up`, or set KHATA_DATABASE_URL."
        )
    return await prepare_roles(settings.database_url, load_keys(home).database)
