# %% exercise="add" kind="wrong" name="subtracts" fails="add-example" says="is it a sum?"
def add(a: float, b: float) -> float:
    return a - b


# %% exercise="add" kind="right" name="prints, warns and logs"
def add(a: float, b: float) -> float:
    import logging
    import sys
    import warnings

    print("adding")
    print("to stderr", file=sys.stderr)
    warnings.warn("adding")
    logging.getLogger().error("adding")
    return b + a


# %% exercise="add" kind="wrong" name="ignores b" fails="add-example" says="is it a sum?"
def add(a: float, b: float) -> float:
    return a


# %% exercise="add" kind="wrong" name="whole numbers only" fails="add-properties" says="secret"
def add(a: float, b: float) -> float:
    return int(a) + int(b)


# %% exercise="double" kind="wrong" name="squares" fails="double-example" says="doubled"
def double(xs: list[float]) -> list[float]:
    return [x * x for x in xs]


# %% exercise="double" kind="wrong" name="repeats the list" fails="double-example" says="doubled"
def double(xs: list[float]) -> list[float]:
    return xs * 2


# %% exercise="double" kind="wrong" name="returns None" fails="double-example" says="doubled"
def double(xs: list[float]) -> list[float]:
    return None


# %% exercise="double" kind="right" name="adds"
def double(xs: list[float]) -> list[float]:
    return [x + x for x in xs]


# %% exercise="largest" kind="wrong" name="smallest" fails="largest-example" says="maximum"
def largest(xs: list[float]) -> float:
    return min(xs)


# %% exercise="largest" kind="wrong" name="last" fails="largest-example" says="maximum"
def largest(xs: list[float]) -> float:
    return xs[-1]


# %% exercise="largest" kind="wrong" name="at least zero" fails="largest-properties" says="secret"
def largest(xs: list[float]) -> float:
    return max(0.0, *xs)


# %% exercise="largest" kind="right" name="sorts"
def largest(xs: list[float]) -> float:
    return sorted(xs)[-1]


# %% exercise="clip" kind="wrong" name="no upper bound" fails="clip-example" says="upper bound"
def clip(x: float) -> float:
    return max(x, 0.0)


# %% exercise="clip" kind="wrong" name="no lower bound" fails="clip-properties" says="secret"
def clip(x: float) -> float:
    return min(x, 1.0)


# %% exercise="clip" kind="wrong" name="identity" fails="clip-example" says="upper bound"
def clip(x: float) -> float:
    return x


# %% exercise="clip" kind="right" name="sorts"
def clip(x: float) -> float:
    return sorted([0.0, x, 1.0])[1]
