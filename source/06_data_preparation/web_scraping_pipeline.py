# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A web scraping pipeline
#
# You will build a pipeline that turns three property sites into one clean data set: a parser for two page layouts, a crawler that keeps to the rules of its host, a rate limit and a retry policy, a Scrapy spider that survives a power cut without fetching a page twice, a validator that says why it refuses a row, a finder of near-duplicates, a quality score and a check that no test question has leaked into the data. At the end you write the data card. The sites are invented, come from a seed and run on this machine, but their faults are those of real ones: missing fields, three number formats, broken and slow pages, copies, spam, an endless calendar. And because they are invented, they know the truth, so each stage of the pipeline can be measured.
#
# Time is simulated: where a crawler would wait, a number goes up. Later exercises call earlier pieces as `reference.name`, for example `reference.page_links`. That module holds the course's own solutions, so an exercise that you have not solved never blocks the next one.

# %% tags=["parameters"] nbgrader={"grade": false, "grade_id": "web-scraping-parameters", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
SCALE = "cpu"  # "gpu" makes the site four times as large; nothing in this lab uses a GPU

# %% nbgrader={"grade": false, "grade_id": "web-scraping-imports", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
import hashlib
import json
import random
import re
from collections import Counter
from datetime import date, datetime
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

import numpy as np
import scrapy
from bs4 import BeautifulSoup, Tag
from datasketch import MinHash
from protego import Protego
from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator, model_validator

from llmlabs.lab import listing_experiments as show
from llmlabs.lab.comparing import assert_same
from llmlabs.lab.crawling import crawl, new_journal, spider_step
from llmlabs.lab.listing_site import CRAWL_DATE, FIELDS, LABELS, ListingSite, harbour_page, meridian_page, serve
from llmlabs.lab.pieces import own_pieces
from llmlabs.lab.plotting import use_course_style
from llmlabs.lab.reference import web_scraping_pipeline as reference
from llmlabs.lab.testing import raised_by, seed

use_course_style()
site = ListingSite(seed=0, homes=600 if SCALE == "gpu" else 150)
print(f"{len(site.adverts)} adverts:", dict(Counter(advert.agency for advert in site.adverts)))
print(site.reply("/meridian/objects?page=2").body[:420])

# %% [markdown]
# ## 1. From pages to rows
#
# A page is made for eyes, a row for programs. **Beautiful Soup** reads HTML into a tree of tags, and CSS selectors find their way in it: `h1` (a tag), `.place` (a class), `[itemprop=name]` (an attribute), `main a[href]` (an `a` with an `href` somewhere inside `main`), a comma for "or". Our agencies use two layouts:
#
# | | Harbour Homes | Meridian Estates |
# |---|---|---|
# | the advert | `article.listing` | `section.object` |
# | title | `h1` | `[itemprop=name]` |
# | city | `.place` | `[itemprop=addressLocality]` |
# | description | `.description` | `[itemprop=description]` |
# | a label and its value | `<dt>` and `<dd>` | `<th>` and `<td>` |
#
# Three traps. *Other adverts on the page*: "you may also like" has prices, too, so look only inside the advert. *Missing values*: a label may stand without a value. *Missing end tags*: HTML allows `</td>`, `</dd>` and some others to be left out. Python's own `html.parser` then nests the cells in each other; the parser `lxml` knows the rule.
#
# Links need care as well. One page has many names: `/flat/7`, `/flat/7#map` (a place in the page), `/flat/7?utm_source=mail` (a note for the statistics of a newsletter). A crawler that takes them for three pages fetches it three times.
#
# **By hand.** `<dl><dt>Price<dd>€ 450,000<dt>Rooms</dt><dt>Energy class<dd>B</dl>` has three labels and two values. Pairing first with first and second with second makes the number of rooms "B". Ask each label for its *next sibling* instead: that of "Rooms" is another label, so the rooms are missing. And on the page `http://a.test/list/?page=2` the link `../flat/7?utm_source=mail&floor=2#map` means `http://a.test/flat/7?floor=2`.
#
# <details><summary>Hint 1</summary><code>BeautifulSoup(html, "lxml")</code>; <code>page.select_one("h1, [itemprop=name]")</code> is the first match or None. <code>" ".join(tag.get_text(" ").split())</code> collapses white space, hard spaces included.</details>
# <details><summary>Hint 2</summary>For each <code>label</code> of <code>page.select("dt, th")</code> look at <code>label.find_next_sibling()</code>: is its <code>.name</code> dd or td?</details>
# <details><summary>Hint 3</summary><code>urlsplit(urljoin(url, href))</code> has <code>.netloc</code> and <code>.query</code>; its <code>._replace(query=..., fragment="").geturl()</code> is text again. <code>dict.fromkeys</code> drops repeats and keeps the order.</details>


# %% nbgrader={"grade": false, "grade_id": "scrape-parse", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def parse_listing(html: str) -> dict[str, str | None] | None:
    """Read the advert of a page (html) of either layout, see the table; </td>, </th>, </tr> and </dd> may be missing.

    Return a dict with every name of FIELDS: the texts of the tag and of the tags in it, spaces between them, white space
    collapsed to single spaces; None where there is no tag or no text. LABELS turns a label's text, read in the same way,
    without a ":" at its end, into a name; ignore others. Only the inside of the advert counts. Without an advert: None.

    Example: <article class=listing><h1>Flat</h1><dl><dt>Rooms:<dd> 2 </dl></article> has title "Flat", rooms "2", else None.
    """
    ### BEGIN SOLUTION
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
    ### END SOLUTION


def page_links(html: str, url: str) -> list[str]:
    """Return the absolute addresses that a crawler should follow from a page (html) with the address url.

    They are those of every <a href> inside <main>, in order, each once. Left out: links whose rel says nofollow, and
    links to another host or port (mailto: has none). Removed: the fragment (#...) and every parameter that starts with
    utm_; the other parameters stay as they are and in order."""
    ### BEGIN SOLUTION
    found = []
    for tag in BeautifulSoup(html, "lxml").select("main a[href]"):
        link = urlsplit(urljoin(url, str(tag["href"])))
        if link.netloc == urlsplit(url).netloc and "nofollow" not in (tag.get("rel") or ""):
            query = "&".join(part for part in link.query.split("&") if not part.startswith("utm_"))
            found.append(link._replace(query=query, fragment="").geturl())
    return list(dict.fromkeys(found))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scrape-parse-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
adverts: list = [("<h1>Flat</h1><dl><dt>Rooms:<dd> 2 </dl>", {"title": "Flat", "rooms": "2"})]
adverts += [("<dl><dt>Price<dd>€ 4<dt>Rooms</dt><dt>Energy class<dd>B</dl>", {"price": "€ 4", "energy": "B"})]
### BEGIN HIDDEN TESTS
n = np.random.default_rng(seed("scrape-parse-example")).integers(10, 99)
adverts += [(f"<p class=place>{n} Rue<dl><dt>Listed<dd>{n}</dl>", {"city": f"{n} Rue", "listed": f"{n}"})]
### END HIDDEN TESTS
for html, right in adverts:
    got, why = parse_listing(f"<article class=listing>{html}</article>"), "is a value the next sibling of its label?"
    assert_same(got, {**dict.fromkeys(FIELDS), **right}, f"the advert {html}", why)
got = page_links('<main><a href="../flat/7?utm_source=mail&floor=2#map">x</a></main>', "http://a.test/list/?page=2")
assert_same(got, ["http://a.test/flat/7?floor=2"], "the link by hand", "relative to the page? no utm_, no fragment?")

# %% nbgrader={"grade": true, "grade_id": "scrape-parse-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: pages of both layouts of another site, with gaps, nested tags, decoys and no end tags; links of all kinds.
### BEGIN HIDDEN TESTS
other = ListingSite(seed=seed("scrape-parse-properties"), homes=40)
why = "labels paired by position? a decoy outside of the advert? is the parser lxml? white space collapsed?"
for number, page in enumerate([harbour_page, meridian_page] * 9):
    shown = {**other.adverts[number].shown, **({FIELDS[number // 2]: None} if number < 16 else {})}
    assert_same(parse_listing(page(shown)), shown, f"advert {number} as a {page.__name__.replace('_', ' ')}", why)
tags = "<h1>Homes</h1><p class=place>Top</p><section class=object><h2 itemprop=name>A <b>tall</b>\n&nbsp;house<br>here</h2><th>Rooms<td>  <th>Pricex:<td>3<th> Living\n area:<td>7</section>"
right, why = {**dict.fromkeys(FIELDS), "title": "A tall house here", "area": "7"}, "blank is None? space between tags?"
for html, row in ((tags, right), ("<main><h1>Sorry</h1><dl><dt>Price<dd>1</dl></main>", None)):
    assert_same(parse_listing(html), row, html, why)
hrefs = "b?utm_a=1&k=2&utm_b=3&j=%C3%A9&j= / #top http://a.test:81/x/b?k=2&j=%C3%A9&j= ?utm=utm_1 //b.test/c mailto:a@a.test http://a.test/x ../y/z.html?utm_c=5#e http://a.test:81/"
html = "".join(f'<p><a class=k href="{href}">x</a></p>' for href in hrefs.split())
html = f'<a href=/out>x</a><main>{html}<a rel="external nofollow" href=/no>x</a><a name=k>x</a><a rel=next href=/yes>x</a></main>'
paths = ["/x/b?k=2&j=%C3%A9&j=", "/", "/x/list?page=2", "/x/list?utm=utm_1", "/y/z.html", "/yes"]
why = "same host and port? only in main? in order, each once? only parameters with utm_ removed? nofollow among others?"
got, right = page_links(html, "http://a.test:81/x/list?page=2"), [f"http://a.test:81{path}" for path in paths]
assert_same(got, right, f"{html} on http://a.test:81/x/list?page=2", why)
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** One home, advertised by both agencies: the same truth in two layouts and two number formats.

# %% nbgrader={"grade": false, "grade_id": "web-scraping-two-layouts", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
pages: dict[int, dict] = {}
for advert in (one for one in site.adverts if one.agency != "api" and not one.fault):
    pages.setdefault(advert.home, {})[advert.agency] = parse_listing(site.reply(advert.path).body)
both = next(pair for pair in pages.values() if len(pair) == 2 and all(pair.values()))
print(*(" | ".join(str(text) for text in list(pair.values())[:7]) for pair in both.values()), sep="\n")
print(*page_links(site.reply("/meridian/objects").body, "http://site/meridian/objects")[-4:], sep="\n")

# %% [markdown]
# *Think:* the last lines show where a crawler would go next. Which of them should it not enter, and how can it know?
#
# ## 2. May I? The rules of the house
#
# A site says in `/robots.txt` what it does not want crawled (RFC 9309). It is a request, not a lock; a crawler that ignores it is soon locked out, and in some places it is a matter of law. The file is a list of **groups**: one or more `User-agent` lines with the names of crawlers, then rules.
#
# - The group that names you counts; if none does, that of `*`; if there is none, all is allowed. Groups with the same name are joined.
# - A rule's pattern matches from the start of the path (with its query). `*` stands for any characters, a `$` at the end for the end of the path.
# - **The longest pattern that matches decides**; if an `Allow` and a `Disallow` are equally long, `Allow`. Nothing matches: allowed. The order does not matter.
# - `Crawl-delay`, which is older than the RFC and widely used: seconds between two requests. Scrapy leaves it to you.
#
# **By hand.** `Disallow: /owners/` (8 characters) and `Allow: /owners/faq` (11): `/owners/faq.html` is allowed, since 11 is longer than 8; `/owners/login` is not. `Disallow: /*.pdf$` forbids `/a/b.pdf`, not `/a/b.pdf?x=1`. An empty `Disallow:` forbids nothing.
#
# <details><summary>Hint 1</summary>Keep the names of the current group in a list. A <code>User-agent</code> line after a rule starts a new group, after another <code>User-agent</code> line it adds a name.</details>
# <details><summary>Hint 2</summary><code>re.escape(pattern)</code> makes a pattern literal; put <code>.*</code> back in for <code>\*</code>, and <code>$</code> for <code>\$</code> at its end. <code>re.match</code> begins at the start.</details>
# <details><summary>Hint 3</summary><code>max</code> of the pairs (length, allowed) of the rules that match finds the longest; of equal ones True, because True is above False.</details>


# %% nbgrader={"grade": false, "grade_id": "scrape-robots", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
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
    ### BEGIN SOLUTION
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
    ### END SOLUTION


def may_fetch(rules: list[tuple[bool, str]], path: str) -> bool:
    """Say whether rules (those of read_robots) allow a path, which includes its query: "/list?page=2"."""
    ### BEGIN SOLUTION
    longest = (0, True)
    for allowed, pattern in rules:
        literal = re.escape(pattern.removesuffix("$")).replace(r"\*", ".*") + ("$" if pattern.endswith("$") else "")
        if re.match(literal, path):
            longest = max(longest, (len(pattern), allowed))
    return longest[1]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scrape-robots-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
text = "User-agent: *\nDisallow: /owners/ # private\nAllow: /owners/faq\nDisallow: /*.pdf$\nCrawl-delay: 2"
by_hand = [(False, "/owners/"), (True, "/owners/faq"), (False, "/*.pdf$")]
assert_same(read_robots(text, "LabBot"), (by_hand, 2.0), f"read_robots({text!r}, 'LabBot')", "without comments?")
paths = {"/owners/faq.html": True, "/owners/login": False, "/a/b.pdf": False, "/a/b.pdf?x=1": True, "/": True}
### BEGIN HIDDEN TESTS
paths |= {f"/owners/{np.random.default_rng(seed('scrape-robots-example')).integers(10, 99)}": False}
### END HIDDEN TESTS
for path, right in paths.items():
    assert_same(may_fetch(by_hand, path), right, f"may_fetch({by_hand}, {path!r})", "the longest that matches decides")

# %% nbgrader={"grade": true, "grade_id": "scrape-robots-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: groups, names, comments, empty and foreign fields, empty delays; random rules and paths against Protego, Scrapy's parser.
### BEGIN HIDDEN TESTS
text = "Disallow: /early\nuser-AGENT: One\nSitemap: http://a.test/map\nUser-agent: Two\nDISALLOW:/x:y#c\nAllow:\ncrawl-delay: 1.5\n\nNoindex: /n\nUser-agent: *\nDisallow: /\nUser-agent: three\nCrawl-delay: 9\nDisallow:\nUser-agent: two\n Allow : /b \nCrawl-delay: 4\nUser-agent: five\nAllow: /c\nUser-agent: six\nDisallow:\nUser-agent: seven\nDisallow: /d\n"
groups: dict = {"one": ([(False, "/x:y")], 1.5), "TWO": ([(False, "/x:y"), (True, "/b")], 4.0), "three": ([], 9.0)}
groups |= {"four": ([(False, "/")], 0.0), "thr": ([(False, "/")], 0.0), "five": ([(True, "/c")], 0.0), "six": ([], 0.0)}
why = "a group begins at a User-agent after a rule; same names are joined; * only if nobody is named; empty rules go"
for agent, right in groups.items():
    assert_same(read_robots(text, agent), right, f"read_robots({text!r}, {agent!r})", why)
got = read_robots("User-agent: x\nDisallow: /", "y"), *(may_fetch([(False, p)], "/$q") for p in ("/*?q", "/*$q", "$"))
assert_same(got, (([], 0.0), True, False, True), "rules for y, if x is named; '/$q' against '/*?q', '/*$q' and '$'")
rng = random.Random(seed("scrape-robots-properties"))
for _ in range(25):
    parts = [rng.choices(["a", "b", "a/", "*", "a.b", "-"], k=rng.randint(0, 4)) for _ in range(6)]
    rules = [(rng.random() < 0.5, f"/{''.join(part)}{rng.choice(['', '', '$'])}") for part in parts]
    rules += [(not allowed, pattern) for allowed, pattern in rules[:2]]
    judge = Protego.parse("User-agent: *\n" + "\n".join(f"{'Allow' if a else 'Disallow'}: {p}" for a, p in rules))
    for parts in [rng.choices(["a", "b", "a/", "a.b", "axb", "-"], k=rng.randint(0, 5)) for _ in range(5)]:
        path, why = f"/{''.join(parts)}", "longest match? Allow if equal? from the start? a dot is a dot? $ the end?"
        assert_same(may_fetch(rules, path), judge.can_fetch(path, "x"), f"may_fetch({rules}, {path!r})", why)
text = "User-agent: x\nCrawl-delay: # soon\nUser-agent: y\nCrawl-delay: 3\nCrawl-delay:\nDisallow: /"
why = "an empty Crawl-delay is left out; a User-agent after it begins a group"
got = [read_robots(text, agent) for agent in "xy"]
assert_same(got, [([], 0.0), ([(False, "/")], 3.0)], f"what {text!r} says to x and to y", why)
### END HIDDEN TESTS

# %% nbgrader={"grade": false, "grade_id": "web-scraping-robots-table", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
rules, pause = read_robots(site.reply("/robots.txt").body, "LabBot")
for path in ("/harbour/?page=2", "/harbour/calendar?month=7", "/meridian/owners/login", "/meridian/owners/faq.html"):
    print(f"{path:30} {f'allowed, every {pause:g} s' if may_fetch(rules, path) else 'forbidden'}")

# %% [markdown]
# ## 3. Not too fast, and again if it fails
#
# **Token bucket.** A bucket holds at most $C$ tokens (`capacity`) and gains $r$ a second (`rate`); a request takes one. Short bursts of $C$ pass at once, in the long run $r$ a second. Let $b$ be the level, full at the start, and $t_0$ the time of the last request. A request at time $t$ reserves its token even if it has to wait for it, so $b$ may become negative, a queue:
#
# $$b \leftarrow \min\bigl(C,\; b + r\,(t - t_0)\bigr) - 1, \qquad t_0 \leftarrow t, \qquad \text{wait} = \max\bigl(0,\; -b / r\bigr) \text{ seconds}$$
#
# **Back-off.** A page that failed may come later. Retry what passes by itself: no answer in time, and the statuses 408 (timeout), 429 (too many requests), 500, 502, 503, 504 (trouble of the server); never 404, which stays. After the $f$-th failure in a row draw $u$ from $[0, 1)$ and wait
#
# $$\text{delay} = \max\bigl(u \cdot \min(\text{cap},\; \text{base} \cdot 2^{f-1}),\; \text{Retry-After}\bigr)$$
#
# The doubling gives an overloaded server time to recover. The random $u$ is **jitter**: without it all clients that failed together come back together. `Retry-After` is what the server asks for, in seconds, 0 if it asks for nothing.
#
# **By hand.** $r = 2$, $C = 3$, five requests at $t = 0$: levels $2, 1, 0, -1, -2$, waits $0, 0, 0, \frac12, 1$. At $t = 10$ the bucket is full again, but no more than full: level $3 - 1$, wait 0. Third failure, base 1, $u = \frac12$: $\frac12 \cdot 2^2 = 2$ s; if the server asked for 30 s, 30.
#
# <details><summary>Hint 1</summary>Three attributes beside rate and capacity are too many: the level and the time of the last request will do. Any time before the first request gives the same, for the bucket is full.</details>
# <details><summary>Hint 2</summary><code>asked or 0.0</code> turns None into 0. Decide first whether to retry at all.</details>


# %% nbgrader={"grade": false, "grade_id": "scrape-limits", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
class TokenBucket:
    """A rate limit that workers can share, without a clock: TokenBucket(rate, capacity) starts full.

    rate: tokens a second, above 0. capacity: the most that it holds, at least 1. wait(now) takes a token at the time now
    (seconds, at least 0 and never below that of the call before) and returns the seconds until the token is there.
    """

    def __init__(self, rate: float, capacity: int) -> None:
        ### BEGIN SOLUTION
        self.rate, self.capacity = rate, capacity
        self.level, self.last = float(capacity), 0.0
        ### END SOLUTION

    def wait(self, now: float) -> float:
        ### BEGIN SOLUTION
        self.level = min(self.capacity, self.level + self.rate * (now - self.last)) - 1
        self.last = now
        return max(0.0, -self.level / self.rate)
        ### END SOLUTION


def retry_delay(
    status: int | None, failures: int, asked: float | None, u: float, base: float = 1, cap: float = 60, most: int = 5
) -> float | None:
    """Return the seconds to wait before the next attempt at a page that did not come, or None to give up, see above.

    status: of the answer; None if there was none in time. Give up at once if it is not one that passes by itself.
    failures: how often in a row this page has failed, at least 1; from `most` on, give up. asked: the seconds that the
    server asked for (Retry-After), or None. u: a random number from [0, 1). base, cap: seconds, see the formula."""
    ### BEGIN SOLUTION
    if status not in (None, 408, 429, 500, 502, 503, 504) or failures >= most:
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scrape-limits-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
bucket, waits = TokenBucket(2.0, 3), [(0.0, 0), (0.0, 0), (0.0, 0), (0.0, 0.5), (0.0, 1), (10.0, 0)]
delays: list = [((503, 3, None, 0.5), 2), ((503, 3, 30.0, 0.5), 30), ((404, 1, None, 0.5), None)]
### BEGIN HIDDEN TESTS
u = float(np.random.default_rng(seed("scrape-limits-example")).uniform(0.1, 0.9))
waits, delays = [*waits, (10.0, 0), (10.0, 0), (10.0, 0.5)], [*delays, ((429, 2, None, u), 2 * u)]
### END HIDDEN TESTS
why = "full at the start, never above capacity, one token a request, below 0 while requests queue; wait = -level / rate"
for now, right in waits:
    assert_same(bucket.wait(now), right, f"rate 2, capacity 3, the next wait at t = {now} of {waits}", why, 1e-9)
for given, right in delays:
    assert_same(retry_delay(*given), right, f"retry_delay{given}", "u times base doubled f - 1 times, or asked", 1e-9)

# %% nbgrader={"grade": true, "grade_id": "scrape-limits-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: waits against another formula, idle times, two buckets at once; every status, cap, base, limits, Retry-After. Sums near 4000 are exact to 1e-11.
### BEGIN HIDDEN TESTS
rng = random.Random(seed("scrape-limits-properties"))
for rate, capacity in ((0.5, 1), (3.0, 4)):
    bucket, busy, now, due = TokenBucket(rate, capacity), TokenBucket(1.0, 1), 1000.0 * capacity, 0.0
    for _ in range(15):
        now += rng.choice([0.0, 0.0, 0.3, rng.random(), 5.0]) / rate
        busy.wait(now)  # another site's bucket
        due = max(due, now)  # the same limit as a queue: a request is due 1 / rate after the one before
        right, due = max(0.0, due - now - (capacity - 1) / rate), due + 1 / rate
        assert_same(bucket.wait(now), right, f"rate {rate}, capacity {capacity}, t = {now}", "debt? its own?", 1e-8)
u = rng.uniform(0.2, 0.9)
trials: list = [((status, 1, None, u), {}, u) for status in (None, 408, 429, 500, 502, 503, 504)]
trials += [((status, 1, None, u), {}, None) for status in (200, 301, 404, 407, 409, 410, 428, 430, 499, 501, 505)]
trials += [((500, f, None, u), {}, u * 2 ** (f - 1) if f < 5 else None) for f in range(1, 7)]
trials += [((500, f, None, u), {"most": 99}, u * min(60, 2 ** (f - 1))) for f in (6, 7, 30)]
trials += [((None, 3, None, u), {"base": 3.0, "cap": 7.0}, u * 7.0), ((None, 2, None, u), {"base": 0.3}, u * 0.6)]
trials += [((429, 4, 1e-3, u), {}, u * 8), ((429, 1, 500.0, u), {}, 500.0), ((429, 2, 500.0, u), {"most": 2}, None)]
why = "does it pass by itself? doubled from base? cap before u? Retry-After is a minimum? most counts failures?"
for given, options, delay in [*trials, ((503, 1, None, 0.0), {}, 0.0)]:
    assert_same(retry_delay(*given, **options), delay, f"retry_delay{given}, {options}", why, 1e-9)
### END HIDDEN TESTS

# %% [markdown]
# **Use it: many workers, one limit.** Large crawls are *distributed*: each worker takes its share of the pages. Split by a hash of the host, each host has one worker, and a bucket a worker is enough. If the pages of one host are spread over four workers with a bucket each, the host sees four times the rate; one bucket for all keeps the promise.
#
# **Use it: a herd.** A hundred clients meet a server that answers ten requests a second and says 503 to the rest. All retry as you do, but never give up (`most` is 100), once without jitter ($u = 1$) and once with it. The picture shows seconds 1 to 65.

# %% nbgrader={"grade": false, "grade_id": "web-scraping-herd", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
for name, buckets in (("a bucket each", [TokenBucket(0.5, 1) for _ in "abcd"]), ("one for all", [TokenBucket(0.5, 1)])):
    sent = sum(buckets[i % len(buckets)].wait(0.0) < 20 for i in range(200))
    print(f"four workers, {name}: {sent} requests in the first 20 s")
show.herds(retry_delay)

# %% [markdown]
# *Think:* without jitter, 90 of the 100 clients fail together and stay together. What does the server do in the long pauses between?
#
# ## 4. A spider that survives a power cut
#
# **Scrapy** runs the crawl: it keeps the queue, drops addresses that it has seen, asks `robots.txt`, counts, and calls your spider for each page that has come. `parse` is a generator: each dict that it yields is an *item*, each `scrapy.Request` is put into the queue. Our third source is an API: no layout, but JSON pages linked by a *cursor*. One spider aggregates all three.
#
# **Resuming.** A crawl of days will be interrupted. If every page goes into a *journal* as soon as it has come, a new run takes from there what it has, and asks the site only for the rest. The journal is a file of lines that only grows, one JSON object a line. When the power goes in the middle of a write, the last line is torn: it has no line end. Reading must skip it, and say where the whole lines end, so that the file can be cut there; otherwise the next page is glued to the torn half and is lost, too.
#
# **By hand.** The file `{"url": "a"}⏎{"ur` has one whole line of 13 bytes (12 and the line end). The journal holds page "a", and is cut to 13 bytes.
#
# (A page that was on its way when the power went has to be fetched again: without the other side's help nobody can tell it from one that was never asked for. What is in the journal is never asked for again.)
#
# <details><summary>Hint 1</summary><code>data.rfind(b"\n")</code> is the place of the last line end, -1 if there is none. Split the bytes, not the text: a text's <code>splitlines</code> also splits at other characters than <code>\n</code>, which JSON leaves alone.</details>
# <details><summary>Hint 2</summary><code>response.headers.get("Content-Type", b"")</code> are bytes; <code>response.json()</code>, <code>response.text</code>, <code>response.url</code> and <code>response.urljoin(path)</code> do the rest.</details>


# %% nbgrader={"grade": false, "grade_id": "scrape-spider", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
class ListingSpider(scrapy.Spider):
    """Turns the pages of all three sources into items and requests."""

    name = "listings"

    def parse(self, response: Any) -> Any:
        """Yield what a page (the response) holds. Use reference.parse_listing and reference.page_links.

        For a JSON page ("json" is in its content type), {"listings": [record, ...], "next": address or null}: each record
        with its "url" made absolute; then, if there is a next, a scrapy.Request for it (absolute).
        For any other, an HTML page: if it has an advert, the item {"url": response.url, **fields}; then a request for each
        of its links. If it has neither advert nor links, the item {"url": response.url, "error": "no advert, no links"}.
        Leave the option dont_filter of requests alone: Scrapy is to drop those that it has seen.
        """
        ### BEGIN SOLUTION
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            links = [response.urljoin(page["next"])] if page["next"] else []
        else:
            row, links = reference.parse_listing(response.text), reference.page_links(response.text, response.url)
            if row:
                yield {"url": response.url, **row}
            elif not links:
                yield {"url": response.url, "error": "no advert, no links"}
        yield from map(scrapy.Request, links)
        ### END SOLUTION


def read_journal(data: bytes) -> tuple[dict[str, dict], int]:
    """Read a journal: data, maybe empty, are lines of JSON, one page (a dict with a "url") each; the last may be torn.

    Return (pages, whole): the pages by url, of several with one url the last; and the number of bytes of whole lines."""
    ### BEGIN SOLUTION
    whole = data.rfind(b"\n") + 1
    pages = [json.loads(line) for line in data.split(b"\n")[:-1]]
    return {page["url"]: page for page in pages}, whole
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scrape-spider-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
for data, read in ((b'{"url": "a"}\n{"ur', ({"a": {"url": "a"}}, 13)), (b"", ({}, 0)), (b'{"ur', ({}, 0))):
    assert_same(read_journal(data), read, f"read_journal({data!r})", "whole: with a line end, which counts; by url")
advert, url = "<article class=listing><h1>Flat</h1></article><a href=/b>x</a>", "http://a.test/x/y"
steps: dict = {advert: [{"url": url, **dict.fromkeys(FIELDS), "title": "Flat"}, "http://a.test/b"]}
steps |= {"Sorry": [{"url": url, "error": "no advert, no links"}]}
### BEGIN HIDDEN TESTS
n = int(np.random.default_rng(seed("scrape-spider-example")).integers(10, 99))
steps |= {f"<a href=?page={n}>x</a><a href={n}>x</a>": [f"{url}?page={n}", f"http://a.test/x/{n}"]}
### END HIDDEN TESTS
for html, found in steps.items():
    got, why = spider_step(ListingSpider, url, "text/html", f"<main>{html}</main>"), "advert first; a request a link"
    assert_same(got, found, f"what parse yields for <main>{html}</main> at {url}", why)

# %% nbgrader={"grade": true, "grade_id": "scrape-spider-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: all three kinds of page of another site, the end of an API; journals torn at many places, repeats, odd characters.
### BEGIN HIDDEN TESTS
other, host = ListingSite(seed=seed("scrape-spider-properties"), homes=60), "http://b.test:8"
advert = next(one for one in other.adverts if one.agency == "meridian" and one.path not in other.troubles)
found = spider_step(ListingSpider, f"{host}{advert.path}?k", "text/html", other.reply(advert.path).body)
assert_same(found, [{"url": f"{host}{advert.path}?k", **advert.shown}], "what parse yields for an advert without links")
index = other.reply("/meridian/objects").body
found, links = spider_step(ListingSpider, host, "", index), reference.page_links(index, host)
assert_same(found, links, "what parse yields for an index page without a content type", "a request a link")
for following, kind in (("/api/listings?cursor=7", "application/json"), (None, "application/json; charset=utf-8")):
    records: list = [{"url": one.path, **one.shown} for one in other.adverts[:3]]
    items = [{**one, "url": host + one["url"]} for one in records] + ([host + following] if following else [])
    found = spider_step(ListingSpider, f"{host}/feed/", kind, json.dumps({"listings": records, "next": following}))
    assert_same(found, items, f"what parse yields for {kind} with next {following}", "absolute? all fields? no next?")
stored: list = [{"url": f"u{i % 4}", "status": i, "text": f'\u2028\r\n\x85 "{i}\\né'} for i in range(5)]
lines = [json.dumps(page, ensure_ascii=page["status"] % 2 > 0).encode() + b"\n" for page in stored]
ends, journal = [0, *np.cumsum([len(line) for line in lines]).tolist()], b"".join(lines)
for cut in sorted({max(0, end + step) for end in ends for step in (-4, -1, 0, 1)}):
    whole, why = max(end for end in ends if end <= cut), "lines end at \\n only; bytes count; the last page of a url"
    left = {page["url"]: page for page in stored[: ends.index(whole)]}
    assert_same(read_journal(journal[:cut]), (left, whole), f"a journal cut after {cut} bytes", why)
### END HIDDEN TESTS

# %% [markdown]
# **Use it: your crawl, interrupted.** A server on this machine answers, and logs every request. Scrapy runs your spider, asks your `may_fetch`, waits as your bucket says, retries as you decide, and appends every page to a journal that your `read_journal` reads at the start. After 60 pages the power goes, in the middle of a line. Then we start again, with nothing but the journal.

# %% nbgrader={"grade": false, "grade_id": "web-scraping-crawl", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
journal = new_journal()
with serve(site) as server, own_pieces(reference, globals()):
    starts = [server.url + path for path in ("/harbour/", "/meridian/objects", "/api/listings")]
    first = crawl(reference, starts, journal, pages=60)
    requests = len(server.log)
    journal.write_bytes(journal.read_bytes() + b'{"url": "http://torn')
    second = crawl(reference, starts, journal)
raw, answered = [{**item, "url": item["url"].removeprefix(server.url)} for item in second.items], server.answered()
print(f"run 1: {requests} requests, {len(first.items)} items, {first.seconds:.0f} s; then the power goes")
print(f"run 2: {len(server.log) - requests} requests, {len(raw)} items, {second.seconds:.0f} s:", second.waited)
print("statuses (0: too late):", Counter(status for _, status in server.log), "given up:", second.given_up)
trespass = [path for path, _ in server.log if re.search("calendar|owners|sort=", path)]
missed = {advert.path for advert in site.adverts} - site.lost() - {item["url"] for item in raw}
print(f"{len(answered)} pages answered, the most frequent {max(answered.values())} time; {len(missed)} adverts missed")
assert max(answered.values()) == 1 and not trespass and not missed, "a page came twice, or was forbidden, or is missing"
assert np.diff(second.started).min() > pause - 1e-9, "two requests were less than the delay apart"

# %% [markdown]
# *Think:* the run took minutes of simulated time for about two hundred pages. Which of the three kinds of waiting would more workers shorten, and which not?
#
# ## 5. Rows that can be trusted
#
# What came is text, and some of it is nonsense. A **validator** turns each row into typed values or refuses it; a refused row goes into **quarantine** with its reasons, because a reason that comes up often is a fault of the parser or of the source that somebody can mend. **Pydantic** does the work: a class with a type for each field, bounds in `Field(...)`, and methods marked as validators for what types cannot say.
#
# *Numbers.* The same price is `€ 450,000`, `450.000 €` or `450000.00`. Our rule: the first run of digits, commas, dots and white space (hard spaces, too) that begins with a digit is the number (white space at its end does not count). If it ends in a comma or dot and one or two digits, that is the decimal separator; every other comma, dot or space groups thousands. *Units.* An area in `sq ft` is multiplied by 0.09290304 to give m². *Dates.* `2026-10-31`, `2026-10-31T08:00:00Z` and `31.10.2026` are one day. *Rules across fields.* A nought too many gives a price that is possible, and an area that is possible; only their ratio is not.
#
# **By hand.** `1.250,5`: ends in a comma and one digit, so 1250.5. `1,250`: three digits, so 1250. `1 250 000 €`: 1,250,000. An area of `1,000 sq ft` is 92.9 m². A flat of 50 m² for 2,100,000 € costs 42,000 €/m²: refused.
#
# <details><summary>Hint 1</summary><code>re.search(r"\d[\d.,\s]*", text)</code> finds the first number with its separators; <code>\s</code> includes hard spaces. Then <code>re.search(r"[.,](\d{1,2})$", number)</code>: is there a decimal part?</details>
# <details><summary>Hint 2</summary><code>@field_validator("price", "area", "rooms", mode="before")</code> above a <code>@classmethod</code> sees the raw value. A <code>ValueError</code> that it raises becomes a reason. A missing value (None) is best returned as it is: Pydantic refuses it, unless the type allows None.</details>
# <details><summary>Hint 3</summary><code>ValidationError.errors()</code> is a list of dicts with "loc", a tuple with the field's name, empty for the whole row, and "msg".</details>


# %% nbgrader={"grade": false, "grade_id": "scrape-validate", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def to_number(text: str) -> float:
    """Return the first number of a text by the rule above (hard spaces, too): "1.250,5 m²" -> 1250.5. No digit: ValueError."""
    ### BEGIN SOLUTION
    found = re.search(r"\d[\d.,\s]*", text)
    if not found:
        raise ValueError(f"no number in {text!r}")
    whole, _, decimals = re.sub(r"[.,](\d\d?)$", r"|\1", found[0].strip()).partition("|")
    return float(re.sub(r"\D", "", whole) + "." + decimals)
    ### END SOLUTION


class Listing(BaseModel):
    """A sound advert. All bounds are inclusive; other keys of a row are ignored.

    title, city, url, description: texts, not empty. rooms: 1 to 20 or None. energy: A to G or None; "" and "n/a" mean None.
    price: euros, 10,000 to 20,000,000. area: m², 10 to 1,000, also in sq ft. to_number reads rooms ("2,5"), price and area.
    listed: a date in one of the three forms above, not after CRAWL_DATE. price / area: 1,000 to 15,000.
    """

    ### BEGIN SOLUTION
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

    ### END SOLUTION


def validate_rows(rows: list[dict]) -> tuple[list[dict], list[dict]]:
    """Separate sound rows from others. rows holds texts and None; keys may be missing. No row is changed or stops the run.

    Return (good, quarantine), both in order. For each sound row a dict of the fields of Listing: price, area, rooms as
    numbers, listed as datetime.date. For each other row {"row": it, "reasons": {field: message}} with an entry for each
    field that is wrong or whose key is missing; if only price / area is wrong, the field is "row"."""
    ### BEGIN SOLUTION
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing(**row).model_dump())
        except ValidationError as error:
            reasons = {str([*found["loc"], "row"][0]): found["msg"] for found in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scrape-validate-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
numbers: dict = {"1.250,5": 1250.5, "1,250": 1250, "1 250 000 €": 1250000, "€ 450,000": 450000, "450000.00": 450000}
flat: dict = {**dict.fromkeys(FIELDS, "x"), "url": "u", "area": "1,000 sq ft", "rooms": None, "energy": "B"}
flat["listed"], sound = "31.10.2026", {**flat, "price": 450000, "area": 92.90304, "listed": date(2026, 10, 31)}
prices: dict = {"450.000 €": ([], [sound]), "Price on request": (["price"], []), "45.000 €": (["row"], [])}
### BEGIN HIDDEN TESTS
n = int(np.random.default_rng(seed("scrape-validate-example")).integers(100, 999))
numbers, prices = {**numbers, f"EUR {n},000.5 or less": n * 1000 + 0.5}, {**prices, f"1,{n},0000": (["row"], [])}
### END HIDDEN TESTS
for text, number in numbers.items():
    assert_same(to_number(text), number, f"to_number({text!r})", "decimals: one or two digits at the end", 1e-6)
for text, right in prices.items():
    good, refused = validate_rows([{**flat, "price": text}])
    got, why = ([name for one in refused for name in one["reasons"]], good), "sq ft? rooms None? listed a date? ratio?"
    assert_same(got, right, f"fields with a reason, and sound rows, for the price {text!r} in {flat}", why, 1e-6)

# %% nbgrader={"grade": true, "grade_id": "scrape-validate-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: number formats, both bounds of every field, missing and empty values, dates, all reasons of a row, a whole site.
### BEGIN HIDDEN TESTS
formats: dict = {"7": 7, "€\u00a01\u202f234,50": 1234.5, "1.234.567": 1234567, "0.5 m²": 0.5, "1.5 or 2": 1.5, "7. ": 7}
for text, number in {**formats, "12,345.67": 12345.67, "1,2": 1.2, "12.345": 12345}.items():
    assert_same(to_number(text), number, f"to_number({text!r})", "only the first number? hard spaces group?", 1e-9)
raised = [(raised_by(to_number, text) or ["nothing"])[0] for text in ("", "on request", "€ ,.")]
assert_same(raised, ["ValueError"] * 3, "what to_number raises without a digit")
base: dict = {**dict.fromkeys(FIELDS, "x"), "url": "u", "price": "300,000", "area": "100", "rooms": "3", "energy": "B"}
base["listed"] = "2026-10-31"
values: dict = {**base, "price": 300000.0, "area": 100.0, "rooms": 3.0, "listed": date(2026, 10, 31)}
kept: list = [("energy", text, text if text in [*"ABCDEFG"] else None) for text in (*"ABCDEFG", "", "n/a", None)]
kept += [("rooms", "1", 1), ("rooms", "20", 20), ("rooms", "2,5", 2.5), ("rooms", None, None), ("area", "20,0 m²", 20)]
kept += [("listed", "2026-12-01", CRAWL_DATE), ("listed", "2026-02-03T23:59:59Z", date(2026, 2, 3))]
for field, text, value in [*kept, ("listed", "03.02.2026", date(2026, 2, 3)), ("area", "3000 sq ft", 278.70912)]:
    row, why = {**base, field: text, "more": "x"}, "inclusive? after conversion? other keys gone? row unchanged?"
    expected: list = [[], [{**values, field: value}], dict(row)]
    assert_same([*validate_rows([row])[::-1], row], expected, f"refused, sound, row, for {field}={text!r}", why, 1e-6)
table = "10,000 10 - 9,999.99 9.99 area,price 15,000,000 1,000 - 20,000,001 1,000.01 area,price 20,000,000 1,000 row 100,000 100 - 99,999 100 row 1,500,000 100 - 1,500,001 100 row 9,999 10 price 10,010 1,001 area 9,990,001 999 - 14,990,000 999 row"
for price, area, fields in zip(*[iter(table.split())] * 3, strict=True):
    good, refused = validate_rows([{**base, "price": price, "area": area}])
    got, why = ",".join(sorted(name for one in refused for name in one["reasons"])) or "-", "inclusive? price / area?"
    assert_same(got, fields, f"fields with a reason, for a price of {price} and an area of {area}", why)
table = "energy=H energy=b rooms=0.9 rooms=20.1 rooms=many listed=2026-12-02 listed=2026-02-30 listed=31.11.2026 listed=soon listed= price= area= city= title= url= description= rooms= url=None title=None city=None price=None area=None listed=None description=None url=gone title=gone city=gone price=gone area=gone rooms=gone energy=gone listed=gone description=gone"
wrong = [entry.split("=") for entry in table.split()]
rows: list = [{k: v for k, v in {**base, f: {"None": None}.get(t, t)}.items() if v != "gone"} for f, t in wrong]
rows += [{"url": "u", "error": "no advert"}, {**base, "city": "", "energy": "X", "rooms": "99", "title": None}]
before, (good, refused) = [dict(one) for one in rows], validate_rows([*rows, base])
passed = [wrong[i] for i in range(len(wrong)) if rows[i] not in (quarantined := [one["row"] for one in refused])]
assert_same(passed, [], "faults that are let through")
assert_same((rows, good, quarantined), (before, [values], before), "rows after the call; sound; in quarantine")
names = [[field] for field, _ in wrong] + [sorted({*base} - {"url"}), ["city", "energy", "rooms", "title"]]
for one, fields in zip(refused, names, strict=True):
    assert_same(sorted(filter(one["reasons"].get, one["reasons"])), fields, f"fields with a reason of {one['row']}")
other = ListingSite(seed=seed("scrape-validate-properties"), homes=60).adverts
refused = validate_rows([{"url": advert.path, **advert.shown} for advert in other])[1]
faulty = [advert.path for advert in other if advert.must_be_refused]
assert_same([one["row"]["url"] for one in refused], faulty, "what is refused of a whole site")
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** All that the crawl brought, judged by your validator, and compared with what the site knows to be wrong. (Pages that answered "200 OK" but held no advert are left out here; the spider has marked them.)

# %% nbgrader={"grade": false, "grade_id": "web-scraping-quarantine", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
good, quarantine = validate_rows([item for item in raw if "error" not in item])
reasons = [f"{field}: {text[:50]}" for refused in quarantine for field, text in refused["reasons"].items()]
print(*(f"{count:3}  {reason}" for reason, count in Counter(reasons).most_common()), sep="\n")
planted = {advert.path for advert in site.adverts if advert.must_be_refused} - site.lost()
caught = {refused["row"]["url"] for refused in quarantine}
print(f"{len(good)} sound rows; of {len(planted)} planted faults {len(planted & caught)} caught")
assert caught == planted, "the validator let a fault pass, or refused a sound row"

# %% [markdown]
# ## 6. The same flat twice
#
# Agencies copy each other's texts, drop a sentence, change a word. A model trained on copies learns them by heart, and a test set that shares copies with the training set measures memory. *Exact* copies are found by comparing the words. For *near* copies cut each text into **shingles**, all runs of $k$ words in a row, and compare the sets $A$ and $B$ by their **Jaccard similarity** $J = |A \cap B| / |A \cup B|$.
#
# Sets are large; **MinHash** (Broder 1997) keeps $m$ numbers of each. Let $h(s)$ be a hash of shingle $s$, $0 \le h < 2^{32}$. With $m$ pairs $(a_i, b_i)$ of random numbers shuffle the hashes in $m$ ways and keep the smallest of each:
#
# $$g_i(s) = \bigl((a_i\, h(s) + b_i) \bmod (2^{61} - 1)\bigr) \bmod 2^{32}, \qquad \mathrm{sig}_i(A) = \min_{s \in A} g_i(s)$$
#
# The smallest of $A \cup B$ lies in $A \cap B$ with probability $J$, and then both signatures agree at $i$. So the share of the $m$ places where they agree estimates $J$, with standard error $\sqrt{J(1 - J)/m}$: 0.04 for $m = 128$, $J = 0.7$.
#
# **By hand**, $k = 2$: "the big red house" has {the big, big red, red house}, "the big blue house" {the big, big blue, blue house}. One of five in all: $J = 0.2$.
#
# (The next lab finds the pairs without comparing all; here there are fewer than two hundred texts, and we do compare all.)
#
# <details><summary>Hint 1</summary><code>h</code>: <code>int.from_bytes(hashlib.sha1(shingle.encode()).digest()[:4], "little")</code>. Make <code>h</code> an array of type uint64: with a and b below 2<sup>31</sup> nothing overflows.</details>
# <details><summary>Hint 2</summary><code>a[:, None] * h + b[:, None]</code> has shape (m, number of shingles); the minimum runs along the second axis.</details>
# <details><summary>Hint 3</summary>Keep a dict from a text's words to its first place, and a list of (place, signature) of what was kept.</details>


# %% nbgrader={"grade": false, "grade_id": "scrape-duplicates", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def shingles(text: str, k: int = 3) -> set[str]:
    r"""Return the runs of k words in a row of a text, each joined by single spaces; words are the matches of \w+ in the
    lower-case text. A text of fewer than k words has one shingle: all its words.

    Example: shingles("The big, RED house.", 2)  ->  {"the big", "big red", "red house"}
    """
    ### BEGIN SOLUTION
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}
    ### END SOLUTION


def minhash(items: set[str], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the signature, uint64 of shape (m,), of a set of items (shingles, at least one), see the formula.

    a, b: uint64 of shape (m,), below 2**31. h is the first four bytes of SHA-1 of an item in UTF-8, little-endian."""
    ### BEGIN SOLUTION
    starts = (hashlib.sha1(item.encode()).digest()[:4] for item in items)
    h = np.array([int.from_bytes(start, "little") for start in starts], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % (2**61 - 1)
    return (shuffled % 2**32).min(axis=1)
    ### END SOLUTION


def find_duplicates(texts: list[str], a: np.ndarray, b: np.ndarray, threshold: float) -> list[tuple[str, int] | None]:
    """Say of each of the texts, which come in order of preference, whether it repeats an earlier one.

    Signatures are minhash(shingles(text), a, b). Of each text return ("exact", i) if earlier texts, staying or not, have the
    same words in the same order, i the first of them; else ("near", i) if its signature agrees with that of text i in at
    least the share threshold, i being the one that agrees most of those that stay (of equals the first); else None: it stays.
    """
    ### BEGIN SOLUTION
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
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scrape-duplicates-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
one, two, why = shingles("The big red house", 2), shingles("the big, BLUE house!", 2), "lower case? words only? k?"
assert_same((one & two, len(one | two)), ({"the big"}, 5), "by hand: common shingles, and how many in all", why)
a, b = np.array([3, 5], dtype=np.uint64), np.array([1, 2], dtype=np.uint64)
h, why = int.from_bytes(hashlib.sha1(b"the big").digest()[:4], "little"), "4 bytes, little-endian? a h + b? uint64?"
by_hand = np.array([(3 * h + 1) % 2**32, (5 * h + 2) % 2**32], dtype=np.uint64)
assert_same(minhash({"the big"}, a, b), by_hand, "the signature of {'the big'} for a = 3, 5 and b = 1, 2", why)
given, verdicts = ["a b c d e", "A, b c d e!", "x y z"], [None, ("exact", 0), None]
### BEGIN HIDDEN TESTS
n = int(np.random.default_rng(seed("scrape-duplicates-example")).integers(10, 99))
given, verdicts = [*given, f"{n} b c d", "x y z."], [*verdicts, None, ("exact", 2)]
### END HIDDEN TESTS
assert_same(find_duplicates(given, a, b, 0.9), verdicts, f"find_duplicates({given})", "exact: the same words")

# %% nbgrader={"grade": true, "grade_id": "scrape-duplicates-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: shingles of short and odd texts; signatures against datasketch; exact, near and chained repeats, ties, threshold.
### BEGIN HIDDEN TESTS
odd: list = [("a-b  C_d\n\u00c9e", 3, {"a b c_d", "b c_d \u00e9e"}), ("One two", 3, {"one two"}), ("", 2, {""})]
for text, k, cut in [*odd, ("a b a b a", 2, {"a b", "b a"}), ("x y", 1, {"x", "y"}), ("p q r", 3, {"p q r"})]:
    assert_same(shingles(text, k), cut, f"shingles({text!r}, {k})", "short texts have one; letters of all languages")
assert_same(shingles("a b c d"), {"a b c", "b c d"}, "shingles('a b c d'), three words by default")
rng = np.random.default_rng(seed("scrape-duplicates-properties"))
a, b = rng.integers(1, 2**31, size=(2, 64), dtype=np.uint64)
for size in (1, 40):
    items = {f"w\u00e9 {rng.integers(10**6)}" for _ in range(size)}
    judge = MinHash(64, permutations=(a, b), scheme="legacy")
    judge.update_batch([item.encode() for item in items])
    why = "SHA-1, four bytes, little-endian? mod 2**61 - 1, then mod 2**32? the smallest over the shingles? uint64?"
    assert_same(minhash(items, a, b), judge.hashvalues, f"the signature of {size} shingles, as datasketch has it", why)
words = [f"w{i}" for i in rng.permutation(1000)]
one, two, three = words[:60], words[15:75], words[100:160]
runs = [one, two, words[30:90], three, one[:45] + three, one[:59], [*one[:59], "!"], one[9:] + one[:9], three[1:]]
given = [*(" ".join(run) for run in runs), "w1", "", "W1", "?", "w1.", "a b a b a", "a b a b a b a"]
sketches = [reference.minhash(reference.shingles(text), a, b) for text in given]
alike, all64 = [(sketches[i] == sketches[j]).mean() for i, j in ((0, 1), (1, 2), (0, 5))], slice(64)
tie: list = [np.argmax(sketches[4] == sketches[i]) for i in (0, 3)]  # 4 agrees with 0 here, with 3 there
for places, threshold in ((all64, min(alike[:2])), (all64, alike[2]), (all64, 0.8), (all64, 0.2), (tie, 0.5)):
    results: list = []
    for i, own in enumerate(sketches):
        same = [j for j in range(i) if re.findall(r"\w+", given[i].lower()) == re.findall(r"\w+", given[j].lower())]
        near = [(-(own == sketches[j])[places].mean(), j) for j in range(i) if results[j] is None]
        share, best = min(near, default=(0.0, 0))
        results.append(("exact", same[0]) if same else ("near", best) if -share >= threshold else None)
    why = "exact: the same words in the same order, the first such text; near: the best that stays, the first of equals, at least threshold"
    got = find_duplicates(given, a[places], b[places], threshold)
    assert_same(got, results, f"{len(given)} texts, threshold {threshold}", why)
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** Each sound advert against all others: how similar is its most similar one? The site knows which are copies. The cross-check is datasketch, with its own shuffles. Two piles are in the wrong place, and rightly so: spam has one text for all its homes, and so have the adverts that say only "Nice flat, must see." (strangers at 1); and where one advert of a home has such a text, it is not similar to its copies (copies near 0). The threshold goes into the gap between the other two.

# %% nbgrader={"grade": false, "grade_id": "web-scraping-similarity", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
a, b = np.random.default_rng(0).integers(1, 2**31, size=(2, 128), dtype=np.uint64)
texts, homes = [row["description"] for row in good], np.array([site.by_path[row["url"]].home for row in good])
sets = [shingles(text) for text in texts]
signatures = np.array([minhash(own, a, b) for own in sets])
agreement = (signatures[:, None] == signatures).mean(axis=2)
show.similarities(agreement, sets, homes, threshold=0.35)

# %% [markdown]
# ## 7. Fit for training?
#
# **Quality.** No single number says what good text is, but cheap signs find the worst (Rae et al. 2021, section A.1.1, used such signs to filter the web). Ours has three parts, each from 0 to 1, for an advert with $n$ words in its description: *filled*, the share of the eight FIELDS that have a value; *length*, $\min(1, n/40)$; *variety*, the number of different shingles of three words divided by their number with repeats, $\max(1, n - 2)$. The score is their geometric mean, $\sqrt[3]{\text{filled} \cdot \text{length} \cdot \text{variety}}$, which unlike the plain mean is 0 if one part is.
#
# **Contamination.** If a test question is in the training data, the test measures memory. Brown et al. 2020 (GPT-3, appendix C) look for runs of 8 to 13 words that both share. Here the contamination of a test text is the share of its shingles of $n$ words that occur in the corpus. With $n$ too small everything overlaps; the larger $n$ is, the more one changed word hides, because it spoils $n$ runs.
#
# **Version.** Which data was a model trained on? A *fingerprint* answers: a hash that stays the same when rows come in another order, and changes with any value. It goes into the data card, as a commit hash would.
#
# **By hand.** Test "one two three four", corpus "zero one two three", $n = 2$: of {one two, two three, three four} two occur: $\frac23$. An advert with all fields and 4 different words: $\sqrt[3]{1 \cdot 0.1 \cdot 1} \approx 0.46$.
#
# <details><summary>Hint 1</summary><code>set().union(*sets)</code> joins any number of sets. Build that of the corpus once, not for each test text.</details>
# <details><summary>Hint 2</summary><code>json.dumps(row, sort_keys=True, default=str)</code> writes the keys in order and a date as "2026-10-31". Sort the lines, join them, hash.</details>


# %% nbgrader={"grade": false, "grade_id": "scrape-release", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def quality(row: dict) -> float:
    r"""Return the score of a sound row, 0 to 1, see above. row has FIELDS as keys; a field has a value unless it is None.
    Words of the description are the matches of \w+; use reference.shingles."""
    ### BEGIN SOLUTION
    words = len(re.findall(r"\w+", row["description"]))
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    variety = len(reference.shingles(row["description"])) / max(1, words - 2)
    return (filled * min(1.0, words / 40) * variety) ** (1 / 3)
    ### END SOLUTION


def contamination(tests: list[str], corpus: list[str], n: int) -> list[float]:
    """Return for each of the tests the share of its shingles of n words, reference.shingles(text, n), that occur in any
    text of the corpus."""
    ### BEGIN SOLUTION
    seen = set().union(*(reference.shingles(text, n) for text in corpus))
    return [len(own & seen) / len(own) for own in (reference.shingles(text, n) for text in tests)]
    ### END SOLUTION


def fingerprint(rows: list[dict]) -> str:
    """Return SHA-256, in hexadecimal, of the rows: each as json.dumps(row, sort_keys=True, default=str), sorted as texts,
    joined by line ends (none at the end), in UTF-8."""
    ### BEGIN SOLUTION
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scrape-release-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
full = {**dict.fromkeys(FIELDS, "x"), "description": "Nice flat, must see."}
assert_same(quality(full), 0.1 ** (1 / 3), "all fields, four words", "cube root of 1 * 0.1 * 1", 1e-9)
tests, shares, rows = ["one two three four"], [2 / 3], [{"b": 1, "a": CRAWL_DATE}, {"a": "x"}]
### BEGIN HIDDEN TESTS
n = int(np.random.default_rng(seed("scrape-release-example")).integers(1, 99))
tests, shares, rows = [*tests, f"two {n}", "Two three!"], [*shares, 0, 1], [*rows, {"c": n}]
### END HIDDEN TESTS
assert_same(contamination(tests, ["zero one two three"], 2), shares, f"contamination of {tests}", "own runs?", 1e-9)
lines = sorted(['{"a": "2026-12-01", "b": 1}', '{"a": "x"}', *(f'{{"c": {row["c"]}}}' for row in rows[2:])])
assert_same(fingerprint(rows), hashlib.sha256("\n".join(lines).encode()).hexdigest(), f"SHA-256 of {lines}, joined")

# %% nbgrader={"grade": true, "grade_id": "scrape-release-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: each part of the score alone and together; shares of contamination for several n; what a fingerprint must notice.
### BEGIN HIDDEN TESTS
rng = random.Random(seed("scrape-release-properties"))
for words, missing in ((0, 0), (1, 0), (2, 1), (3, 0), (20, 0), (39, 2), (40, 0), (41, 3), (90, 1)):
    text = [rng.choice("abc") if words % 2 else f"W{i}" for i in range(words)]
    row = {**dict.fromkeys(FIELDS, ""), **dict.fromkeys(FIELDS[:missing]), "url": None, "description": " - ".join(text)}
    variety = len({" ".join(text[i : i + 3]) for i in range(max(1, words - 2))}) / max(1, words - 2)
    parts, why = ((8 - missing) / 8, min(1, words / 40), variety), "only None is missing? words by \\w+? at most 1?"
    assert_same(quality(row), float(np.prod(parts) ** (1 / 3)), f"filled, length, variety {parts}", why, 1e-9)
tests, corpus = ["B c D e", "b c d y", "a k", "z", "k l", "a a a k", "g C"], ["a b c d e f g", "C, d! x y", "z"]
by_n: dict = {1: [1, 1, 0.5, 1, 0, 0.5, 1], 2: [1, 2 / 3, 0, 1, 0, 0, 0], 3: [1, 0.5, 0, 1, 0, 0, 0]}
for n, right in by_n.items():
    got, why = contamination(tests, corpus, n), "a share of the test's own runs, each once, in any text, not across?"
    assert_same(got, right, f"contamination({tests}, {corpus}, {n})", why, 1e-9)
assert_same([*contamination(["a b"], [], 2), *contamination([], ["a"], 1)], [0.0], "without a corpus; without tests")
some: list = [{"a": 1, "b": None, "c": date(2026, 1, 2)}, {"b": 2.5, "a": "\u00e9"}] * 2
text = ('{"a": "\\u00e9", "b": 2.5}\n' * 2 + '{"a": 1, "b": null, "c": "2026-01-02"}\n' * 2).strip()
digest = hashlib.sha256(text.encode()).hexdigest()
for again in (some, some[::-1], [dict([*one.items()][::-1]) for one in some]):
    assert_same(fingerprint(again), digest, f"fingerprint({again})", "keys, lines sorted? joined by \\n? all kept?")
### END HIDDEN TESTS

# %% nbgrader={"grade": false, "grade_id": "web-scraping-contamination", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
exam, taken = site.exam()
show.contamination_by_length({n: contamination(exam, texts, n) for n in (3, 5, 8, 21)}, taken)

# %% [markdown]
# *Think:* each changed word spoils $n$ runs. Which leak would none of the four lengths find?
#
# ## 8. Experiment: the whole pipeline, and its data card
#
# Validate, score, drop the copies (the better-scored one stays), drop the poor, drop every row that holds more than half of the 8-word runs of a text of the exam above. (Poor adverts with the same stock text count as copies, whatever their home. So 50 rows go, although only 49 are copies, and one home goes with them.) At every step the site tells how many copies and poor adverts are still among the rows. Then the point of it all: a "model" that can only remember. It looks up the most similar text of one random half of the rows (nothing to do with the exam) and repeats its price; a price counts as right if it is within 1 %. How good does it look on the other half, before and after cleaning?

# %% nbgrader={"grade": false, "grade_id": "web-scraping-pipeline", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
ranked = sorted(good, key=lambda row: (-quality(row), row["url"]))
verdicts = find_duplicates([row["description"] for row in ranked], a, b, 0.35)
unique = [row for row, verdict in zip(ranked, verdicts, strict=True) if verdict is None]
fine = [row for row in unique if quality(row) >= 0.75]
clean = [row for row in fine if max(contamination(exam, [row["description"]], 8)) <= 0.5]
stages = {"collected": raw, "sound": good, "no copies": unique, "good enough": fine, "not in the test": clean}
memory = {name: show.memory_of(rows, shingles) for name, rows in list(stages.items())[1:]}
show.stages(stages, memory, site)
assert memory["sound"] > 3 * memory["no copies"], "removing copies should take most of the memory's success"
assert max(contamination(exam, [row["description"] for row in clean], 8)) <= 0.5, "a leak is left"

# %% nbgrader={"grade": false, "grade_id": "web-scraping-data-card", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
about: dict = {"name": "Adverts of three invented agencies", "version": fingerprint(clean), "licence": "free to use"}
about["collection"] = f"{CRAWL_DATE}, robots.txt obeyed, {pause:g} s between requests, {len(second.given_up)} given up"
about["rows"] = {stage: len(rows) for stage, rows in stages.items()}
about["refused_for"] = dict(Counter(field for refused in quarantine for field in refused["reasons"]))
about["dropped"] = f"{sum('error' in item for item in raw)} pages without an advert; near copies (0.35 of 128 MinHash "
about["dropped"] += "values, 3-word shingles); quality below 0.75; more than half of the 8-word runs of a test text"
about["limits"] = "asking prices, not sale prices; five towns; English only"
show.data_card(clean, about, journal.with_name("card.yml"))
assert fingerprint(clean[::-1]) == about["version"], "the version must not depend on the order of rows"

# %% [markdown]
# ## Recap
#
# A pipeline is a chain of small promises, each of which can be tested alone: the parser pairs labels with their own values, the crawler asks before it enters and waits when it is told to, the journal makes an interruption cheap, the validator refuses rather than repairs, and always says why, the duplicate finder keeps one of each, the contamination check protects the test. Because each stage counts what it drops and why, somebody else can judge the data by its card. And the last experiment shows what copies do: a program that only remembers looks skilful.
#
# **What breaks at scale.** One machine becomes many: the queue, the buckets and the journal live in a shared store, and each worker owns some hosts. Comparing all pairs of signatures becomes impossible (the next lab: locality-sensitive hashing). Layouts change without notice, so the share of refused rows is watched, and an alarm rings when it jumps. Pages need a browser to appear. Law and contracts, personal data in the adverts above all, decide what may be kept (the third lab of this section).
#
# **Read on.** RFC 9309 (2022), *Robots Exclusion Protocol* (section 2.2). Broder 1997, *On the resemblance and containment of documents*. Brooker 2015, *Exponential Backoff and Jitter* (AWS Architecture Blog). Rae et al. 2021, *Gopher* (section A.1.1, quality filters). Brown et al. 2020, *Language Models are Few-Shot Learners* (appendix C, contamination). Lee et al. 2022, *Deduplicating Training Data Makes Language Models Better*. Pushkarna et al. 2022, *Data Cards*.
#
# **Stretch goals.** (1) Give the spider two hosts with a bucket each, and show that the crawl gets faster while each host sees the same rate. (2) Learn the label names: find the layout of a third agency from three adverts whose values you know. (3) Replace the threshold of 0.35 by one that is chosen on half of the pairs, and report its precision and recall on the other half.
