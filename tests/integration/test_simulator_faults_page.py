"""The lines of docs/simulator-faults.md, typed as printed at a simulator."""

from tests.support.curl_lines import API_PAGE, snippets_of, terminal
from tests.support.tape import SECRET, config_of, steady, venue

PAGE = API_PAGE.with_name("simulator-faults.md")


async def test_the_lines_of_the_page_do_what_it_says() -> None:
    one, plan = (text for language, text in snippets_of(PAGE) if language == "sh")
    async with venue(config_of(steady(1_310_00_00))) as client, terminal(str(client.http.base_url)) as shell:
        await shell.type(f"SIMULATOR=http://127.0.0.1:{client.port} SECRET={SECRET.hex()}")
        assert await shell.type(one) == [{"waiting": 2}]
        assert await shell.type(plan) == [{"seed": 7}]
        told = await client.admin("GET", "/faults")
    assert told["waiting"] == 2
    assert told["plan"]["rates"] == {"lose_answer_after_acceptance": 0.01, "delay": 0.02}
