"""The solved exercises of 06_data_preparation/web_scraping_pipeline.

Made from source/06_data_preparation/web_scraping_pipeline.py by `llmlabs build`: edit that file, not this one.
"""

import hashlib
import json
import re
from datetime import date, datetime
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

import numpy as np
import scrapy
from bs4 import BeautifulSoup, Tag
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from llmlabs.lab.listing_site import (
    CRAWL_DATE,
    FIELDS,
    LABELS,
)


def parse_listing(html: str) -> dict[str, str | None] | None:
    """Read the advert of a page (html) of either layout, see the table; </td>, </th>, </tr> and </dd> may be missing.

    Return a dict with every name of FIELDS: the texts of the tag and of the tags in it, spaces between them, white space
    collapsed to single spaces; None where there is no tag or no text. LABELS turns a label's text, read in the same way,
    without a ":" at its end, into a name; ignore others. Only the inside of the advert counts. Without an advert: None.

    Example: <article class=listing><h1>Flat</h1><dl><dt>Rooms:<dd> 2 </dl></article> has title "Flat", rooms "2", else None.
    """
    page = BeautifulSoup(html, "lxml").select_one("article.listing, section.object")
    if page is None:
        return None

    def text(tag: Tag) -> str:
        return " ".join(tag.get_text(" ").split())

    tags = {"title": page.select_one("h1, [itemprop=name]")}
    tags["city"] = page.select_one(".place, [itemprop=addressLocality]")
    tags["description"] = page.select_one(".description, [itemprop=description]")
    for label in page.select("dt, th"):
        name, value = LABELS.get(text(label).rstrip(":")), label.find_next_sibling()
        if name and value and value.name in ("dd", "td"):
            tags[name] = value
    return {name: text(tag) or None if (tag := tags.get(name)) else None for name in FIELDS}


def page_links(html: str, url: str) -> list[str]:
    """Return the absolute addresses that a crawler should follow from a page (html) with the address url.

    They are those of every <a href> inside <main>, in order, each once. Left out: links whose rel says nofollow, and
    links to another host or port (mailto: has none). Removed: the fragment (#...) and every parameter that starts with
    utm_; the other parameters stay as they are and in order."""
    found = []
    for tag in BeautifulSoup(html, "lxml").select("main a[href]"):
        link = urlsplit(urljoin(url, str(tag["href"])))
        if link.netloc == urlsplit(url).netloc and "nofollow" not in (tag.get("rel") or ""):
            query = "&".join(part for part in link.query.split("&") if not part.startswith("utm_"))
            found.append(link._replace(query=query, fragment="").geturl())
    return list(dict.fromkeys(found))


def read_robots(text: str, agent: str) -> tuple[list[tuple[bool, str]], float]:
    """Read what a robots.txt says to a crawler.

    Upper and lower case of fields and agents in the text are the same; "#" starts a comment; white space around fields and
    values does not matter; fields other than User-agent, Allow, Disallow and Crawl-delay are ignored, and so are rules
    before the first User-agent. A User-agent that follows one of the other three, empty or not, begins a group. The agent,
    the crawler's name, is compared with the whole value of User-agent.

    Returns:
        (rules, delay): (allowed, pattern) for each Allow and Disallow of the groups that apply, in order; and the seconds of
        their last Crawl-delay, 0.0 if there is none. Empty ones of the three are left out; any other delay is a number.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    agents: list[str] = []
    naming = False  # whether the last line was a User-agent
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            agents = [*agents, value.lower()] if naming else [value.lower()]
            groups.setdefault(value.lower(), [])
            naming = True
        elif field in ("allow", "disallow", "crawl-delay"):
            naming = False
            for name in agents:
                groups[name].append((field, value))
    mine = groups.get(agent.lower(), groups.get("*", []))
    delays = [float(value) for field, value in mine if field == "crawl-delay" and value]
    return [(field == "allow", value) for field, value in mine if field != "crawl-delay" and value], [0.0, *delays][-1]


def may_fetch(rules: list[tuple[bool, str]], path: str) -> bool:
    """Say whether rules (those of read_robots) allow a path, which includes its query: "/list?page=2"."""
    longest = (0, True)
    for allowed, pattern in rules:
        literal = re.escape(pattern.removesuffix("$")).replace(r"\*", ".*") + ("$" if pattern.endswith("$") else "")
        if re.match(literal, path):
            longest = max(longest, (len(pattern), allowed))
    return longest[1]


class TokenBucket:
    """A rate limit that workers can share, without a clock: TokenBucket(rate, capacity) starts full.

    rate: tokens a second, above 0. capacity: the most that it holds, at least 1. wait(now) takes a token at the time now
    (seconds, at least 0 and never below that of the call before) and returns the seconds until the token is there.
    """

    def __init__(self, rate: float, capacity: int) -> None:
        self.rate, self.capacity = rate, capacity
        self.level, self.last = float(capacity), 0.0

    def wait(self, now: float) -> float:
        self.level = min(self.capacity, self.level + self.rate * (now - self.last)) - 1
        self.last = now
        return max(0.0, -self.level / self.rate)


def retry_delay(
    status: int | None, failures: int, asked: float | None, u: float, base: float = 1, cap: float = 60, most: int = 5
) -> float | None:
    """Return the seconds to wait before the next attempt at a page that did not come, or None to give up, see above.

    status: of the answer; None if there was none in time. Give up at once if it is not one that passes by itself.
    failures: how often in a row this page has failed, at least 1; from `most` on, give up. asked: the seconds that the
    server asked for (Retry-After), or None. u: a random number from [0, 1). base, cap: seconds, see the formula."""
    if status not in (None, 408, 429, 500, 502, 503, 504) or failures >= most:
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


class ListingSpider(scrapy.Spider):
    """Turns the pages of all three sources into items and requests."""

    name = "listings"

    def parse(self, response: Any) -> Any:
        """Yield what a page (the response) holds. Use parse_listing and page_links.

        For a JSON page ("json" is in its content type), {"listings": [record, ...], "next": address or null}: each record
        with its "url" made absolute; then, if there is a next, a scrapy.Request for it (absolute).
        For any other, an HTML page: if it has an advert, the item {"url": response.url, **fields}; then a request for each
        of its links. If it has neither advert nor links, the item {"url": response.url, "error": "no advert, no links"}.
        Leave the option dont_filter of requests alone: Scrapy is to drop those that it has seen.
        """
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            links = [response.urljoin(page["next"])] if page["next"] else []
        else:
            row, links = parse_listing(response.text), page_links(response.text, response.url)
            if row:
                yield {"url": response.url, **row}
            elif not links:
                yield {"url": response.url, "error": "no advert, no links"}
        yield from map(scrapy.Request, links)


def read_journal(data: bytes) -> tuple[dict[str, dict], int]:
    """Read a journal: data, maybe empty, are lines of JSON, one page (a dict with a "url") each; the last may be torn.

    Return (pages, whole): the pages by url, of several with one url the last; and the number of bytes of whole lines."""
    whole = data.rfind(b"\n") + 1
    pages = [json.loads(line) for line in data.split(b"\n")[:-1]]
    return {page["url"]: page for page in pages}, whole


def to_number(text: str) -> float:
    """Return the first number of a text by the rule above (hard spaces, too): "1.250,5 m²" -> 1250.5. No digit: ValueError."""
    found = re.search(r"\d[\d.,\s]*", text)
    if not found:
        raise ValueError(f"no number in {text!r}")
    whole, _, decimals = re.sub(r"[.,](\d\d?)$", r"|\1", found[0].strip()).partition("|")
    return float(re.sub(r"\D", "", whole) + "." + decimals)


class Listing(BaseModel):
    """A sound advert. All bounds are inclusive; other keys of a row are ignored.

    title, city, url, description: texts, not empty. rooms: 1 to 20 or None. energy: A to G or None; "" and "n/a" mean None.
    price: euros, 10,000 to 20,000,000. area: m², 10 to 1,000, also in sq ft. to_number reads rooms ("2,5"), price and area.
    listed: a date in one of the three forms above, not after CRAWL_DATE. price / area: 1,000 to 15,000.
    """

    url: str = Field(min_length=1)
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    description: str = Field(min_length=1)
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    listed: date = Field(le=CRAWL_DATE)

    @field_validator("price", "area", "rooms", "energy", "listed", mode="before")
    @classmethod
    def _clean(cls, value: str | None, info: ValidationInfo) -> Any:
        if value is None or info.field_name == "energy":
            return None if value in ("", "n/a") else value
        if info.field_name == "listed":
            return datetime.strptime(value[:10], "%d.%m.%Y" if "." in value else "%Y-%m-%d")
        return to_number(value) * (0.09290304 if "sq ft" in value else 1)

    @model_validator(mode="after")
    def _plausible(self) -> Any:
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError(f"{self.price / self.area:,.0f} euros per square metre")
        return self


def validate_rows(rows: list[dict]) -> tuple[list[dict], list[dict]]:
    """Separate sound rows from others. rows holds texts and None; keys may be missing. No row is changed or stops the run.

    Return (good, quarantine), both in order. For each sound row a dict of the fields of Listing: price, area, rooms as
    numbers, listed as datetime.date. For each other row {"row": it, "reasons": {field: message}} with an entry for each
    field that is wrong or whose key is missing; if only price / area is wrong, the field is "row"."""
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing(**row).model_dump())
        except ValidationError as error:
            reasons = {str([*found["loc"], "row"][0]): found["msg"] for found in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


def shingles(text: str, k: int = 3) -> set[str]:
    r"""Return the runs of k words in a row of a text, each joined by single spaces; words are the matches of \w+ in the
    lower-case text. A text of fewer than k words has one shingle: all its words.

    Example: shingles("The big, RED house.", 2)  ->  {"the big", "big red", "red house"}
    """
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items: set[str], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the signature, uint64 of shape (m,), of a set of items (shingles, at least one), see the formula.

    a, b: uint64 of shape (m,), below 2**31. h is the first four bytes of SHA-1 of an item in UTF-8, little-endian."""
    starts = (hashlib.sha1(item.encode()).digest()[:4] for item in items)
    h = np.array([int.from_bytes(start, "little") for start in starts], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % (2**61 - 1)
    return (shuffled % 2**32).min(axis=1)


def find_duplicates(texts: list[str], a: np.ndarray, b: np.ndarray, threshold: float) -> list[tuple[str, int] | None]:
    """Say of each of the texts, which come in order of preference, whether it repeats an earlier one.

    Signatures are minhash(shingles(text), a, b). Of each text return ("exact", i) if earlier texts, staying or not, have the
    same words in the same order, i the first of them; else ("near", i) if its signature agrees with that of text i in at
    least the share threshold, i being the one that agrees most of those that stay (of equals the first); else None: it stays.
    """
    first: dict[str, int] = {}
    kept: list[tuple[int, np.ndarray]] = []
    found: list[tuple[str, int] | None] = []
    for place, text in enumerate(texts):
        words = " ".join(re.findall(r"\w+", text.lower()))
        if words in first:
            found.append(("exact", first[words]))
            continue
        first[words], signature = place, minhash(shingles(text), a, b)
        near = [(share, -i) for i, other in kept if (share := np.mean(signature == other)) >= threshold]
        found.append(("near", -max(near)[1]) if near else None)
        if not near:
            kept.append((place, signature))
    return found


def quality(row: dict) -> float:
    r"""Return the score of a sound row, 0 to 1, see above. row has FIELDS as keys; a field has a value unless it is None.
    Words of the description are the matches of \w+; use shingles."""
    words = len(re.findall(r"\w+", row["description"]))
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    variety = len(shingles(row["description"])) / max(1, words - 2)
    return (filled * min(1.0, words / 40) * variety) ** (1 / 3)


def contamination(tests: list[str], corpus: list[str], n: int) -> list[float]:
    """Return for each of the tests the share of its shingles of n words, shingles(text, n), that occur in any
    text of the corpus."""
    seen = set().union(*(shingles(text, n) for text in corpus))
    return [len(own & seen) / len(own) for own in (shingles(text, n) for text in tests)]


def fingerprint(rows: list[dict]) -> str:
    """Return SHA-256, in hexadecimal, of the rows: each as json.dumps(row, sort_keys=True, default=str), sorted as texts,
    joined by line ends (none at the end), in UTF-8."""
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
