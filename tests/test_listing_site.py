"""The site of the scraping lab is the same for a seed, has its faults, and a crawl of it can be interrupted."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import scrapy

from llmlabs.lab.comparing import assert_same, same
from llmlabs.lab.crawling import crawl, new_journal, spider_step
from llmlabs.lab.listing_site import FAULTS, FIELDS, ListingSite, Served, harbour_page, meridian_page, serve


@pytest.fixture(scope="module")
def site() -> ListingSite:
    return ListingSite(seed=1, homes=60)


class Spider(scrapy.Spider):
    """Follows every link, and says where it was."""

    name = "test"

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        if b"json" not in response.headers["Content-Type"]:
            yield from response.follow_all(response.xpath("//main//a[not(contains(@href, 'mailto'))]"))


class Bucket:
    def __init__(self, rate: float, capacity: int) -> None:
        self.delay, self.due = 1 / rate, 0.0

    def wait(self, now: float) -> float:
        start = max(now, self.due)
        self.due = start + self.delay
        return start - now


def read_journal(data: bytes) -> tuple[dict[str, Any], int]:
    whole = data.rfind(b"\n") + 1
    return {page["url"]: page for page in map(json.loads, data[:whole].splitlines())}, whole


def pieces(**changes: Any) -> Any:
    own = SimpleNamespace(
        ListingSpider=Spider,
        read_robots=lambda text, agent: (["calendar", "owners", "sort="], 2.0),
        may_fetch=lambda rules, path: not any(rule in path for rule in rules),
        TokenBucket=Bucket,
        retry_delay=lambda status, failures, retry_after, u: 1.0 if status != 404 and failures < 4 else None,
        read_journal=read_journal,
    )
    own.__dict__.update(changes)
    return own


def starts(server: Served) -> list[str]:
    return [server.url + path for path in ("/harbour/", "/meridian/objects", "/api/listings")]


def test_a_site_is_the_same_for_a_seed(site: ListingSite) -> None:
    assert ListingSite(seed=1, homes=60).adverts == site.adverts
    assert ListingSite(seed=1, homes=60).exam() == site.exam()
    assert ListingSite(seed=2, homes=60).adverts != site.adverts
    assert all(site.reply(path, 1) == site.reply(path, 1) for path in ("/harbour/", "/robots.txt", *site.troubles))


def test_every_fault_is_planted(site: ListingSite) -> None:
    assert {advert.fault for advert in site.adverts} == {"", *FAULTS}
    assert any(advert.must_be_refused for advert in site.adverts)
    assert all(advert.is_poor != advert.must_be_refused for advert in site.adverts if advert.fault)
    homes = [advert.home for advert in site.adverts]
    assert len(homes) > len(set(homes)) == 60


def test_pages_show_every_field_and_are_not_alike(site: ListingSite) -> None:
    shown = next(advert.shown for advert in site.adverts if not advert.fault and advert.shown["energy"])
    for page in (harbour_page(shown), meridian_page(shown)):
        assert all((shown[name] or "").split()[-1] in page for name in FIELDS if name != "area")
    assert "</td>" not in meridian_page(shown)
    assert harbour_page({**shown, "price": None}).count("<dd>") == harbour_page(shown).count("<dd>") - 1


def test_troubles_pass_or_stay(site: ListingSite) -> None:
    lost = site.lost()
    for path, plan in site.troubles.items():
        last = site.reply(path, 99)
        assert (last.status == 200 and last.seconds < 10 and "being updated" not in last.body) == (path not in lost)
        assert len(plan) == 1 or site.reply(path, 0) != last
    assert site.reply("/nowhere").status == 404


def test_the_exam_is_half_taken_from_the_site(site: ListingSite) -> None:
    texts, taken = site.exam(20)
    assert len(texts) == 20
    assert sum(taken) == 10


def test_the_server_answers_and_logs(site: ListingSite) -> None:
    with serve(site) as server:
        with urllib.request.urlopen(f"{server.url}/robots.txt") as answer:
            assert b"Crawl-delay: 2" in answer.read()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{server.url}/nowhere")
    assert server.log == [("/robots.txt", 200), ("/nowhere", 404)]
    assert server.answered() == {"/robots.txt": 1, "/nowhere": 1}


def test_a_crawl_that_is_interrupted_fetches_no_page_twice(site: ListingSite) -> None:
    journal = new_journal()
    with serve(site) as server:
        first = crawl(pieces(), starts(server), journal, pages=30)
        journal.write_bytes(journal.read_bytes() + b'{"url": "http')
        second = crawl(pieces(), starts(server), journal)
    assert max(server.answered().values()) == 1
    assert not [path for path, _ in server.log if any(word in path for word in ("calendar", "owners", "sort="))]
    found = {urlsplit(item["url"]).path for item in second.items}
    assert {advert.path for advert in site.adverts if advert.agency != "api"} - site.lost() <= found
    assert 0 < len(first.items) < len(second.items)
    assert min(b - a for a, b in zip(second.started, second.started[1:], strict=False)) >= 2 - 1e-9
    assert sum(second.waited.values()) == pytest.approx(second.seconds, abs=2)


def test_a_crawl_says_what_a_piece_raised(site: ListingSite, tmp_path: Path) -> None:
    def broken(rules: Any, path: str) -> bool:
        raise NotImplementedError("may_fetch")

    with serve(site) as server, pytest.raises(NotImplementedError, match="may_fetch"):
        crawl(pieces(may_fetch=broken), starts(server), tmp_path / "pages.jsonl")


def test_a_crawl_ends_in_the_trap_without_rules(site: ListingSite, tmp_path: Path) -> None:
    with serve(site) as server:
        crawl(pieces(may_fetch=lambda rules, path: True), [f"{server.url}/harbour/calendar"], tmp_path / "j", pages=40)
    assert len(server.log) < 60


def test_spider_step() -> None:
    found = spider_step(Spider, "http://a.test/x", "text/html", "<main><a href=y>y</a></main>")
    assert found == [{"url": "http://a.test/x"}, "http://a.test/y"]


def test_spider_step_shows_what_scrapy_would_not_drop_and_refuses_what_is_no_item() -> None:
    class Careless(scrapy.Spider):
        name = "careless"

        def parse(self, response: Any) -> Iterator[Any]:
            yield scrapy.Request(response.url, dont_filter=True)
            if response.text:
                yield "http://a.test/y"

    assert spider_step(Careless, "http://a.test/x", "text/html", "") == ["http://a.test/x (dont_filter)"]
    with pytest.raises(TypeError, match=r"not 'http://a\.test/y'"):
        spider_step(Careless, "http://a.test/x", "text/html", "x")


def test_comparing() -> None:
    assert same([1, (2.0, None), {"a": "x"}], (1.0, [2, None], {"a": "x"}))
    assert same(1.05, 1, tolerance=0.1)
    assert not same(1.05, 1)
    assert not same("1", 1)
    assert not same({"a": 1, "b": 2}, {"a": 1})
    assert_same([1, 2], (1, 2), "two numbers")
    with pytest.raises(AssertionError, match=r"^rows, at \[1\]\['a'\]: 2 expected, got 3; why not$"):
        assert_same([{"a": 1}, {"a": 3}], [{"a": 1}, {"a": 2}], "rows", "why not")
    with pytest.raises(AssertionError, match=r"^rows, at \[1\]: nothing expected, got 'more'$"):
        assert_same(["a", "more"], ["a"], "rows")
    with pytest.raises(AssertionError, match=r"^rows, at \[0\]: 'a' expected, got nothing$"):
        assert_same([], ["a"], "rows")
