"""A small web of property listings with the faults of a real one, made from a seed, and a local server for it.

Two agencies with different layouts and number formats, and a JSON interface of a third. Everything is invented. The
site knows its own truth (`ListingSite.adverts`), so that what a crawler missed or should have dropped can be counted.

A reply takes no time: how long it would have taken on a slow network is a number, `Reply.seconds`.
"""

from __future__ import annotations

import html
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit

CRAWL_DATE: Final = date(2026, 12, 1)
"""The day on which the site is crawled: no advert can be newer."""

FIELDS: Final = ("title", "city", "price", "area", "rooms", "energy", "listed", "description")
"""What an advert says, in this order."""

LABELS: Final = {
    "Price": "price",
    "Living area": "area",
    "Rooms": "rooms",
    "Energy class": "energy",
    "Listed": "listed",
}
LABELS.update({"Purchase price": "price", "Living space": "area", "No. of rooms": "rooms"})
LABELS.update({"Energy rating": "energy", "Online since": "listed"})
"""What the two agencies call a field."""

LATENCY_HEADER: Final = "X-Simulated-Seconds"
PAGE_SIZE: Final = 12

ROBOTS: Final = """\
# We like polite robots.
User-agent: *
Disallow: /harbour/calendar      # goes on for ever
Disallow: /meridian/owners/
Allow: /meridian/owners/faq.html
Disallow: /*?sort=
Crawl-delay: 2

User-agent: GreedyBot
Disallow: /
"""

_EURO_PER_SQUARE_METRE = {"Northport": 6000, "Eastwick": 4200, "Marlow Bay": 3100, "Steinfeld": 2300, "Alderwick": 5100}
_SQUARE_METRES = 0.09290304  # one square foot
_SIGN_OFF = {
    "harbour": "Call Harbour Homes for a viewing, our office is open from Monday to Saturday.",
    "meridian": "Meridian Estates shows the property by appointment; all sizes are approximate and without warranty.",
    "api": "Details as supplied by the owner.",
}
# A slot {name} is filled with a word of that list; of a group, which an empty line ends, one sentence is drawn.
_LISTS = """
nice: bright, quiet, spacious, cosy, modest, breezy, lofty, snug, sunny, plain, generous, handsome, curious, tidy
room: living room, bedroom, study, dining room, kitchen, hall, nursery, winter garden, library, attic, box room
view: the park, the river, the courtyard, the old cranes, the hills, the canal, the lighthouse, the market
  square, the cathedral, the railway, the orchard, the harbour
thing: oak parquet, stone tiles, cork floors, painted boards, built-in cupboards, brass handles, tall doors, a
  tiled stove, a bay window, wall lamps, a piano, green shutters
piece: a gas cooker, a wide oven, a dishwasher, a breakfast bar, a pantry, two basins, a tub, a walk-in shower,
  a heated rail, a linen press, a serving hatch, a skylight
heat: a gas boiler, district heating, a heat pump, a pellet stove, storage heaters, solar panels, an oil burner
work: replaced, painted, rewired, enlarged, insulated, inspected, sanded, restored, cleaned, measured
year: 1887, 1904, 1928, 1936, 1957, 1974, 1998, 2003, 2009, 2013, 2016, 2019, 2021, 2022, 2023, 2024
who: dock workers, a sea captain, railway clerks, a brewery, two sisters, the city, a tailor, a choir, a doctor,
  the former owner, a retired teacher, an architect
where: around the corner, across the bridge, down the hill, two streets away, behind the church, near the
  station, beside the mill, opposite, past the fountain, next door
shop: bakery, primary school, swimming pool, weekly market, cinema, library, pharmacy, tram stop, ferry, museum
count: two, three, four, six, seven, nine, eleven, twelve, fifteen, twenty
green: an apple tree, roses, a herb bed, a stone bench, a vine, two chairs, a pond, a walnut tree, lavender
spot: balcony, terrace, loggia, shared garden, small yard, roof terrace, front garden, gallery
store: dry cellar, bicycle room, garage, parking space, loft compartment, wood shed, wall safe, laundry room
month: January, February, March, April, May, June, August, September, October
"""
_GROUPS = """
The {nice} {room} faces {view} and has {thing}
A {nice} {room} with {thing} looks towards {view}
From the {room} you see {view}, and in the {nice} {room} you find {thing}

In {year} {who} had the {room} {work} and put in {piece}
Beside the {nice} {room} you find {piece} and {piece}
The {room} was {work} in {year} and now holds {piece}

The bathroom offers {piece} and {thing}, {work} in {year}
A {nice} bathroom with {piece} lies beside the {room}

Warmth comes from {heat} of {year}, {work} by {who}
Since {year} {heat} warms the {room} and the {nice} {room}

{who} built this {nice} house in {year} for {count} families
It stands on the {nice} side of a street that {who} laid out in {year}
There are {count} neighbours, {who} among them, and a {nice} staircase of {year}

A {shop} is {where}, the {shop} {count} minutes on foot
The {shop} lies {where}, and {where} you find a {nice} {shop}

The {nice} {spot} has {green} and looks at {view}
Outside, {green} and {green} belong to the {spot} of {count} square metres

A {store} and a {nice} {store} are included since {year}
You may rent the {store} of {who} from {month}

{who} will hand over the keys in {month}, and would leave {thing}
The accounts of {year} are {nice}, ask {who} in {month}
"""
_WORDS = {
    name: " ".join(words.split()).split(", ")
    for name, words in re.findall(r"^(\w+): ((?:.|\n  )+)", _LISTS, re.MULTILINE)
}
_SENTENCES = [re.sub(r"\n  ", " ", group).strip().split("\n") for group in _GROUPS.split("\n\n")]
_EDITS = {"The ": "This ", " with ": " including ", " and ": " as well as ", " is ": " would be ", " lies ": " sits "}


@dataclass(frozen=True)
class Advert:
    """One advert and its truth.

    Attributes:
        path: where it is: of its page, or of its record in the JSON interface.
        agency: "harbour", "meridian" or "api".
        shown: the text of each of `FIELDS` as the page shows it, spaces aside; None where it shows nothing.
        home: the number of the property; adverts of one home are copies of each other.
        fault: what is wrong with it; "" if nothing is.
    """

    path: str
    agency: str
    shown: dict[str, str | None]
    home: int
    fault: str = ""

    @property
    def must_be_refused(self) -> bool:
        """Whether a validator should refuse it. Spam and thin adverts are valid, if poor."""
        return self.fault != "" and not self.is_poor

    @property
    def is_poor(self) -> bool:
        """Whether its text is spam, or next to nothing."""
        return self.fault in ("spam", "thin")


@dataclass(frozen=True)
class Reply:
    """The answer to a request; `seconds` is how long it would take."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.2


FAULTS: Final = (
    *("price on request", "price zero", "price typo", "area missing", "date impossible", "date in the future"),
    *("energy unknown", "city missing", "spam", "thin"),
)


class ListingSite:
    """The site of a seed: what it answers to any request, and the truth about its adverts.

    Args:
        seed: of all that is random.
        homes: the number of properties. About a third has a second advert with another agency, a tenth a third one.
    """

    def __init__(self, seed: int = 0, homes: int = 150) -> None:
        self.seed = seed
        self._rng = random.Random(f"listings {seed}")
        self.adverts: list[Advert] = []
        for home in range(homes):
            self._advertise(home)
        self._rng.shuffle(self.adverts)
        self._spoil()
        self.by_path = {advert.path: advert for advert in self.adverts}
        self.troubles = self._troubles()

    # ---- the adverts

    def _advertise(self, home: int) -> None:
        """Add the adverts of one property."""
        rng, (city, level) = self._rng, self._rng.choice(list(_EURO_PER_SQUARE_METRE.items()))
        area = rng.randint(50, 320) / 2
        price = round(area * level * rng.uniform(0.75, 1.3), -3)
        rooms = max(1, round(area / rng.uniform(22, 34)))
        listed = CRAWL_DATE - timedelta(days=rng.randint(1, 200))
        kind = rng.choice(("flat", "apartment", "maisonette", "town house", "loft"))
        title = f"{rng.choice(('Bright', 'Quiet', 'Charming', 'Renovated', 'Central'))} {rooms}-room {kind} in {city}"
        energy, description = rng.choice("ABCDEFG"), describe(rng)
        first, *others = rng.sample(["harbour", "harbour", "meridian", "meridian", "api"], 3)
        agencies = [first] + [other for other, share in zip(others, (0.35, 0.1), strict=True) if rng.random() < share]
        for number, agency in enumerate(agencies):
            copied = number > 0 and agency in agencies[:number]  # the same agency again: word for word
            text = description if number == 0 or copied else edit(description, rng)
            self.adverts.append(
                Advert(
                    path=_path(agency, 3 * home + number),
                    agency=agency,
                    shown={
                        "title": title,
                        "city": city,
                        "price": _price(price, agency),
                        "area": _area(area, agency),
                        "rooms": str(rooms),
                        "energy": energy if rng.random() < 0.9 else None,
                        "listed": _date(listed, agency),
                        "description": f"{text} {_SIGN_OFF[agency]}",
                    },
                    home=home,
                )
            )

    def _spoil(self) -> None:
        """Plant each fault in a fiftieth of the adverts."""
        places = self._rng.sample(range(len(self.adverts)), len(FAULTS) * max(1, len(self.adverts) // 50))
        for number, place in enumerate(places):
            fault, advert = FAULTS[number % len(FAULTS)], self.adverts[place]
            shown: dict[str, dict[str, str | None]] = {
                "price on request": {"price": "Price on request"},
                "price zero": {"price": _price(0, advert.agency)},
                "price typo": {"price": (advert.shown["price"] or "").replace("000", "0000", 1)},  # one nought too many
                "area missing": {"area": None},
                "date impossible": {"listed": "2026-02-30" if advert.agency != "meridian" else "30.02.2026"},
                "date in the future": {"listed": _date(CRAWL_DATE + timedelta(days=400), advert.agency)},
                "energy unknown": {"energy": "K"},
                "city missing": {"city": None},
                "spam": {"description": "BUY NOW!!! Best price guaranteed, call us today. " * 6},
                "thin": {"description": "Nice flat, must see."},
            }
            changed = {name: value.strip() if value else value for name, value in shown[fault].items()}
            self.adverts[place] = replace(advert, shown={**advert.shown, **changed}, fault=fault)

    # ---- the pages

    def _troubles(self) -> dict[str, list[Reply]]:
        """What some pages answer instead, request by request; the last one for ever, unless it is "ok"."""
        pages = [advert.path for advert in self.adverts if advert.agency != "api" and not advert.fault]
        busy, later = Reply(503, "busy"), Reply(503, "busy", {"Retry-After": "30"})
        slow, fine = Reply(200, "", seconds=45.0), Reply(200, "")
        soft = Reply(200, "<html><body><main><h1>Sorry</h1><p>This page is being updated.</p></main></body></html>")
        plans = [[busy, fine]] * 5 + [[later, busy, fine]] * 3 + [[slow, fine]] * 3 + [[slow]] + [[Reply(500, "oops")]]
        plans += [[Reply(404, "gone")]] * 2 + [[soft]] * 2
        troubles = dict(zip(self._rng.sample(pages, len(plans)), plans, strict=True))
        return troubles | {
            "/harbour/?page=2": [busy, fine],
            f"/api/listings?cursor={PAGE_SIZE}": [Reply(429, "slow down", {"Retry-After": "60"}), fine],
        }

    def lost(self) -> set[str]:
        """The paths of adverts that no crawler can get: their pages never come."""
        return {path for path, plan in self.troubles.items() if plan[-1] != Reply(200, "")}

    def reply(self, target: str, earlier: int = 0) -> Reply:
        """The answer to a request.

        Args:
            target: path and query, such as "/harbour/?page=2".
            earlier: how often this target has been requested before.
        """
        if plan := self.troubles.get(target):
            trouble = plan[min(earlier, len(plan) - 1)]
            if trouble.status != 200 or trouble.body:
                return trouble
            return replace(self._page(target), seconds=trouble.seconds)
        return self._page(target)

    def _page(self, target: str) -> Reply:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if path == "/robots.txt":
            return Reply(200, ROBOTS, {"Content-Type": "text/plain; charset=utf-8"})
        if path == "/harbour/calendar":
            month = int(query.get("month", ["0"])[0])
            link = f'<a href="/harbour/calendar?month={month + 1}">next month</a>'
            return _html(f"<main><h1>Viewings, month {month}</h1>{link}</main>")
        if path in ("/harbour/", "/meridian/objects"):
            return self._index(path, int(query.get("page", ["1"])[0]))
        if path == "/api/listings":
            return self._records(int(query.get("cursor", ["0"])[0]))
        if (advert := self.by_path.get(path)) and advert.agency != "api":
            return _html((harbour_page if advert.agency == "harbour" else meridian_page)(advert.shown))
        if path.startswith("/meridian/owners/"):
            return _html("<main><p>For owners only.</p></main>")
        return Reply(404, "not found")

    def _part(self, agency: str, start: int) -> tuple[list[Advert], bool]:
        """The adverts of one page of an agency, and whether there are more."""
        adverts = [advert for advert in self.adverts if advert.agency == agency]
        return adverts[start : start + PAGE_SIZE], start + PAGE_SIZE < len(adverts)

    def _index(self, path: str, number: int) -> Reply:
        agency = path.split("/")[1]
        adverts, more = self._part(agency, PAGE_SIZE * (number - 1))
        following = f"{path}?page={number + 1}" if more else path  # the last page leads back to the first
        links = []
        for place, advert in enumerate(adverts):
            # the same page under several names, as newsletters and menus link to it
            name = [advert.path, f"{advert.path}#photos", f"{advert.path}?utm_source=news&utm_medium=mail"][place % 3]
            links += [f'<a class="card" href="{html.escape(name)}">{html.escape(advert.shown["title"] or "")}</a>']
        if agency == "harbour":
            items = "\n".join(f"<li>{link}" for link in links)
            extra = '<a href="/harbour/calendar">Viewings</a> <a href="/harbour/?sort=price">by price</a>'
            body = f'<ul>{items}</ul>{extra} <a rel="next" href="{following}">Next</a>'
        else:
            items = "\n".join(f"<tr><td>{link}" for link in links)
            extra = '<a href="owners/login.html">Owners</a> <a rel="nofollow" href="/meridian/compare">Compare</a>'
            extra += ' <a href="mailto:hi@example.com">Mail</a>'
            body = f'<table>{items}</table>{extra} <a href="{following}">&raquo;</a>'
        return _html(f'<nav><a href="/imprint.html">Imprint</a></nav><main>{body}</main>')

    def _records(self, start: int) -> Reply:
        adverts, more = self._part("api", start)
        page = {
            "listings": [{"url": advert.path, **advert.shown} for advert in adverts],
            "next": f"/api/listings?cursor={start + PAGE_SIZE}" if more else None,
        }
        return Reply(200, json.dumps(page), {"Content-Type": "application/json"})

    # ---- a test set

    def exam(self, questions: int = 40) -> tuple[list[str], list[bool]]:
        """Texts of a test set, and for each whether it was taken from the site: from a sound advert, a little changed.

        The others are new, but of the same language: they share words and phrases with the site.
        """
        rng = random.Random(f"exam {self.seed}")
        sound = [a for a in self.adverts if not a.fault and a.path not in self.troubles]
        texts = [edit(_body(advert), rng) for advert in rng.sample(sound, questions // 2)]
        texts += [describe(rng) for _ in range(questions - len(texts))]
        taken = [number < questions // 2 for number in range(questions)]
        order = rng.sample(range(questions), questions)
        return [texts[i] for i in order], [taken[i] for i in order]


def describe(rng: random.Random) -> str:
    """An invented description: six to eight sentences."""
    chosen = sorted(rng.sample(range(len(_SENTENCES)), rng.randint(6, 8)))
    sentences = [_filled(rng.choice(_SENTENCES[group]), rng) for group in chosen]
    return " ".join(sentence[0].upper() + sentence[1:] + "." for sentence in sentences)


def edit(text: str, rng: random.Random) -> str:
    """What an agency makes of another one's text: a sentence left out, a word changed."""
    sentences = text.split(". ")
    del sentences[rng.randrange(len(sentences) - 1)]
    old, new = rng.choice(list(_EDITS.items()))
    return ". ".join(sentences).replace(old, new, 1)


def _filled(template: str, rng: random.Random) -> str:
    parts = template.replace("}", "{").split("{")
    return "".join(rng.choice(_WORDS[part]) if place % 2 else part for place, part in enumerate(parts))


def _body(advert: Advert) -> str:
    return (advert.shown["description"] or "").removesuffix(f" {_SIGN_OFF[advert.agency]}")


def _path(agency: str, number: int) -> str:
    pattern = {
        "harbour": "/harbour/listing/H{:04}",
        "meridian": "/meridian/object-{:04}.html",
        "api": "/api/listings/{}",
    }
    return pattern[agency].format(number)


def _price(euro: float, agency: str) -> str:
    if agency == "api":
        return f"{euro:.2f}"
    return f"€ {euro:,.0f}" if agency == "harbour" else f"{euro:,.0f} €".replace(",", ".")


def _area(square_metres: float, agency: str) -> str:
    if agency == "api":
        return f"{square_metres / _SQUARE_METRES:,.0f} sq ft"
    return f"{square_metres:.1f} m²" if agency == "harbour" else f"{square_metres:.1f} m²".replace(".", ",")


def _date(day: date, agency: str) -> str:
    if agency == "meridian":
        return day.strftime("%d.%m.%Y")
    return day.isoformat() if agency == "harbour" else f"{day.isoformat()}T08:00:00Z"


def _html(body: str) -> Reply:
    page = f"<!doctype html>\n<html><head><title>Homes</title></head><body>\n{body}\n</body></html>"
    return Reply(200, page, {"Content-Type": "text/html; charset=utf-8"})


def harbour_page(shown: dict[str, str | None]) -> str:
    """An advert in the first layout: a list of terms (`dl`) in an `article`; a term without value has no `dd`."""
    text = {name: html.escape(value or "").replace(" ", "\n   ", 1) for name, value in shown.items()}
    labels = {"price": "Price", "area": "Living area", "rooms": "Rooms", "energy": "Energy class", "listed": "Listed"}
    facts = "\n".join(
        f"<dt>{label}</dt>" + (f"<dd>{text[name].replace(' m²', '&nbsp;m&sup2;')}</dd>" if shown[name] else "")
        for name, label in labels.items()
    )
    cut = (shown["description"] or "").find(". ") + 1
    paragraphs = [
        html.escape(part.strip()) for part in ((shown["description"] or "")[:cut], (shown["description"] or "")[cut:])
    ]
    return f"""<aside class="similar"><h2>You may also like</h2><dl><dt>Price</dt><dd>€ 1</dd></dl></aside>
<main><article class="listing"><h1>{text["title"]}</h1><p class="place">{text["city"]}</p>
<dl>{facts}</dl>
<div class="description">{"".join(f"<p>{part}</p>" for part in paragraphs)}</div></article></main>"""


def meridian_page(shown: dict[str, str | None]) -> str:
    """An advert in the second layout: a table in a `section` with microdata, whose rows and cells have no end tags."""
    text = {name: html.escape(value or "&nbsp;").replace("&amp;nbsp;", "&nbsp;") for name, value in shown.items()}
    labels = {
        "listed": "Online since",
        "energy": "Energy rating",
        "area": "Living space",
        "price": "Purchase price",
        "rooms": "No. of rooms",
    }
    rows = "\n".join(f"<tr><th>{label}:<td>{text[name]}" for name, label in labels.items())
    return f"""<main><section class="object"><h2 itemprop="name">{text["title"]}</h2>
<table><tr><th>Reference:<td>M{len(text["title"])}
{rows}</table>
<address>Located in <span itemprop="addressLocality">{text["city"]}</span></address>
<div itemprop="description">{text["description"]}</div></section></main>
<footer><table><tr><th>Purchase price:<td>from 1 €</table></footer>"""


class Served:
    """A running server: its address, and every request that it has answered, in order, as (target, status)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.log: list[tuple[str, int]] = []

    def answered(self) -> Counter[str]:
        """How often each target was answered for good: not with 429 or 5xx, and not too late (status 0)."""
        return Counter(target for target, status in self.log if 0 < status < 500 and status != 429)


@contextmanager
def serve(site: ListingSite, patience: float = 10.0) -> Iterator[Served]:
    """Serve the site on a free port of this machine, for the length of a `with` block.

    A reply's `seconds` are not waited for but sent along, in the header `LATENCY_HEADER`.

    Args:
        site: what to serve.
        patience: a reply that takes longer than this many seconds is logged with status 0: nobody waited for it.
    """
    lock, earlier = threading.Lock(), Counter[str]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # the name is the standard library's
            with lock:
                reply = site.reply(self.path, earlier[self.path])
                earlier[self.path] += 1
                served.log.append((self.path, reply.status if reply.seconds <= patience else 0))
            body = reply.body.encode()
            self.send_response(reply.status)
            headers = {"Content-Type": "text/html; charset=utf-8", **reply.headers}
            for name, value in {
                **headers,
                LATENCY_HEADER: str(reply.seconds),
                "Content-Length": str(len(body)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Served(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
