"""What the scraping lab's experiments need beside the learner's pieces: clients, a memory, pictures, a data card."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import yaml
from datasketch import MinHash  # type: ignore[import-untyped]
from numpy.typing import NDArray

from llmlabs.lab.listing_site import ListingSite


def herd(retry_delay: Callable[..., float | None], jitter: bool, clients: int = 100, served: int = 10) -> Counter[int]:
    """Let clients that all start at once meet a server that answers so many requests a second and says 503 to the rest.

    Args:
        retry_delay: (status, failures, asked, u, most=...) -> seconds until the next attempt.
        jitter: draw u for each attempt; without it, u is 1.
        clients: how many.
        served: requests that the server answers in a second.

    Returns:
        By second the number of requests that arrived.
    """
    rng, arrivals, queue = random.Random(0), Counter[int](), [(0.0, 0)] * clients
    while queue:
        now, failures = heapq.heappop(queue)
        arrivals[int(now)] += 1
        if arrivals[int(now)] > served:
            u = rng.random() if jitter else 1.0
            delay = retry_delay(503, failures + 1, None, u, most=clients)
            heapq.heappush(queue, (now + (delay or 0.0), failures + 1))
    return arrivals


def herds(retry_delay: Callable[..., float | None], seconds: int = 65) -> None:
    """Draw, with and without jitter, the requests that arrive in each second after the first, and print how many.

    Args:
        retry_delay: see `herd`.
        seconds: the length of the picture.
    """
    plt.figure(figsize=(8, 2.6))
    for name, jitter, style in (("without jitter", False, "-"), ("with jitter", True, "--")):
        arrivals, times = herd(retry_delay, jitter), range(1, seconds + 1)
        plt.step(times, [arrivals[second] for second in times], style, where="mid", label=name)
        peak, last = max(count for second, count in arrivals.items() if second), max(arrivals)
        total = arrivals.total()
        print(f"{name}: {total} requests, the last after {last} s; after the first second up to {peak} a second")
    plt.gca().set(title="Without jitter the herd comes back as a herd", xlabel="time (s)", ylabel="requests per second")
    plt.legend()
    plt.show()


def minhash_errors(
    agreement: NDArray[np.float64], sets: Sequence[set[str]], pairs: NDArray[np.int64]
) -> tuple[float, float]:
    """The root mean square error of estimates of Jaccard similarities: the given ones, and those of datasketch.

    Args:
        agreement: (N, N), the estimates.
        sets: the N sets of shingles.
        pairs: (P, 2), the pairs that count.
    """
    sketches = []
    for items in sets:
        sketches.append(MinHash(128))
        sketches[-1].update_batch([item.encode() for item in items])
    truth = np.array([len(sets[i] & sets[j]) / len(sets[i] | sets[j]) for i, j in pairs])
    ours = np.array([agreement[i, j] for i, j in pairs]) - truth
    theirs = np.array([sketches[i].jaccard(sketches[j]) for i, j in pairs]) - truth
    return float(np.sqrt(np.mean(ours**2))), float(np.sqrt(np.mean(theirs**2)))


def similarities(
    agreement: NDArray[np.float64], sets: Sequence[set[str]], homes: NDArray[np.int64], threshold: float
) -> None:
    """Draw how similar each text is to the most similar one of another home, and of its own; print how wrong that is.

    Args:
        agreement: (N, N), estimated similarities.
        sets: the N sets of shingles.
        homes: (N,), the homes that the texts are about.
        threshold: drawn as a line.
    """
    copies = homes[:, None] == homes
    ours, theirs = minhash_errors(agreement, sets, np.argwhere(np.triu(copies, 1)))
    print(f"root mean square error of the similarity of copies: ours {ours:.3f}, datasketch's {theirs:.3f}")
    others = agreement * (1 - np.eye(len(agreement)))
    strangers, twins = np.where(copies, 0, others).max(axis=1), np.where(copies, others, 0).max(axis=1)
    twins = twins[copies.sum(axis=1) > 1]
    plt.figure(figsize=(8, 2.6))
    bins = np.linspace(0, 1, 41).tolist()
    plt.hist(strangers, bins, label="most similar advert of another home")
    plt.hist(twins, bins, alpha=0.8, hatch="//", label="most similar copy")
    plt.axvline(threshold, color="black", linestyle=":", label=f"threshold {threshold}")
    plt.gca().set(title="Copies and strangers lie apart", xlabel="estimated Jaccard similarity", ylabel="adverts")
    plt.legend()
    plt.show()
    print(f"highest similarity of strangers {strangers.max():.2f}; lowest of copies {twins.min():.2f}")


def contamination_by_length(shares: Mapping[int, Sequence[float]], taken: Sequence[bool]) -> None:
    """Draw and print the contamination of test texts, by the length of the runs of words.

    Args:
        shares: by length the contamination of each text.
        taken: which texts were really taken from the corpus.
    """
    leaked = np.array(taken)
    figure, axes = plt.subplots(1, len(shares), figsize=(8, 2.4), sharey=True)
    bins = np.linspace(0, 1, 11).tolist()
    for ax, (n, share) in zip(axes, shares.items(), strict=True):
        values = np.array(share)
        ax.hist([values[~leaked], values[leaked]], bins, stacked=True, label=["new", "from the site"])
        ax.set(title=f"runs of {n} words", xlabel="contamination")
        caught, accused = (values[leaked] > 0.5).mean(), (values[~leaked] > 0.5).mean()
        print(f"runs of {n:2} words: above one half are {caught:.0%} of the leaks, and {accused:.0%} of the new texts")
    axes[0].set_ylabel("test texts")
    axes[0].legend(fontsize=8)
    figure.suptitle("Short runs of words accuse every text, long ones only leaks")
    plt.show()


def memory_of(rows: Sequence[Mapping[str, Any]], shingles: Callable[[str], set[str]], within: float = 0.01) -> float:
    """How good a program looks that only remembers: it repeats the price of the most similar text it has seen.

    Args:
        rows: adverts with price and description. A random half is remembered, the other half is asked for.
        shingles: cuts a text into a set.
        within: how near a price must come, as a share of the true one.

    Returns:
        The share of the other half whose price it gets.
    """
    sets = [shingles(row["description"]) for row in rows]
    order = random.Random(0).sample(range(len(rows)), len(rows))
    seen, asked = order[::2], order[1::2]
    right = 0
    for i in asked:
        best = max(seen, key=lambda j: len(sets[i] & sets[j]) / len(sets[i] | sets[j]))
        right += abs(rows[best]["price"] / rows[i]["price"] - 1) <= within
    return right / len(asked)


def stages(rows: Mapping[str, Sequence[Mapping[str, Any]]], memory: Mapping[str, float], site: ListingSite) -> None:
    """Print and draw what is left after each stage, how many copies and poor adverts are in it, and `memory_of` it.

    Args:
        rows: by stage the adverts, each with the path of its page as "url".
        memory: by stage the success of `memory_of`, where it is known.
        site: which knows the truth.
    """
    for name in memory:
        adverts = [site.by_path[row["url"]] for row in rows[name]]
        copies, poor = len(adverts) - len({one.home for one in adverts}), sum(one.is_poor for one in adverts)
        counts = f"{len(adverts):3} rows, {copies:2} copies, {poor} poor"
        print(f"{name:>15}: {counts}; {memory[name]:.0%} of prices right from memory")
    _, axes = plt.subplots(1, 2, figsize=(8, 2.4))
    axes[0].barh(list(rows), [len(part) for part in rows.values()])
    axes[0].set(title="What is left after each stage", xlabel="rows")
    axes[1].barh(list(memory), [100 * share for share in memory.values()], color="C1")
    axes[1].set(title="Copies make a memory look skilful", xlabel="share of prices within 1 % (%)")
    for ax in axes:
        ax.invert_yaxis()
    plt.show()


def data_card(rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any], path: Path) -> None:
    """Write and print the data card of a set of adverts: what the caller says about it, and what the rows show.

    Args:
        rows: the adverts, with numbers for price and area.
        about: entries that come first, such as name, version and licence.
        path: the file, in YAML.
    """
    ratio = [row["price"] / row["area"] for row in rows]
    card = {
        **about,
        "fields": {name: type(value).__name__ for name, value in rows[0].items()},
        "missing": {name: count for name in rows[0] if (count := sum(row[name] is None for row in rows))},
        "euros_per_square_metre": {f"{q} %": round(float(np.percentile(ratio, q))) for q in (5, 50, 95)},
        "rows_by_city": dict(sorted(Counter(row["city"] for row in rows).items())),
    }
    text = yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=100)
    path.write_text(text, encoding="utf-8")
    print(text)
