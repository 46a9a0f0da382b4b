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
