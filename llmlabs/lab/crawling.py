"""Running a Scrapy spider from a notebook, with one's own rules, rate limit, retries and journal, in simulated time.

Scrapy does what it does in production: schedule, drop duplicate requests, ask robots.txt, keep a cache, retry. Its own
extension points carry the pieces that a lab writes. Only the clock is a number: waiting adds to it, nobody sleeps.
It runs without Twisted's reactor, which cannot be started twice in a process, on an asyncio loop in a thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import tempfile
import threading
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import scrapy
from scrapy import signals
from scrapy.core.downloader.handlers._httpx import HttpxDownloadHandler
from scrapy.crawler import AsyncCrawlerRunner, Crawler
from scrapy.exceptions import DownloadTimeoutError
from scrapy.http import HtmlResponse, JsonResponse, Request, Response, TextResponse

from llmlabs.lab.listing_site import LATENCY_HEADER
from llmlabs.lab.testing import inside_submission

AGENT = "LabBot"
TIMEOUT = 10.0
RETRIED = (408, 429, 500, 502, 503, 504)
MOST_PAGES, MOST_RETRIES = 2000, 20  # a mistake in a piece must not keep a crawl going for ever


class Pieces(Protocol):
    """What a crawl needs: a module or another object with these names, which the lab explains."""

    ListingSpider: Any
    read_robots: Any
    may_fetch: Any
    TokenBucket: Any
    retry_delay: Any
    read_journal: Any


@dataclass
class Crawl:
    """One crawl: what it works with, and in the end what it brought.

    Attributes:
        pieces: see `Pieces`.
        journal: the file of pages.
        items: what the spider yielded, in order.
        seconds: simulated time.
        waited: by cause ("rate limit", "back-off", "network") the seconds that went by, rounded.
        given_up: the path of each page that was retried in vain.
        started: when each request went out.
        stats: Scrapy's own counts.
    """

    pieces: Pieces
    journal: Path
    items: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    waited: dict[str, float] = field(default_factory=lambda: {"rate limit": 0.0, "back-off": 0.0, "network": 0.0})
    given_up: list[str] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)
    bucket: Any = None
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def __deepcopy__(self, memo: object) -> Crawl:
        return self  # Scrapy copies its settings, and this is in them

    def pass_time(self, seconds: float, cause: str) -> None:
        self.seconds += seconds
        self.waited[cause] += seconds


def crawl(
    pieces: Pieces, starts: Sequence[str], journal: Path, *, pages: int = MOST_PAGES, obey_robots: bool = True
) -> Crawl:
    """Run `pieces.ListingSpider` with one request at a time, and return what it brought.

    Args:
        pieces: the spider and the functions around it.
        starts: the addresses to begin with, on one host.
        journal: the file of pages. A page that is in there is taken from it, and not asked for again.
        pages: stop after this many pages, as if the power had gone: of the run only the journal is left.
        obey_robots: ask robots.txt first.

    Raises:
        Exception: the first that a piece raised; Scrapy would only log it and go on.
    """
    run = Crawl(pieces, journal)
    settings = {
        "TWISTED_REACTOR_ENABLED": False,
        "DOWNLOAD_HANDLERS": {"http": PoliteHandler},
        "USER_AGENT": AGENT,
        "CONCURRENT_REQUESTS": 1,
        "ROBOTSTXT_OBEY": obey_robots,
        "ROBOTSTXT_PARSER": OwnRobots,
        "RETRY_ENABLED": False,
        "DOWNLOADER_MIDDLEWARES": {OwnRetries: 550},
        "HTTPCACHE_ENABLED": True,
        "HTTPCACHE_STORAGE": Journal,
        "HTTPCACHE_IGNORE_HTTP_CODES": list(RETRIED),
        "CLOSESPIDER_PAGECOUNT": pages,
        "LOG_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
        "LAB_CRAWL": run,
    }
    log, failures = logging.getLogger("scrapy"), Failures()
    others = [logging.getLogger(name) for name in ("httpx", "asyncio")]
    before = log.propagate, [logger.level for logger in others]
    log.addHandler(failures)
    log.propagate = False
    for logger in others:
        logger.setLevel(logging.CRITICAL)
    try:
        _in_thread(_crawl(run, settings, list(starts)))
    finally:
        log.removeHandler(failures)
        log.propagate = before[0]
        for logger, level in zip(others, before[1], strict=True):
            logger.setLevel(level)
    if failures.found:
        raise failures.found[0]
    return run


class Failures(logging.Handler):
    """Keeps the exceptions that Scrapy logs, but for pages that came too late."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, DownloadTimeoutError):
            self.found.append(error)


def new_journal() -> Path:
    """The path of a journal that does not exist yet, in a folder of its own."""
    return Path(tempfile.mkdtemp(prefix="crawl-")) / "pages.jsonl"


async def _crawl(run: Crawl, settings: dict[str, Any], starts: list[str]) -> None:
    runner = AsyncCrawlerRunner(settings)
    crawler = runner.create_crawler(run.pieces.ListingSpider)

    def keep(item: Mapping[str, Any]) -> None:
        run.items.append(dict(item))

    crawler.signals.connect(keep, signals.item_scraped)
    await runner.crawl(crawler, start_urls=starts)
    run.stats = crawler.stats.get_stats()
    run.waited = {cause: round(seconds) for cause, seconds in run.waited.items()}


def _in_thread(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on a loop of its own: a notebook's own loop is busy running the cell."""
    failure: list[BaseException] = []

    def target() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def _of(crawler: Crawler) -> Crawl:
    return crawler.settings["LAB_CRAWL"]


class PoliteHandler(HttpxDownloadHandler):
    """Scrapy's download handler, one request a token; a reply that takes too long is a timeout."""

    experimental = False

    async def download_request(self, request: Request) -> Response:
        run = _of(self.crawler)
        if run.bucket is None:  # until robots.txt is known
            run.bucket = run.pieces.TokenBucket(1.0, 1)
        run.pass_time(run.bucket.wait(run.seconds), "rate limit")
        run.started.append(run.seconds)
        response = await super().download_request(request)
        latency = float(response.headers[LATENCY_HEADER] or 0)
        run.pass_time(min(latency, TIMEOUT), "network")
        if latency > TIMEOUT:
            raise DownloadTimeoutError(f"no answer within {TIMEOUT:g} s")
        return response


class OwnRobots:
    """A parser of robots.txt as Scrapy wants it."""

    @classmethod
    def from_crawler(cls, crawler: Crawler, robotstxt_body: bytes) -> OwnRobots:
        run, own = _of(crawler), cls()
        own.run = run
        own.rules, delay = run.pieces.read_robots(robotstxt_body.decode("utf-8", "replace"), AGENT)
        if delay:
            run.bucket = run.pieces.TokenBucket(1 / delay, 1)
            run.bucket.wait(run.seconds)  # robots.txt itself has just been fetched
        return own

    run: Crawl
    rules: Any

    def allowed(self, url: str, user_agent: str) -> bool:
        parts = urlsplit(url)
        return self.run.pieces.may_fetch(self.rules, f"{parts.path}?{parts.query}" if parts.query else parts.path)


class OwnRetries:
    """A downloader middleware that asks `retry_delay` what to do about a page that did not come."""

    def __init__(self, run: Crawl) -> None:
        self.run = run

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> OwnRetries:
        return cls(_of(crawler))

    def process_response(self, request: Request, response: Response) -> Request | Response:
        if response.status < 400:
            return response
        asked = response.headers.get("Retry-After")
        return self._again(request, response.status, float(asked) if asked else None) or response

    def process_exception(self, request: Request, exception: Exception) -> Request | None:
        return self._again(request, None, None) if isinstance(exception, DownloadTimeoutError) else None

    def _again(self, request: Request, status: int | None, retry_after: float | None) -> Request | None:
        failures = request.meta.get("failures", 0) + 1
        delay = self.run.pieces.retry_delay(status, failures, retry_after, self.run.rng.random())
        if delay is None or failures > MOST_RETRIES:
            self.run.given_up.append(urlsplit(request.url).path)
            return None
        self.run.pass_time(delay, "back-off")
        return request.replace(dont_filter=True, meta={**request.meta, "failures": failures})


class Journal:
    """Scrapy's cache, kept in a file of lines."""

    def __init__(self, settings: Any) -> None:
        self.run: Crawl = settings["LAB_CRAWL"]

    def open_spider(self, spider: scrapy.Spider) -> None:
        path = self.run.journal
        data = path.read_bytes() if path.exists() else b""
        self.pages, whole = self.run.pieces.read_journal(data)
        self.file = path.open("ab")
        self.file.truncate(whole)

    def close_spider(self, spider: scrapy.Spider) -> None:
        self.file.close()

    def retrieve_response(self, spider: scrapy.Spider, request: Request) -> Response | None:
        page = self.pages.get(request.url)
        return response_of(page, request) if page else None

    def store_response(self, spider: scrapy.Spider, request: Request, response: Response) -> None:
        kind = (response.headers.get("Content-Type") or b"").decode("latin-1")
        text = response.text if isinstance(response, TextResponse) else ""
        page = {"url": request.url, "status": response.status, "type": kind, "text": text}
        self.pages[request.url] = page
        self.file.write(json.dumps(page).encode() + b"\n")
        self.file.flush()


def response_of(page: Mapping[str, Any], request: Request | None = None) -> Response:
    """A page of the journal as Scrapy's response."""
    kind = JsonResponse if "json" in page["type"] else HtmlResponse
    headers = {"Content-Type": page["type"]} if page["type"] else {}
    return kind(page["url"], page["status"], headers, page["text"].encode(), request=request, encoding="utf-8")


@inside_submission
def spider_step(spider: type[scrapy.Spider], url: str, kind: str, text: str) -> list[Any]:
    """What `spider.parse` yields for a page: a dict for each item, the address for each request, in order.

    A request that Scrapy is not to drop as a repeat has "(dont_filter)" after its address.

    Args:
        spider: a spider class.
        url: the page's address.
        kind: its content type, such as "text/html; charset=utf-8"; "" if it has none.
        text: its body.

    Raises:
        TypeError: if it yields something else.
    """
    response = response_of({"url": url, "status": 200, "type": kind, "text": text}, Request(url))
    found = spider().parse(response) or ()
    return [_shown(one) for one in found]


def _shown(found: Any) -> Any:
    if isinstance(found, Request):
        return f"{found.url} (dont_filter)" if found.dont_filter else found.url
    if isinstance(found, Mapping):
        return dict(found)
    raise TypeError(f"parse yields dicts and scrapy.Requests, not {found!r}")
