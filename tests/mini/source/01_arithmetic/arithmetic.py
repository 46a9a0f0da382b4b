# %% [markdown]
# # Arithmetic
#
# Four small functions, for the tests of the course's own tools.

# %% tags=["parameters"]
SCALE = "cpu"

# %% nbgrader={"grade": false, "grade_id": "arithmetic-imports", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
import math

# %% [markdown]
# ## Add two numbers


# %% nbgrader={"grade": false, "grade_id": "add", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def add(a: float, b: float) -> float:
    """Add two numbers: a and b."""
    ### BEGIN SOLUTION
    return a + b
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "add-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert add(2, 3) == 5, f"add(2, 3) should be 5, got {add(2, 3)}: is it a sum?"

# %% nbgrader={"grade": true, "grade_id": "add-properties", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# Another input.
### BEGIN HIDDEN TESTS
assert math.isclose(sum(add(-1.5, 4) if isinstance(add(-1.5, 4), list) else [add(-1.5, 4)]), 2.5), (
    "a secret: add(-1.5, 4) is not 2.5"
)
### END HIDDEN TESTS

# %% [markdown]
# ## Double a list


# %% nbgrader={"grade": false, "grade_id": "double", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def double(xs: list[float]) -> list[float]:
    """Double a list: each of xs."""
    ### BEGIN SOLUTION
    return [2 * x for x in xs]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "double-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert double([1, 2]) == [2, 4], f"double([1, 2]) should be [2, 4], got {double([1, 2])}: is each element doubled?"

# %% nbgrader={"grade": true, "grade_id": "double-properties", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# Another input.
### BEGIN HIDDEN TESTS
assert math.isclose(
    sum(double([0.5, -3]) if isinstance(double([0.5, -3]), list) else [double([0.5, -3])]), sum([1.0, -6])
), "a secret: double([0.5, -3]) is not [1.0, -6]"
### END HIDDEN TESTS

# %% [markdown]
# ## The largest of a list


# %% nbgrader={"grade": false, "grade_id": "largest", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def largest(xs: list[float]) -> float:
    """The largest of a list: xs."""
    ### BEGIN SOLUTION
    return max(xs)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "largest-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert largest([1, 5, 2]) == 5, f"largest([1, 5, 2]) should be 5, got {largest([1, 5, 2])}: is it the maximum?"

# %% nbgrader={"grade": true, "grade_id": "largest-properties", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
# Another input.
### BEGIN HIDDEN TESTS
assert math.isclose(
    sum(largest([-4, -2, -9]) if isinstance(largest([-4, -2, -9]), list) else [largest([-4, -2, -9])]), -2
), "a secret: largest([-4, -2, -9]) is not -2"
### END HIDDEN TESTS

# %% [markdown]
# ## Clip to [0, 1]


# %% nbgrader={"grade": false, "grade_id": "clip", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def clip(x: float) -> float:
    """Clip to [0, 1]: x."""
    ### BEGIN SOLUTION
    return min(max(x, 0.0), 1.0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "clip-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert str(clip(2.0)) == "1.0", f"clip(2.0) should be 1.0, got {clip(2.0)}: is the upper bound 1?"

# %% nbgrader={"grade": true, "grade_id": "clip-properties", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
# Another input.
### BEGIN HIDDEN TESTS
assert [clip(-3.0), clip(0.25)] == [0.0, 0.25], "a secret: clip(-3.0) is not 0.0, or clip(0.25) not 0.25"
### END HIDDEN TESTS
