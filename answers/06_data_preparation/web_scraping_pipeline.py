# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# Known answers to the exercises of `web_scraping_pipeline`: wrong ones that a test must catch, and other right ones. `llmlabs verify` grades them.

# %%
# the imports of the lab, for editors and linters; every answer below defines the whole solution cell anew
import hashlib
import json
import re
from datetime import date, datetime
from typing import Literal
from urllib.parse import urljoin, urlsplit

import numpy as np
import scrapy
from bs4 import BeautifulSoup, Tag
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from llmlabs.lab.listing_site import CRAWL_DATE, FIELDS, LABELS
from llmlabs.lab.reference import web_scraping_pipeline as reference


# %% exercise="scrape-parse" kind="wrong" name="Python's parser, which nests cells without end tags" fails="scrape-parse-example" says="at ['rooms']: '2' expected, got None"
def parse_listing(html):
    page = BeautifulSoup(html, "html.parser")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="first label with first value, second with second" fails="scrape-parse-example" says="at ['rooms']: None expected, got 'B'; is a value the next sibling of its label?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label, value in zip(advert.select("dt, th"), advert.select("dd, td"), strict=False):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="the next value after a label, wherever it stands" fails="scrape-parse-example" says="at ['rooms']: None expected, got 'B'; is a value the next sibling of its label?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next(["dd", "td"])
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="labels of the whole page, other adverts included" fails="scrape-parse-properties" says="a decoy outside of the advert?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in page.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="the title of the page, not of the advert" fails="scrape-parse-properties" says="'A tall house here' expected, got 'Homes'"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(page.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="text of tags inside the tag lost" fails="scrape-parse-properties" says="at ['description']"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join((tag.string or "").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="an empty text for no text" fails="scrape-parse-properties" says="at ['title']: None expected, got ''"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return " ".join(tag.get_text(" ").split()) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="the colon left at the label" fails="scrape-parse-example" says="at ['rooms']: '2' expected, got None"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get(text(label))
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="white space stripped at the ends only" fails="scrape-parse-properties" says="white space collapsed?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (tag.get_text(" ").strip() or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="white space of labels not collapsed" fails="scrape-parse-properties" says="at ['area']: '7' expected, got None"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get(label.get_text().strip().removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="one of the two layouts" fails="scrape-parse-properties" says="as a meridian page"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="a row of None for a page without an advert" fails="scrape-parse-properties" says="None expected, got {'title': None"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return dict.fromkeys(FIELDS)

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="only the fields that are there" fails="scrape-parse-example" says="expected, got {'title': 'Flat', 'city': None, 'description': None, 'rooms': '2'}"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = {}
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="foreign labels break it" fails="scrape-parse-properties" says="KeyError: 'Reference'"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS[(text(label) or "").removesuffix(":").strip()]
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="links outside main" fails="scrape-parse-properties" says="got 'http://a.test:81/out'; same host and port? only in main?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="nofollow ignored" fails="scrape-parse-properties" says="got 'http://a.test:81/no'"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="nofollow seen only where it is the only word of rel" fails="scrape-parse-properties" says="nofollow among others?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if link.get("rel") == ["nofollow"] or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="links to other hosts kept" fails="scrape-parse-properties" says="got 'http://b.test/c'; same host and port?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []):
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="another port taken for the same host" fails="scrape-parse-properties" says="got 'http://a.test/x'; same host and port?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.hostname != urlsplit(url).hostname:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="the fragment kept" fails="scrape-parse-example" says="#map'; relative to the page? no utm_, no fragment?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query).geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="fragment dropped, utm_ parameters kept" fails="scrape-parse-example" says="no utm_, no fragment?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        found[target._replace(fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="all parameters dropped" fails="scrape-parse-example" says="'http://a.test/flat/7?floor=2' expected, got 'http://a.test/flat/7'"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        found[target._replace(query="", fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="parameters decoded and encoded anew" fails="scrape-parse-properties" says="%C3%A9&j=' expected"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    from urllib.parse import parse_qsl, urlencode

    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = urlencode([(key, value) for key, value in parse_qsl(target.query) if not key.startswith("utm_")])
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="utm_ anywhere in a parameter" fails="scrape-parse-properties" says="only parameters with utm_ removed?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if "utm_" not in part)
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="links in alphabetical order" fails="scrape-parse-properties" says="in order, each once?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return sorted(found)


# %% exercise="scrape-parse" kind="wrong" name="a page as often as it is linked" fails="scrape-parse-properties" says="in order, each once?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = []
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found.append(target._replace(query=query, fragment="").geturl())
    return found


# %% exercise="scrape-parse" kind="wrong" name="repeats dropped before addresses are cleaned" fails="scrape-parse-properties" says="in order, each once?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = []
    links = BeautifulSoup(html, "lxml").select("main a[href]")
    for link in {link["href"]: link for link in links}.values():
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found.append(target._replace(query=query, fragment="").geturl())
    return found


# %% exercise="scrape-parse" kind="wrong" name="links taken as relative to the root" fails="scrape-parse-properties" says="http://a.test:81/x/b?k=2&j=%C3%A9&j=' expected, got 'http://a.test:81/b?"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a[href]"):
        target = urlsplit(urljoin("http://" + urlsplit(url).netloc, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="wrong" name="an a without href breaks it" fails="scrape-parse-properties" says="KeyError: 'href'"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.select_one("article.listing, section.object")
    if advert is None:
        return None

    def text(tag):
        return (" ".join(tag.get_text(" ").split()) or None) if tag is not None else None

    row = dict.fromkeys(FIELDS)
    row["title"] = text(advert.select_one("h1, [itemprop=name]"))
    row["city"] = text(advert.select_one(".place, [itemprop=addressLocality]"))
    row["description"] = text(advert.select_one(".description, [itemprop=description]"))
    for label in advert.select("dt, th"):
        name = LABELS.get((text(label) or "").removesuffix(":").strip())
        value = label.find_next_sibling()
        if name and value is not None and value.name in ("dd", "td"):
            row[name] = text(value)
    return row


def page_links(html, url):
    found = {}
    for link in BeautifulSoup(html, "lxml").select("main a"):
        target = urlsplit(urljoin(url, link["href"]))
        if "nofollow" in link.get("rel", []) or target.netloc != urlsplit(url).netloc:
            continue
        query = "&".join(part for part in target.query.split("&") if not part.startswith("utm_"))
        found[target._replace(query=query, fragment="").geturl()] = None
    return list(found)


# %% exercise="scrape-parse" kind="right" name="lxml and XPath, which print"
def parse_listing(html):
    from lxml.html import document_fromstring

    def words(nodes):
        return " ".join(" ".join(nodes[0].xpath(".//text()")).split()) if nodes else ""

    def has_class(name):
        return f"contains(concat(' ', normalize-space(@class), ' '), ' {name} ')"

    if not html.strip():
        return None
    page = document_fromstring(html)
    adverts = page.xpath(f"//article[{has_class('listing')}] | //section[{has_class('object')}]")
    if not adverts:
        print("no advert")
        return None
    paths = {
        "title": ".//h1 | .//*[@itemprop='name']",
        "city": f".//*[{has_class('place')}] | .//*[@itemprop='addressLocality']",
        "description": f".//*[{has_class('description')}] | .//*[@itemprop='description']",
    }
    row = {field: words(adverts[0].xpath(paths[field])) if field in paths else "" for field in FIELDS}
    for label in adverts[0].xpath(".//dt | .//th"):
        name = words([label])
        name = name[:-1].strip() if name.endswith(":") else name
        if name in LABELS:
            row[LABELS[name]] = words(label.xpath("following-sibling::*[1][self::dd or self::td]"))
    print("read", row)
    return {field: text if text else None for field, text in row.items()}


def page_links(html, url):
    from urllib.parse import urldefrag

    links = []
    for main in BeautifulSoup(html, "lxml").find_all("main"):
        for link in main.find_all("a", href=True):
            address = urldefrag(urljoin(url, link["href"])).url
            if "nofollow" in " ".join(link.get("rel") or []).split():
                print("nofollow", address)
                continue
            if urlsplit(address).netloc != urlsplit(url).netloc:
                continue
            path, mark, query = address.partition("?")
            kept = [part for part in query.split("&") if part and part[:4] != "utm_"]
            address = path + (mark + "&".join(kept) if kept else "")
            if address not in links:
                links.append(address)
    return links


# %% exercise="scrape-parse" kind="right" name="find and find_all, spaces by regular expressions"
def parse_listing(html):
    page = BeautifulSoup(html, "lxml")
    advert = page.find("article", class_="listing") or page.find("section", class_="object")
    if not advert:
        return None
    row = {}
    for field in FIELDS:
        row[field] = None
    places = {
        "title": advert.find("h1") or advert.find(itemprop="name"),
        "city": advert.find(class_="place") or advert.find(itemprop="addressLocality"),
        "description": advert.find(class_="description") or advert.find(itemprop="description"),
    }
    for label in advert.find_all(["dt", "th"]):
        text = re.sub(r"\s+", " ", label.get_text(" ")).strip()
        if text.endswith(":"):
            text = text[:-1].rstrip()
        follower = label.next_sibling
        while follower is not None and not isinstance(follower, Tag):
            follower = follower.next_sibling
        if text in LABELS and follower is not None and follower.name in {"dd", "td"}:
            places[LABELS[text]] = follower
    for field, tag in places.items():
        text = re.sub(r"\s+", " ", tag.get_text(" ")).strip() if tag else ""
        row[field] = text if text else None
    return row


def page_links(html, url):
    main = BeautifulSoup(html, "lxml").find("main")
    host = urlsplit(url).netloc
    seen, links = set(), []
    for link in main.find_all("a") if main else []:
        if not link.has_attr("href") or "nofollow" in link.get("rel", ""):
            continue
        parts = urlsplit(urljoin(url, link["href"]))
        if parts.netloc != host:
            continue
        query = re.sub(r"(^|&)utm_[^&]*", "", parts.query).removeprefix("&")
        clean = parts._replace(query=query, fragment="").geturl()
        if clean not in seen:
            seen.add(clean)
            links.append(clean)
    return links


# %% exercise="scrape-robots" kind="wrong" name="the first rule that matches decides" fails="scrape-robots-example" says="'/owners/faq.html'): True expected, got False; the longest that matches decides"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return matching[0][1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="the last rule that matches decides" fails="scrape-robots-properties" says="longest match?"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return matching[-1][1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="Disallow wins between equals" fails="scrape-robots-properties" says="Allow if equal?"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), not allowed))
    return not max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="one Disallow that matches is enough" fails="scrape-robots-example" says="'/owners/faq.html'): True expected, got False; the longest that matches decides"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return all(allowed for _, allowed in matching)


# %% exercise="scrape-robots" kind="wrong" name="the longest match in the path, not the longest pattern" fails="scrape-robots-properties" says="longest match?"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if found := re.match(wanted, path):
            matching.append((found.end(), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="what no rule matches is forbidden" fails="scrape-robots-example" says="'/a/b.pdf?x=1'): True expected, got False"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else False


# %% exercise="scrape-robots" kind="wrong" name="no wildcards: plain prefixes" fails="scrape-robots-example" says="'/a/b.pdf'): False expected, got True"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        if path.startswith(pattern):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="a dot in a pattern matches any character" fails="scrape-robots-properties" says="'/$q' against '/*?q', '/*$q' and '$', at [1]: True expected"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = pattern.replace("*", ".*")
        if pattern.endswith("$"):
            wanted = wanted
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="a $ in the middle means the end, too" fails="scrape-robots-properties" says="'/$q' against '/*?q', '/*$q' and '$', at [2]: False expected"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        wanted = wanted.replace(r"\$", "$")
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="the $ at the end taken literally" fails="scrape-robots-example" says="'/a/b.pdf'): False expected, got True"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="the pattern anywhere in the path" fails="scrape-robots-properties" says="'/$q' against '/*?q', '/*$q' and '$', at [3]: True expected"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.search(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="the pattern has to match the whole path" fails="scrape-robots-example" says="'/owners/login'): False expected, got True"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.fullmatch(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="the path compared without its query" fails="scrape-robots-example" says="'/a/b.pdf?x=1'): True expected, got False"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path.partition("?")[0]):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="rules for * obeyed beside one's own" fails="scrape-robots-properties" says="* only if nobody is named"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine + [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="the group of * although one's own is there, but empty" fails="scrape-robots-properties" says="* only if nobody is named"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    if not any(group[1] for group in mine):
        mine = [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="only one's own group, never that of *" fails="scrape-robots-example" says="(False, '/owners/') expected, got nothing"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="agents compared with upper and lower case" fails="scrape-robots-properties" says="'one'), at [0][0][1]: '/x:y' expected, got '/'"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value)
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="a part of the name is enough" fails="scrape-robots-properties" says="'thr'), at [0][0]: (False, '/') expected, got nothing"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if any(agent.lower() in name for name in group[0])]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="fields compared with upper and lower case" fails="scrape-robots-properties" says="'one'), at [0][0][1]: '/x:y' expected, got '/'"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip(), value.strip()
        if field == "User-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("Allow", "Disallow", "Crawl-delay"):
            naming = False
            if field == "Crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "Allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="comments read as part of the pattern" fails="scrape-robots-example" says="'/owners/' expected, got '/owners/ # private'; without comments?"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value.partition("#")[0]))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="each User-agent line starts a group" fails="scrape-robots-properties" says="a group begins at a User-agent after a rule"
def read_robots(text, agent):
    groups = []
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            groups.append(([], [], []))
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="names piled up over groups" fails="scrape-robots-properties" says="a group begins at a User-agent after a rule"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="an empty Disallow forbids everything" fails="scrape-robots-properties" says="empty rules go"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            else:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="an empty Disallow does not end the names of a group" fails="scrape-robots-properties" says="a group begins at a User-agent after a rule"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and value and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="foreign fields end the names of a group" fails="scrape-robots-properties" says="a group begins at a User-agent after a rule"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field:
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value and field in ("allow", "disallow"):
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="rules before the first User-agent break it" fails="scrape-robots-properties" says="IndexError"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="the first group of the name only" fails="scrape-robots-properties" says="same names are joined"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    mine = mine[:1]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="the first Crawl-delay" fails="scrape-robots-properties" says="at [1]: 4.0 expected, got 1.5"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [*(delay for group in mine for delay in group[2]), 0.0][0]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="the delay of any group" fails="scrape-robots-properties" says="at [1]: 1.5 expected, got 4.0"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in groups for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="whole seconds only" fails="scrape-robots-properties" says="at [1]: 1.5 expected, got 1.0"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(int(float(value))))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="an empty Crawl-delay breaks it" fails="scrape-robots-properties" says="could not convert string to float"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="an empty Crawl-delay is 0" fails="scrape-robots-properties" says="at [1][1]: 3.0 expected, got 0.0; an empty Crawl-delay is left out"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value or 0))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="wrong" name="an empty Crawl-delay is no rule" fails="scrape-robots-properties" says="a User-agent after it begins a group"
def read_robots(text, agent):
    groups, naming = [], False
    for line in text.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            if not naming:
                groups.append(([], [], []))
            naming = True
            groups[-1][0].append(value.lower())
        elif groups and field in ("allow", "disallow", "crawl-delay") and (value or field != "crawl-delay"):
            naming = False
            if field == "crawl-delay":
                groups[-1][2].append(float(value))
            elif value:
                groups[-1][1].append((field == "allow", value))
    mine = [group for group in groups if agent.lower() in group[0]]
    mine = mine or [group for group in groups if "*" in group[0]]
    rules = [rule for group in mine for rule in group[1]]
    return rules, [0.0, *(delay for group in mine for delay in group[2])][-1]


def may_fetch(rules, path):
    matching = []
    for allowed, pattern in rules:
        wanted = re.escape(pattern).replace(r"\*", ".*")
        if pattern.endswith("$"):
            wanted = wanted[:-2] + "$"
        if re.match(wanted, path):
            matching.append((len(pattern), allowed))
    return max(matching)[1] if matching else True


# %% exercise="scrape-robots" kind="right" name="two passes, a matcher that walks and prints"
def read_robots(text, agent):
    lines = []
    for line in text.splitlines():
        line = line.split("#")[0]
        if ":" in line:
            field, value = line.split(":", 1)
            if field.strip().lower() in {"user-agent", "allow", "disallow", "crawl-delay"}:
                lines.append((field.strip().lower(), value.strip()))

    def collect(name):
        found, rules, delay, current, before = False, [], 0.0, False, "rule"
        for field, value in lines:
            if field == "user-agent":
                same = value.lower() == name.lower()
                current = (current or same) if before == "user-agent" else same
                found = found or same
            elif current and field == "crawl-delay":
                delay = float(value or delay)
            elif current and value:
                rules.append((field == "allow", value))
            before = field
        print(f"{name}: {len(rules)} rules")
        return found, rules, delay

    found, rules, delay = collect(agent)
    if not found:
        found, rules, delay = collect("*")
    return rules, delay


def may_fetch(rules, path):
    def matches(pattern, rest):
        if pattern == "":
            return True
        if pattern == "$":
            return rest == ""
        if pattern[0] == "*":
            return any(matches(pattern[1:], rest[i:]) for i in range(len(rest) + 1))
        return rest != "" and rest[0] == pattern[0] and matches(pattern[1:], rest[1:])

    best, verdict = -1, True
    for allowed, pattern in rules:
        if matches(pattern, path):
            print(pattern, "matches", path)
            if len(pattern) > best or (len(pattern) == best and allowed):
                best, verdict = len(pattern), allowed
    return verdict


# %% exercise="scrape-robots" kind="right" name="pieces between the stars found one after the other"
def read_robots(text, agent):
    mine, everybody = [[], 0.0, False], [[], 0.0, False]
    open_for, last = [], ""
    for field, value in re.findall(r"^[ \t]*([\w-]+)[ \t]*:[ \t]*([^#\r\n]*)", text, re.MULTILINE):
        field, value = field.lower(), value.strip()
        match field:
            case "user-agent":
                if last != "user-agent":
                    open_for = []
                for name, book in ((agent.lower(), mine), ("*", everybody)):
                    if value.lower() == name:
                        open_for.append(book)
                        book[2] = True
            case "crawl-delay":
                for book in open_for:
                    if value:
                        book[1] = float(value)
            case "allow" | "disallow":
                for book in open_for:
                    if value:
                        book[0].append((field == "allow", value))
            case _:
                continue
        last = field
    rules, delay, _ = mine if mine[2] else everybody
    return rules, delay


def may_fetch(rules, path):
    def matches(pattern):
        first, *middle = pattern.removesuffix("$").split("*")
        if not path.startswith(first):
            return False
        place = len(first)
        if pattern.endswith("$"):
            if not middle:
                return path == first
            *middle, last = middle
        else:
            last = ""
        for piece in middle:
            place = path.find(piece, place)
            if place < 0:
                return False
            place += len(piece)
        return path.endswith(last) and len(path) - len(last) >= place

    hits = sorted((len(pattern), allowed) for allowed, pattern in rules if matches(pattern))
    return not hits or hits[-1][1]


# %% exercise="scrape-limits" kind="wrong" name="a bucket without a rim" fails="scrape-limits-example" says="never above capacity"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = self.level + self.rate * (now - self.time) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="the rim checked after the token is taken" fails="scrape-limits-example" says="never above capacity"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time) - 1)
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="an empty bucket at the start" fails="scrape-limits-example" says="0 expected, got 0.5; full at the start"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = 0.0, 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="a level that stops at 0, so that nobody queues" fails="scrape-limits-example" says="below 0 while requests queue"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        wait = max(0.0, -self.level / self.rate)
        self.level = max(0.0, self.level)
        return wait


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="the time of the last request not kept" fails="scrape-limits-example" says="at t = 10.0"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="the time set to when the token is there" fails="scrape-limits-example" says="1 expected, got 1.5"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        wait = max(0.0, -self.level / self.rate)
        self.time = now + wait
        return wait


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="whole tokens only" fails="scrape-limits-properties" says="expected, got 4.0; debt?"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + int(self.rate * (now - self.time))) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="the wait in tokens, not in seconds" fails="scrape-limits-example" says="wait = -level / rate"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="the wait of the token before" fails="scrape-limits-example" says="one token a request"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -(self.level + 1) / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="one level for all buckets" fails="scrape-limits-properties" says="its own?"
class TokenBucket:
    state: dict = {}  # noqa: RUF012

    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.state.update(level=float(capacity), time=0.0)

    def wait(self, now):
        level = self.state["level"] + self.rate * (now - self.state["time"])
        self.state.update(level=min(self.capacity, level) - 1, time=now)
        return max(0.0, -self.state["level"] / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="one attempt too many" fails="scrape-limits-properties" says="most counts failures?"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures > most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="five attempts, whatever most says" fails="scrape-limits-properties" says="most counts failures?"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= 5 or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="doubled once too often" fails="scrape-limits-example" says="doubled f - 1 times"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2**failures), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="grows with the failures, does not double" fails="scrape-limits-example" says="doubled f - 1 times"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * failures), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="the cap after the jitter" fails="scrape-limits-properties" says="cap before u?"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(min(cap, u * base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="no cap" fails="scrape-limits-properties" says="cap before u?"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * base * 2 ** (failures - 1), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="no jitter" fails="scrape-limits-example" says="2 expected, got 4; u times base"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="half of it jitter" fails="scrape-limits-example" says="2 expected, got 3.0; u times base"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max((1 + u) / 2 * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="base ignored" fails="scrape-limits-properties" says="doubled from base?"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="Retry-After ignored" fails="scrape-limits-example" says="30 expected, got 2.0"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return u * min(cap, base * 2 ** (failures - 1))


# %% exercise="scrape-limits" kind="wrong" name="Retry-After instead of the back-off, even if shorter" fails="scrape-limits-properties" says="Retry-After is a minimum?"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    if asked is not None:
        return asked
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="Retry-After added" fails="scrape-limits-example" says="30 expected, got 32.0"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return u * min(cap, base * 2 ** (failures - 1)) + (asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="Retry-After cut at the cap" fails="scrape-limits-properties" says="Retry-After is a minimum?"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), min(cap, asked or 0.0))


# %% exercise="scrape-limits" kind="wrong" name="every status from 400 on retried" fails="scrape-limits-example" says="retry_delay(404, 1, None, 0.5): None expected"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or (status is not None and status < 400):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="every 5xx retried" fails="scrape-limits-properties" says="does it pass by itself?"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or not (status in (None, 408, 429) or status >= 500):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="gives up when no answer came" fails="scrape-limits-properties" says="does it pass by itself?"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (408, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="wrong" name="gives up after a timeout that the server reports" fails="scrape-limits-properties" says="does it pass by itself?"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.level, self.time = float(capacity), 0.0

    def wait(self, now):
        self.level = min(self.capacity, self.level + self.rate * (now - self.time)) - 1
        self.time = now
        return max(0.0, -self.level / self.rate)


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    if failures >= most or status not in (None, 429, 500, 502, 503, 504):
        return None
    return max(u * min(cap, base * 2 ** (failures - 1)), asked or 0.0)


# %% exercise="scrape-limits" kind="right" name="when the next token is due, which logs"
class TokenBucket:
    def __init__(self, rate, capacity):
        import logging

        self.gap, self.slack = 1 / rate, (capacity - 1) / rate
        self.due = 0.0  # when the queue and the used-up burst are paid off
        self.log = logging.getLogger("bucket")

    def wait(self, now):
        self.due = max(self.due, now)
        wait = max(0.0, self.due - self.slack - now)
        self.due += self.gap
        self.log.warning("at %s wait %s", now, wait)
        return wait


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    import warnings

    if status is not None and status not in {408, 429, 500, 502, 503, 504}:
        warnings.warn(f"status {status} stays", stacklevel=2)
        return None
    if not failures < most:
        return None
    delay = base
    for _ in range(failures - 1):
        delay = delay * 2
    delay = u * delay if delay < cap else u * cap
    if asked is not None and asked > delay:
        return asked
    return delay


# %% exercise="scrape-limits" kind="right" name="tokens used, not tokens left"
class TokenBucket:
    def __init__(self, rate, capacity):
        self.rate, self.capacity = rate, capacity
        self.used, self.last = 0.0, None

    def wait(self, now):
        if self.last is not None:
            self.used -= (now - self.last) * self.rate
            if self.used < 0:
                self.used = 0.0
        self.used += 1
        self.last = now
        return (self.used - self.capacity) / self.rate if self.used > self.capacity else 0


def retry_delay(status, failures, asked, u, base=1, cap=60, most=5):
    match status:
        case None | 408 | 429 | 500 | 502 | 503 | 504 if failures < most:
            window = float(np.minimum(cap, np.ldexp(base, failures - 1)))
            return max(u * window, 0 if asked is None else asked)
        case _:
            return None


# %% exercise="scrape-spider" kind="wrong" name="addresses of the API left relative" fails="scrape-spider-properties" says="absolute?"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield dict(record)
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="the record's own address over the absolute one" fails="scrape-spider-properties" says="absolute?"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {"url": response.urljoin(record["url"]), **record}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="only the address of a record" fails="scrape-spider-properties" says="all fields?"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {"url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="a request for a next page that is not there" fails="scrape-spider-properties" says="nothing expected, got 'http://b.test:8/feed/'; absolute? all fields? no next?"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            yield scrapy.Request(response.urljoin(page["next"] or ""))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="the next page of the API not asked for" fails="scrape-spider-properties" says="'http://b.test:8/api/listings?cursor=7' expected, got nothing"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="the next address left relative" fails="scrape-spider-properties" says="Missing scheme in request url"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(page["next"])
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="the content type has to be application/json and no more" fails="scrape-spider-properties" says="what parse yields for application/json; charset=utf-8"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if response.headers.get("Content-Type", b"") == b"application/json":
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="JSON known by its address" fails="scrape-spider-properties" says="what parse yields for application/json with next"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if "/api/" in response.url:
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="HTML read as JSON, too" fails="scrape-spider-example" says="JSONDecodeError"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="an advert without its address" fails="scrape-spider-example" says="expected, got {'title': 'Flat'"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield fields
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="an advert's page is a dead end" fails="scrape-spider-example" says="'http://a.test/b' expected, got nothing; advert first; a request a link"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
            return
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="requests before the item" fails="scrape-spider-example" says="advert first"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        for link in links:
            yield scrapy.Request(link)
        if fields is not None:
            yield {"url": response.url, **fields}
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="an error for a list page" fails="scrape-spider-example" says="nothing expected, got {'url': 'http://a.test/x/y', 'error'"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="an error for an advert without links" fails="scrape-spider-properties" says="for an advert without links, at [1]: nothing expected"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="no error for an empty page" fails="scrape-spider-example" says="'no advert, no links'} expected, got nothing"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="links as texts" fails="scrape-spider-example" says="parse yields dicts and scrapy.Requests, not 'http://a.test/b'"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield str(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="all requests past the filter of repeats" fails="scrape-spider-example" says="got 'http://a.test/b (dont_filter)'"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link, dont_filter=True)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="the last line taken although it is torn" fails="scrape-spider-properties" says="lines end at"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data.split(b"\n"):
        try:
            page = json.loads(line)
        except ValueError:
            continue
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="the whole bytes without the last line end" fails="scrape-spider-example" says="13 expected, got 12; whole: with a line end, which counts"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, max(0, whole - 1)


# %% exercise="scrape-spider" kind="wrong" name="all bytes taken for whole" fails="scrape-spider-example" says="13 expected, got 17"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, len(data)


# %% exercise="scrape-spider" kind="wrong" name="characters counted for bytes" fails="scrape-spider-properties" says="bytes count"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, len(data[:whole].decode())


# %% exercise="scrape-spider" kind="wrong" name="bytes counted without line ends" fails="scrape-spider-example" says="13 expected, got 12; whole: with a line end, which counts"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, sum(len(line) for line in data[:whole].split(b"\n"))


# %% exercise="scrape-spider" kind="wrong" name="the first page of several with one address" fails="scrape-spider-properties" says="the last page of a url"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages.setdefault(page["url"], page)
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="a text's splitlines" fails="scrape-spider-properties" says="JSONDecodeError: Unterminated string"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data[:whole].decode().splitlines():
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="the text decoded with its torn end" fails="scrape-spider-properties" says="UnicodeDecodeError"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data.decode().split("\n")[:-1]:
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="the torn line breaks it" fails="scrape-spider-example" says="JSONDecodeError"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = {}
    for line in data.splitlines():
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="pages as a list" fails="scrape-spider-example" says="by url"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n") + 1
    pages = []
    for line in data[:whole].split(b"\n")[:-1]:
        page = json.loads(line)
        pages.append(page)
    return pages, whole


# %% exercise="scrape-spider" kind="wrong" name="no line end: all but the last byte" fails="scrape-spider-example" says="JSONDecodeError"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            page = response.json()
            for record in page["listings"]:
                yield {**record, "url": response.urljoin(record["url"])}
            if page["next"]:
                yield scrapy.Request(response.urljoin(page["next"]))
            return
        fields = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        if fields is not None:
            yield {"url": response.url, **fields}
        for link in links:
            yield scrapy.Request(link)
        if fields is None and not links:
            yield {"url": response.url, "error": "no advert, no links"}


def read_journal(data):
    whole = data.rfind(b"\n")
    pages = {}
    for line in data[:whole].split(b"\n"):
        page = json.loads(line)
        pages[page["url"]] = page
    return pages, whole + 1


# %% exercise="scrape-spider" kind="right" name="a list, response.follow, which prints; lines with their ends"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        kind = (response.headers.get("Content-Type") or b"").decode()
        found = []
        if "json" in kind:
            page = json.loads(response.body)
            for record in page["listings"]:
                item = dict(record)
                item["url"] = urljoin(response.url, record["url"])
                found.append(item)
            if page.get("next") is not None:
                found.append(response.follow(page["next"], callback=self.parse))
        else:
            advert = reference.parse_listing(response.text)
            if advert:
                found.append({"url": response.url} | advert)
            found += [response.follow(link) for link in reference.page_links(response.text, response.url)]
            if not found:
                found.append({"url": response.url, "error": "no advert, no links"})
        print(response.url, len(found))
        return found


def read_journal(data):
    pages, whole = {}, 0
    for line in data.splitlines(keepends=True):
        if line.endswith(b"\n"):
            page = json.loads(line.decode("utf-8"))
            pages[page["url"]] = page
            whole += len(line)
        else:
            print("torn:", line)
    return pages, whole


# %% exercise="scrape-spider" kind="right" name="helpers, yield from, a file in memory"
class ListingSpider(scrapy.Spider):
    name = "listings"

    def parse(self, response):
        if b"json" in response.headers.get("Content-Type", b""):
            yield from self.records(response)
        else:
            yield from self.advert(response)

    def records(self, response):
        page = response.json()
        yield from ({**record, "url": response.urljoin(record["url"])} for record in page["listings"])
        if page["next"]:
            yield response.follow(page["next"])

    def advert(self, response):
        row = reference.parse_listing(response.text)
        links = reference.page_links(response.text, response.url)
        self.logger.warning("%s has %d links", response.url, len(links))
        if row is None and links == []:
            yield {"url": response.url, "error": "no advert, no links"}
            return
        if row is not None:
            yield dict(url=response.url, **row)
        yield from map(scrapy.Request, links)


def read_journal(data):
    import io

    whole, found = 0, []
    for line in io.BytesIO(data):
        if line[-1:] != b"\n":
            break
        whole += len(line)
        found.append(json.loads(line))
    return {page["url"]: page for page in found}, whole


# %% exercise="scrape-validate" kind="wrong" name="commas group, dots are decimal, always" fails="scrape-validate-example" says="to_number('1.250,5'): 1250.5 expected, got 1.2505; decimals"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    return float(re.sub(r"[,\s]", "", found.group()))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="all digits, no decimals" fails="scrape-validate-example" says="to_number('1.250,5'): 1250.5 expected, got 12505.0; decimals: one or two digits"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    return float(re.sub(r"\D", "", found.group()))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="decimals of two digits only" fails="scrape-validate-example" says="to_number('1.250,5'): 1250.5 expected, got 12505.0; decimals: one or two digits"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d\d)$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="three digits taken for decimals" fails="scrape-validate-example" says="to_number('1,250'): 1250 expected, got 1.25"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,3})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="no grouping by spaces" fails="scrape-validate-example" says="to_number('1 250 000 €'): 1250000 expected, got 1.0"
def to_number(text):
    found = re.search(r"\d[\d.,]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="no grouping by hard spaces" fails="scrape-validate-properties" says="hard spaces group?"
def to_number(text):
    found = re.search(r"\d[\d., ]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="the space after the number hides its decimals" fails="scrape-validate-example" says="expected, got 6020005.0"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="every digit of the text" fails="scrape-validate-properties" says="only the first number?"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = re.sub(r"[^\d.,]", "", text)
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="0 where there is no number" fails="scrape-validate-properties" says="what to_number raises without a digit"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        return 0.0
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="square feet taken for square metres" fails="scrape-validate-example" says="nothing expected, got 'row'; sq ft?"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="square feet divided by 10.764" fails="scrape-validate-example" says="at [1][0]['area']: 92.90304 expected"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 1 / 10.764 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="bounds of the area before its conversion" fails="scrape-validate-properties" says="after conversion?"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        if info.field_name == "area" and not 10 <= to_number(value) <= 1000:
            raise ValueError("area")
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="every area in square feet" fails="scrape-validate-properties" says="'reasons': {'area': 'Input should be greater than or equal to 10'}"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="bounds not inclusive" fails="scrape-validate-properties" says="a price of 10,000 and an area of 10: '-' expected, got 'area,price'; inclusive?"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(gt=10_000, lt=20_000_000)
    area: float = Field(gt=10, lt=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="no upper bounds" fails="scrape-validate-properties" says="a price of 20,000,001"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000)
    area: float = Field(ge=10)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="a missing key is taken for None" fails="scrape-validate-properties" says="let through, at [0]: nothing expected, got ['rooms', 'gone']"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(None, ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None = None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="rooms must be there" fails="scrape-validate-example" says="nothing expected, got 'rooms'; sq ft? rooms None?"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="energy must be there" fails="scrape-validate-properties" says="for energy='', at [0][0]: nothing expected"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"]
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="any text for energy" fails="scrape-validate-properties" says="let through, at [0]: nothing expected, got ['energy', 'H']"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: str | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="n/a for energy refused" fails="scrape-validate-properties" says="for energy='n/a', at [0][0]: nothing expected"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("",) else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="empty texts let through" fails="scrape-validate-properties" says="let through, at [0]: nothing expected, got ['city', '']"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str
    city: str
    url: str
    description: str
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="a time of day refused" fails="scrape-validate-properties" says="for listed='2026-02-03T23:59:59Z', at [0][0]: nothing expected"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="dates of the future let through" fails="scrape-validate-properties" says="let through, at [0]: nothing expected, got ['listed', '2026-12-02']"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="the day of the crawl refused" fails="scrape-validate-properties" says="for listed='2026-12-01', at [0][0]: nothing expected"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day >= CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="day and month in American order" fails="scrape-validate-example" says="nothing expected, got 'listed'"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%m.%d.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="price and area never compared" fails="scrape-validate-example" says="'45.000 €'"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="too dear refused, too cheap not" fails="scrape-validate-example" says="'45.000 €'"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if self.price / self.area > 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="area over price" fails="scrape-validate-example" says="nothing expected, got 'row'"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.area / self.price <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="only the first reason of a row" fails="scrape-validate-properties" says="'area,price' expected, got 'price'"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()[:1]}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="reasons as a list" fails="scrape-validate-example" says="'price' expected, got "
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = [one["msg"] for one in error.errors()]
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="a missing price stops the run" fails="scrape-validate-example" says="expected string or bytes-like object, got 'NoneType'"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="rows changed on the way" fails="scrape-validate-properties" says="row unchanged?"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        if row.get("energy") in ("", "n/a"):
            row["energy"] = None
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="dates as texts" fails="scrape-validate-example" says="expected, got '2026-10-31'"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump(mode="json"))
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="sound rows as they came" fails="scrape-validate-example" says="450000 expected, got '450.000 €'"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            Listing.model_validate(row)
            good.append(row)
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="other keys kept" fails="scrape-validate-properties" says="other keys gone?"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    model_config = {"extra": "allow"}
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="bad rows dropped without a word" fails="scrape-validate-example" says="'price' expected, got nothing"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            print(reasons)
    return good, quarantine


# %% exercise="scrape-validate" kind="wrong" name="stops at the first bad row" fails="scrape-validate-properties" says="let through, at [0]: nothing expected, got ['energy', 'b']"
def to_number(text):
    found = re.search(r"\d[\d.,\s]*", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    number = found.group().strip()
    decimals = re.search(r"[.,](\d{1,2})$", number)
    whole = number[: decimals.start()] if decimals else number
    return float(re.sub(r"\D", "", whole) + "." + (decimals.group(1) if decimals else "0"))


class Listing(BaseModel):
    title: str = Field(min_length=1)
    city: str = Field(min_length=1)
    url: str = Field(min_length=1)
    description: str = Field(min_length=1)
    rooms: float | None = Field(ge=1, le=20)
    energy: Literal["A", "B", "C", "D", "E", "F", "G"] | None
    price: float = Field(ge=10_000, le=20_000_000)
    area: float = Field(ge=10, le=1_000)
    listed: date

    @field_validator("price", "area", "rooms", mode="before")
    @classmethod
    def read_number(cls, value, info):
        if value is None:
            return None
        factor = 0.09290304 if info.field_name == "area" and "sq ft" in value else 1
        return to_number(value) * factor

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return None if value in ("", "n/a") else value

    @field_validator("listed", mode="before")
    @classmethod
    def read_date(cls, value):
        if value is None:
            return None
        for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y"):
            try:
                day = datetime.strptime(value, form).date()
            except ValueError:
                continue
            if day > CRAWL_DATE:
                raise ValueError("in the future")
            return day
        raise ValueError("no date")

    @model_validator(mode="after")
    def check_ratio(self):
        if not 1_000 <= self.price / self.area <= 15_000:
            raise ValueError("price per square metre")
        return self


def validate_rows(rows):
    good, quarantine = [], []
    for row in rows:
        try:
            good.append(Listing.model_validate(row).model_dump())
        except ValidationError as error:
            reasons = {str(one["loc"][0]) if one["loc"] else "row": one["msg"] for one in error.errors()}
            quarantine.append({"row": row, "reasons": reasons})
            break
    return good, quarantine


# %% exercise="scrape-validate" kind="right" name="annotated types and a progress bar"
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict


def to_number(text):
    match = re.search(r"\d[\d.,\s]*", text)
    if not match:
        raise ValueError("no digit")
    digits = match[0].rstrip()
    last = max(digits.rfind(","), digits.rfind("."))
    if last >= 0 and 1 <= len(digits) - last - 1 <= 2 and digits[last + 1 :].isdigit():
        return int("".join(c for c in digits[:last] if c.isdigit())) + float("0." + digits[last + 1 :])
    return float("".join(c for c in digits if c.isdigit()))


def read_price(value):
    return value if value is None else to_number(value)


def read_area(value):
    number = read_price(value)
    return number * 0.09290304 if number is not None and "sq ft" in value else number


def read_day(value):
    if not isinstance(value, str):
        return value
    if found := re.fullmatch(r"(\d\d)\.(\d\d)\.(\d{4})", value):
        value = "-".join(found.groups()[::-1])
    return value.partition("T")[0]


def not_later(day):
    assert day <= CRAWL_DATE, f"{day} is after {CRAWL_DATE}"
    return day


Text = Annotated[str, Field(min_length=1)]


class Listing(BaseModel):
    model_config = ConfigDict(extra="ignore")
    title: Text
    city: Text
    url: Text
    description: Text
    rooms: Annotated[float, BeforeValidator(read_price), Field(ge=1, le=20)] | None
    energy: Annotated[str, Field(pattern="^[A-G]$")] | None
    price: Annotated[float, BeforeValidator(read_price), Field(ge=1e4, le=2e7)]
    area: Annotated[float, BeforeValidator(read_area), Field(ge=10, le=1000)]
    listed: Annotated[date, BeforeValidator(read_day), AfterValidator(not_later)]

    @field_validator("energy", mode="before")
    @classmethod
    def read_energy(cls, value):
        return value if value not in {"", "n/a"} else None

    @model_validator(mode="after")
    def check(self):
        if self.price < 1000 * self.area or self.price > 15000 * self.area:
            raise ValueError(f"{self.price / self.area:.0f} euros a square metre")
        return self


def validate_rows(rows):
    from tqdm import tqdm

    good, quarantine = [], []
    for row in tqdm(rows):
        try:
            good.append(dict(Listing(**row)))
        except ValidationError as error:
            reasons = {}
            for one in error.errors():
                reasons.setdefault(".".join(map(str, one["loc"][:1])) or "row", one["msg"])
            quarantine.append({"row": row, "reasons": reasons})
    return good, quarantine


# %% exercise="scrape-validate" kind="right" name="by hand, Pydantic only for the types, with warnings"
def to_number(text):
    start = next((i for i, c in enumerate(text) if c.isdecimal()), None)
    if start is None:
        raise ValueError(f"{text!r} has no digit")
    number = ""
    for c in text[start:]:
        if not (c.isdecimal() or c in ".," or c.isspace()):
            break
        number += c
    number = "".join(number.split())
    for places in (1, 2):
        if len(number) > places and number[-places - 1] in ".,":
            return int(re.sub("[.,]", "", number)) / 10**places
    return int(re.sub("[.,]", "", number))


class Listing(BaseModel):
    title: str
    city: str
    url: str
    description: str
    rooms: float | None
    energy: str | None
    price: float
    area: float
    listed: date


def validate_rows(rows):
    import warnings

    def in_range(number, low, high):
        if not low <= number <= high:
            raise ValueError(f"{number} is not in {low} to {high}")
        return number

    def read(name, text):
        if name in ("rooms", "energy") and text is None:
            return None
        if text is None:
            raise ValueError("missing")
        if name == "rooms":
            return in_range(to_number(text), 1, 20)
        if name == "energy":
            if text in ("", "n/a"):
                return None
            if text not in tuple("ABCDEFG"):
                raise ValueError("A to G")
            return text
        if name == "price":
            return in_range(float(to_number(text)), 10_000, 20_000_000)
        if name == "area":
            return in_range(to_number(text) * (0.09290304 if "sq ft" in text else 1.0), 10, 1000)
        if name == "listed":
            if "." in text:
                day, month, year = text.split(".")
                when = date(int(year), int(month), int(day))
            else:
                when = date.fromisoformat(text[:10])
            if when > CRAWL_DATE:
                raise ValueError("later than the crawl")
            return when
        if text == "":
            raise ValueError("empty")
        return text

    good, quarantine = [], []
    for row in rows:
        sound, reasons = {}, {}
        for name in Listing.model_fields:
            if name not in row:
                reasons[name] = "no such key"
                continue
            try:
                sound[name] = read(name, row[name])
            except ValueError as error:
                reasons[name] = str(error)
        if not reasons and not 1000 <= sound["price"] / sound["area"] <= 15000:
            reasons["row"] = "price per area"
        if reasons:
            warnings.warn(str(reasons), stacklevel=2)
            quarantine.append({"row": row, "reasons": reasons})
        else:
            good.append(Listing(**sound).model_dump())
    return good, quarantine


# %% exercise="scrape-duplicates" kind="wrong" name="upper case counts" fails="scrape-duplicates-example" says="{'the big'} expected, got set(); lower case?"
def shingles(text, k=3):
    words = re.findall(r"\w+", text)
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="punctuation stays at the words" fails="scrape-duplicates-example" says="words only?"
def shingles(text, k=3):
    words = text.lower().split()
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="words of ASCII letters" fails="scrape-duplicates-properties" says="letters of all languages"
def shingles(text, k=3):
    words = re.findall(r"[a-z0-9_]+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="always three words" fails="scrape-duplicates-example" says="words only? k?"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 3 + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="the last shingle forgotten" fails="scrape-duplicates-example" says="5 expected, got 3"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="runs that get shorter at the end" fails="scrape-duplicates-example" says="{'the big'} expected, got {"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words)))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="no shingle of a short text" fails="scrape-duplicates-properties" says="short texts have one"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(len(words) - k + 1)}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="shingles of letters, not of words" fails="scrape-duplicates-example" says="words only? k?"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words)[i : i + k] for i in range(max(1, len(" ".join(words)) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="a list with repeats" fails="scrape-duplicates-example" says="unsupported operand"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return [" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))]


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="shingles side by side, not one word on" fails="scrape-duplicates-example" says="5 expected, got 3"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(0, max(1, len(words) - k + 1), k)}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="the largest of each shuffle" fails="scrape-duplicates-properties" says="the smallest over the shingles?"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.max(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="the prime left out" fails="scrape-duplicates-properties" says="mod 2**61 - 1, then mod 2**32?"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="only the prime" fails="scrape-duplicates-example" says="a h + b?"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="bytes in network order" fails="scrape-duplicates-example" says="little-endian?"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "big") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="the last four bytes" fails="scrape-duplicates-example" says="4 bytes, little-endian?"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[-4:], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="eight bytes of the hash" fails="scrape-duplicates-example" says="4 bytes, little-endian?"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:8], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="another hash" fails="scrape-duplicates-example" says="4 bytes, little-endian?"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.md5(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="the smallest over the shuffles, not over the shingles" fails="scrape-duplicates-example" says="the signature of {'the big'}"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=0)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="b forgotten" fails="scrape-duplicates-example" says="a h + b?"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="the smallest h shuffled" fails="scrape-duplicates-example" says="None expected, got ('near', 0)"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64).min(
        keepdims=True
    )
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="floats" fails="scrape-duplicates-example" says="uint64?"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1).astype(float)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="exact only if every character is the same" fails="scrape-duplicates-example" says="'exact' expected, got 'near'; exact: the same words"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = text
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="exact whatever the order of words" fails="scrape-duplicates-properties" says="'near' expected, got 'exact'; exact: the same words in the same order"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(sorted(re.findall(r"\w+", text.lower())))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="exact if the sets of shingles are equal" fails="scrape-duplicates-properties" says="'near' expected, got 'exact'; exact: the same words in the same order"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = frozenset(shingles(text))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="exact copies of texts that stay only" fails="scrape-duplicates-properties" says="'exact' expected, got 'near'; exact: the same words in the same order"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            first[words] = i
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="the latest exact copy, not the first of its kind" fails="scrape-duplicates-properties" says="the first such text"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            first[words] = i
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="near the first above the threshold, not the most similar" fails="scrape-duplicates-properties" says="threshold 0.2, at [4][1]: 3 expected, got 0"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement >= threshold:
                best, share = j, agreement
                break
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="of equals the last" fails="scrape-duplicates-properties" says="the first of equals"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement >= share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="above the threshold, not at it" fails="scrape-duplicates-properties" says="at least threshold"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share > threshold:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="near to a text that has been dropped" fails="scrape-duplicates-properties" says="near: the best that stays"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
            kept.append((i, signature))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="the place among the kept texts" fails="scrape-duplicates-properties" says="near: the best that stays"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= threshold:
            verdicts.append(("near", best))
        else:
            kept.append((len(kept), signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="a threshold of its own" fails="scrape-duplicates-properties" says="at least threshold"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share >= 0.8:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="wrong" name="exact copies only" fails="scrape-duplicates-properties" says="at least threshold"
def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + k]) for i in range(max(1, len(words) - k + 1))}


def minhash(items, a, b):
    h = np.array([int.from_bytes(hashlib.sha1(s.encode()).digest()[:4], "little") for s in items], dtype=np.uint64)
    shuffled = (a[:, None] * h + b[:, None]) % np.uint64(2**61 - 1) % np.uint64(2**32)
    return shuffled.min(axis=1)


def find_duplicates(texts, a, b, threshold):
    verdicts, first, kept = [], {}, []
    for i, text in enumerate(texts):
        words = tuple(re.findall(r"\w+", text.lower()))
        if words in first:
            verdicts.append(("exact", first[words]))
            continue
        first[words] = i
        signature = minhash(shingles(text), a, b)
        best, share = None, -1.0
        for j, other in kept:
            agreement = np.mean(signature == other)
            if agreement > share:
                best, share = j, agreement
        if share > 1:
            verdicts.append(("near", best))
        else:
            kept.append((i, signature))
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="right" name="Python's integers, loops and a progress bar"
def shingles(text, k=3):
    words = [match.group() for match in re.finditer(r"\w+", text.lower())]
    if len(words) < k:
        return {" ".join(words)}
    return set(map(" ".join, zip(*(words[i:] for i in range(k)), strict=False)))


def minhash(items, a, b):
    import struct

    hashes = [struct.unpack("<I", hashlib.sha1(item.encode("utf8")).digest()[:4])[0] for item in items]
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    values = [min((x * h + y) % (2**61 - 1) % 2**32 for h in hashes) for x, y in pairs]
    return np.array(values, dtype=np.uint64)


def find_duplicates(texts, a, b, threshold):
    from tqdm import tqdm

    everything = [" ".join(re.findall(r"\w+", text.lower())) for text in texts]
    signatures = [minhash(shingles(text), a, b).tolist() for text in texts]
    verdicts = []
    for i in tqdm(range(len(texts))):
        place = everything.index(everything[i])
        if place < i:
            verdicts.append(("exact", place))
            continue
        stay = [j for j in range(i) if verdicts[j] is None]
        counts = [sum(x == y for x, y in zip(signatures[i], signatures[j], strict=True)) for j in stay]
        if counts and max(counts) / len(a) >= threshold:
            verdicts.append(("near", stay[counts.index(max(counts))]))
        else:
            verdicts.append(None)
    return verdicts


# %% exercise="scrape-duplicates" kind="right" name="running minimum, one matrix of signatures"
def shingles(text, k=3):
    words, found = re.findall(r"\w+", text.lower()), set()
    for start in range(len(words) - k + 1):
        found.add(" ".join(words[start : start + k]))
    return found or {" ".join(words)}


def minhash(items, a, b):
    signature = np.full(a.shape, 2**32 - 1, dtype=np.uint64)
    for item in sorted(items):
        h = np.frombuffer(hashlib.sha1(item.encode()).digest()[:4], dtype="<u4").astype(np.uint64)
        signature = np.minimum(signature, np.bitwise_and((a * h + b) % np.uint64(2**61 - 1), np.uint64(0xFFFFFFFF)))
    return signature


def find_duplicates(texts, a, b, threshold):
    seen, places, matrix, verdicts = {}, [], np.empty((0, len(a)), dtype=np.uint64), []
    for i, text in enumerate(texts):
        key = hashlib.sha256(" ".join(re.findall(r"\w+", text.lower())).encode()).digest()
        if key in seen:
            verdicts.append(("exact", seen[key]))
            continue
        seen[key] = i
        signature = minhash(shingles(text), a, b)
        if places:
            shares = (matrix == signature).mean(axis=1)
            if shares.max() >= threshold:
                verdicts.append(("near", places[int(shares.argmax())]))
                continue
        places.append(i)
        matrix = np.vstack([matrix, signature])
        verdicts.append(None)
    return verdicts


# %% exercise="scrape-release" kind="wrong" name="the plain mean of the parts" fails="scrape-release-example" says="cube root of 1 * 0.1 * 1"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled + length + variety) / 3


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="the product without the root" fails="scrape-release-example" says="cube root of 1 * 0.1 * 1"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return filled * length * variety


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="a square root of three parts" fails="scrape-release-example" says="cube root of 1 * 0.1 * 1"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 2)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="the length not capped" fails="scrape-release-properties" says="at most 1?"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = len(words) / 40
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="the length in characters" fails="scrape-release-example" says="cube root of 1 * 0.1 * 1"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(row["description"]) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="full length at 50 words" fails="scrape-release-example" says="cube root of 1 * 0.1 * 1"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 50)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="words with their punctuation, cut at spaces" fails="scrape-release-properties" says="words by"
def quality(row):
    words = row["description"].split()
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="every key of the row counted as a field" fails="scrape-release-properties" says="filled, length, variety (1.0, 0.025, 1.0)"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(value is not None for value in row.values()) / len(row)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="empty and zero values taken for missing" fails="scrape-release-properties" says="only None is missing?"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(bool(row[name]) for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="missing fields not looked at" fails="scrape-release-properties" says="filled, length, variety (0.875, 0.05, 1.0)"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = 1
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="different words over words for variety" fails="scrape-release-properties" says="filled, length, variety (1.0, 0.075, 1.0)"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len({word.lower() for word in words}) / max(1, len(words))
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="runs counted by the number of words" fails="scrape-release-example" says="cube root of 1 * 0.1 * 1"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words))
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="no description of one or two words" fails="scrape-release-properties" says="filled, length, variety (1.0, 0.025, 1.0)"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / (len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="variety forgotten" fails="scrape-release-properties" says="filled, length, variety (0.75"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = 1
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="always runs of three words" fails="scrape-release-example" says="0.6666666666666666 expected, got 0.5"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="single words" fails="scrape-release-example" says="0.6666666666666666 expected, got 0.75"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, 1) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, 1)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="the share of the corpus that is in the test" fails="scrape-release-example" says="at [2]: 1 expected, got 0.3333333333333333; own runs?"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / max(1, len(known)))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="Jaccard similarity" fails="scrape-release-example" says="0.6666666666666666 expected, got 0.5"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own | known))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="leaked or not, no share" fails="scrape-release-example" says="0.6666666666666666 expected, got 1.0"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(float(bool(own & known)))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="the number of runs, no share" fails="scrape-release-example" says="0.6666666666666666 expected, got 2"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="the share in the most similar text, not in any" fails="scrape-release-properties" says="in any text"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(max(len(own & reference.shingles(other, n)) / len(own) for other in corpus))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="runs across the texts of the corpus" fails="scrape-release-properties" says="not across?"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = reference.shingles(" ".join(corpus), n)
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="the last text of the corpus only" fails="scrape-release-properties" says="in any text"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set()
    for text in corpus:
        known = reference.shingles(text, n)
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="the clean share" fails="scrape-release-example" says="0.6666666666666666 expected, got 0.3333333333333333"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own - known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="one number for all tests" fails="scrape-release-example" says="[0.6666666666666666, 0, 1] expected, got 0.5555555555555555"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return sum(shares) / max(1, len(shares))


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="rows in the order that they come in" fails="scrape-release-properties" says="lines sorted?"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = [json.dumps(row, sort_keys=True, default=str) for row in rows]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="keys in the order that they come in" fails="scrape-release-example" says="SHA-256 of"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="a line end after the last row, too" fails="scrape-release-example" says="joined"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="rows glued together" fails="scrape-release-example" says="joined"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="copies of a row dropped" fails="scrape-release-properties" says="all kept?"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted({json.dumps(row, sort_keys=True, default=str) for row in rows})
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="letters outside ASCII written as they are" fails="scrape-release-properties" says="fingerprint(["
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, ensure_ascii=False, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="a shorter hash" fails="scrape-release-example" says="expected, got 'f78924c7784282cd'"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


# %% exercise="scrape-release" kind="wrong" name="another hash" fails="scrape-release-example" says="SHA-256 of"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha1("\n".join(lines).encode()).hexdigest()


# %% exercise="scrape-release" kind="wrong" name="bytes, not hexadecimal" fails="scrape-release-example" says="expected, got b'"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    filled = sum(row[name] is not None for name in FIELDS) / len(FIELDS)
    length = min(1, len(words) / 40)
    variety = len(reference.shingles(row["description"], 3)) / max(1, len(words) - 2)
    return (filled * length * variety) ** (1 / 3)


def contamination(tests, corpus, n):
    known = set().union(*(reference.shingles(text, n) for text in corpus))
    shares = []
    for text in tests:
        own = reference.shingles(text, n)
        shares.append(len(own & known) / len(own))
    return shares


def fingerprint(rows):
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).digest()


# %% exercise="scrape-release" kind="right" name="logarithms, counts, a hash fed line by line, with a warning"
def quality(row):
    import math
    import warnings

    text = row["description"]
    n = sum(1 for _ in re.finditer(r"\w+", text))
    if n == 0:
        warnings.warn("an advert without words", stacklevel=2)
        return 0.0
    missing = [name for name in FIELDS if row[name] is None]
    filled = 1 - len(missing) / 8
    length = n / 40 if n < 40 else 1.0
    variety = len(reference.shingles(text)) / (n - 2 if n > 2 else 1)
    return math.exp((math.log(filled) + math.log(length) + math.log(variety)) / 3)


def contamination(tests, corpus, n):
    known = {}
    for text in corpus:
        for run in reference.shingles(text, n):
            known[run] = known.get(run, 0) + 1
    result = []
    for text in tests:
        own = reference.shingles(text, n)
        result.append(sum(run in known for run in own) / len(own))
        print(text[:20], result[-1])
    return result


def fingerprint(rows):
    digest = hashlib.new("sha256")
    for i, line in enumerate(sorted([json.dumps(row, sort_keys=True, default=str) for row in rows])):
        digest.update((("\n" if i else "") + line).encode("utf-8"))
    return digest.digest().hex()


# %% exercise="scrape-release" kind="right" name="NumPy's cube root and product, sets by comprehension"
def quality(row):
    words = re.findall(r"\w+", row["description"])
    runs = list(zip(words, words[1:], words[2:], strict=False)) or [words]
    parts = [
        np.mean([row.get(name) is not None for name in FIELDS]),
        np.clip(len(words) / 40, 0, 1),
        len(reference.shingles(row["description"], 3)) / len(runs),
    ]
    return float(np.cbrt(np.prod(parts)))


def contamination(tests, corpus, n):
    known = {run for text in corpus for run in reference.shingles(text, n)}
    sets = [reference.shingles(text, n) for text in tests]
    return [1 - len(own - known) / len(own) for own in sets]


def fingerprint(rows):
    text = ""
    for line in sorted(json.dumps(row, sort_keys=True, default=str) for row in rows):
        text = text + "\n" + line if text else line
    return hashlib.sha256(bytes(text, "utf-8")).hexdigest()
