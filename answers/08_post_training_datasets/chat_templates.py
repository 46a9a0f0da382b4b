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
# Known answers to the exercises of `chat_templates`: wrong ones that a test must catch, and other right ones. `llmlabs verify` grades them.

# %%
# the imports of the lab, for editors and linters; every answer below defines the whole solution cell anew
import json
import re

import numpy as np
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmlabs.lab.chats import IGNORE, MARKERS, REFUSALS, SHAREGPT_ROLES
from llmlabs.lab.reference import chat_templates as reference


# %% exercise="chat-formats" kind="wrong" name="one line end between instruction and input" fails="chat-formats-example" says="instruction, empty line, input"
def alpaca_to_messages(row):
    user = row["instruction"]
    if row.get("input"):
        user = user + "\n" + row["input"]
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": row["system"]})
    return messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"not one exchange: {roles}")
    system = messages[0]["content"] if len(messages) == 3 else ""
    return {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"], "system": system}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        if entry["from"] not in SHAREGPT_ROLES:
            raise ValueError(f"unknown speaker {entry['from']!r}")
        messages.append({"role": SHAREGPT_ROLES[entry["from"]], "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="wrong" name="an empty line also where there is no input" fails="chat-formats-example" says="no input"
def alpaca_to_messages(row):
    user = row["instruction"]
    user = user + "\n\n" + row.get("input", "")
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": row["system"]})
    return messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"not one exchange: {roles}")
    system = messages[0]["content"] if len(messages) == 3 else ""
    return {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"], "system": system}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        if entry["from"] not in SHAREGPT_ROLES:
            raise ValueError(f"unknown speaker {entry['from']!r}")
        messages.append({"role": SHAREGPT_ROLES[entry["from"]], "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="wrong" name="a missing input is a KeyError" fails="chat-formats-properties" says="'input'"
def alpaca_to_messages(row):
    user = row["instruction"]
    if row["input"]:
        user = user + "\n\n" + row["input"]
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": row["system"]})
    return messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"not one exchange: {roles}")
    system = messages[0]["content"] if len(messages) == 3 else ""
    return {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"], "system": system}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        if entry["from"] not in SHAREGPT_ROLES:
            raise ValueError(f"unknown speaker {entry['from']!r}")
        messages.append({"role": SHAREGPT_ROLES[entry["from"]], "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="wrong" name="an empty system message where there is none" fails="chat-formats-properties" says="empty is like missing"
def alpaca_to_messages(row):
    user = row["instruction"]
    if row.get("input"):
        user = user + "\n\n" + row["input"]
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    return [{"role": "system", "content": row.get("system", "")}, *messages] if "system" in row else messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"not one exchange: {roles}")
    system = messages[0]["content"] if len(messages) == 3 else ""
    return {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"], "system": system}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        if entry["from"] not in SHAREGPT_ROLES:
            raise ValueError(f"unknown speaker {entry['from']!r}")
        messages.append({"role": SHAREGPT_ROLES[entry["from"]], "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="wrong" name="the system message last" fails="chat-formats-properties" says="system first"
def alpaca_to_messages(row):
    user = row["instruction"]
    if row.get("input"):
        user = user + "\n\n" + row["input"]
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    if row.get("system"):
        messages.append({"role": "system", "content": row["system"]})
    return messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"not one exchange: {roles}")
    system = messages[0]["content"] if len(messages) == 3 else ""
    return {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"], "system": system}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        if entry["from"] not in SHAREGPT_ROLES:
            raise ValueError(f"unknown speaker {entry['from']!r}")
        messages.append({"role": SHAREGPT_ROLES[entry["from"]], "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="wrong" name="texts stripped" fails="chat-formats-properties" says="nothing is stripped"
def alpaca_to_messages(row):
    user = row["instruction"].strip()
    if row.get("input"):
        user = user + "\n\n" + row["input"]
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": row["system"]})
    return messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"not one exchange: {roles}")
    system = messages[0]["content"] if len(messages) == 3 else ""
    return {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"], "system": system}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        if entry["from"] not in SHAREGPT_ROLES:
            raise ValueError(f"unknown speaker {entry['from']!r}")
        messages.append({"role": SHAREGPT_ROLES[entry["from"]], "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="wrong" name="Alpaca takes the first exchange of many" fails="chat-formats-properties" says="no room in an Alpaca row"
def alpaca_to_messages(row):
    user = row["instruction"]
    if row.get("input"):
        user = user + "\n\n" + row["input"]
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": row["system"]})
    return messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    head = roles[0] == "system"
    system = messages[0]["content"] if head else ""
    return {
        "instruction": messages[head]["content"],
        "input": "",
        "output": messages[head + 1]["content"],
        "system": system,
    }


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        if entry["from"] not in SHAREGPT_ROLES:
            raise ValueError(f"unknown speaker {entry['from']!r}")
        messages.append({"role": SHAREGPT_ROLES[entry["from"]], "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="wrong" name="the number of messages checked, not the roles" fails="chat-formats-properties" says="no room in an Alpaca row"
def alpaca_to_messages(row):
    user = row["instruction"]
    if row.get("input"):
        user = user + "\n\n" + row["input"]
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": row["system"]})
    return messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    if len(roles) not in (2, 3):
        raise ValueError(f"not one exchange: {roles}")
    system = messages[0]["content"] if len(messages) == 3 else ""
    return {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"], "system": system}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        if entry["from"] not in SHAREGPT_ROLES:
            raise ValueError(f"unknown speaker {entry['from']!r}")
        messages.append({"role": SHAREGPT_ROLES[entry["from"]], "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="wrong" name="an unknown speaker taken for the user" fails="chat-formats-properties" says="the name is not in SHAREGPT_ROLES"
def alpaca_to_messages(row):
    user = row["instruction"]
    if row.get("input"):
        user = user + "\n\n" + row["input"]
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": row["system"]})
    return messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"not one exchange: {roles}")
    system = messages[0]["content"] if len(messages) == 3 else ""
    return {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"], "system": system}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        messages.append({"role": SHAREGPT_ROLES.get(entry["from"], "user"), "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="wrong" name="an unknown speaker is a KeyError" fails="chat-formats-properties" says="raised KeyError"
def alpaca_to_messages(row):
    user = row["instruction"]
    if row.get("input"):
        user = user + "\n\n" + row["input"]
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": row["system"]})
    return messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"not one exchange: {roles}")
    system = messages[0]["content"] if len(messages) == 3 else ""
    return {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"], "system": system}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        messages.append({"role": SHAREGPT_ROLES[entry["from"]], "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="wrong" name="knows the names human and gpt only" fails="chat-formats-properties" says="unknown speaker 'user'"
def alpaca_to_messages(row):
    user = row["instruction"]
    if row.get("input"):
        user = user + "\n\n" + row["input"]
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": row["system"]})
    return messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"not one exchange: {roles}")
    system = messages[0]["content"] if len(messages) == 3 else ""
    return {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"], "system": system}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        roles = {"system": "system", "human": "user", "gpt": "assistant"}
        if entry["from"] not in roles:
            raise ValueError(f"unknown speaker {entry['from']!r}")
        messages.append({"role": roles[entry["from"]], "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="wrong" name="renames the keys in the caller's entries" fails="chat-formats-example" says="changed its arguments"
def alpaca_to_messages(row):
    user = row["instruction"]
    if row.get("input"):
        user = user + "\n\n" + row["input"]
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": row["system"]})
    return messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"not one exchange: {roles}")
    system = messages[0]["content"] if len(messages) == 3 else ""
    return {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"], "system": system}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        if entry["from"] not in SHAREGPT_ROLES:
            raise ValueError(f"unknown speaker {entry['from']!r}")
        entry["role"], entry["content"] = SHAREGPT_ROLES[entry.pop("from")], entry.pop("value")
        messages.append({"role": entry["role"], "content": entry["content"]})
    return messages


def messages_to_sharegpt(messages):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="wrong" name="roles written instead of ShareGPT's names" fails="chat-formats-example" says="{'from': 'human'"
def alpaca_to_messages(row):
    user = row["instruction"]
    if row.get("input"):
        user = user + "\n\n" + row["input"]
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    if row.get("system"):
        messages.insert(0, {"role": "system", "content": row["system"]})
    return messages


def messages_to_alpaca(messages):
    roles = [m["role"] for m in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"not one exchange: {roles}")
    system = messages[0]["content"] if len(messages) == 3 else ""
    return {"instruction": messages[-2]["content"], "input": "", "output": messages[-1]["content"], "system": system}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        if entry["from"] not in SHAREGPT_ROLES:
            raise ValueError(f"unknown speaker {entry['from']!r}")
        messages.append({"role": SHAREGPT_ROLES[entry["from"]], "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    return {"conversations": [{"from": m["role"], "value": m["content"]} for m in messages]}


# %% exercise="chat-formats" kind="right" name="comprehensions and dict.get with a default"
def alpaca_to_messages(row):
    fields = [row["instruction"], row.get("input") or ""]
    found = [("system", row.get("system") or ""), ("user", "\n\n".join(fields) if fields[1] else fields[0])]
    messages = [{"role": role, "content": text} for role, text in found if role == "user" or text]
    return [*messages, {"role": "assistant", "content": row["output"]}]


def messages_to_alpaca(messages):
    by_role = {message["role"]: message["content"] for message in messages}
    if " ".join(message["role"] for message in messages).removeprefix("system ") != "user assistant":
        raise ValueError("Alpaca holds one exchange")
    row = {"instruction": by_role["user"], "output": by_role["assistant"]}
    return {"input": "", "system": by_role.get("system", ""), **row}


def sharegpt_to_messages(row):
    unknown = {entry["from"] for entry in row["conversations"]} - set(SHAREGPT_ROLES)
    if unknown:
        raise ValueError(f"who are {unknown}?")
    return [{"role": SHAREGPT_ROLES[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]


def messages_to_sharegpt(messages):
    names = {}
    for name, role in [("system", "system"), ("human", "user"), ("gpt", "assistant")]:
        names[role] = name
    return {"conversations": [{"value": m["content"], "from": names[m["role"]]} for m in messages]}


# %% exercise="chat-formats" kind="right" name="match statements, and warnings and prints on the way"
def alpaca_to_messages(row):
    import warnings

    warnings.warn("Alpaca rows lose their input's place", stacklevel=1)
    match row:
        case {"input": str(text)} if text != "":
            user = f"{row['instruction']}\n\n{text}"
        case _:
            user = row["instruction"]
    messages = [] if row.get("system", "") in ("", None) else [{"role": "system", "content": row["system"]}]
    messages += [{"role": "user", "content": user}, {"role": "assistant", "content": row["output"]}]
    return messages


def messages_to_alpaca(messages):
    match messages:
        case [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]:
            system = ""
        case [
            {"role": "system", "content": system},
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]:
            print("with a system prompt")
        case _:
            raise ValueError(f"{len(messages)} messages are not one exchange")
    return {"system": system, "instruction": question, "output": answer, "input": ""}


def sharegpt_to_messages(row):
    messages = []
    for entry in row["conversations"]:
        try:
            role = SHAREGPT_ROLES[entry["from"]]
        except KeyError as error:
            raise ValueError("no such speaker: " + entry["from"]) from error
        print(role, len(entry["value"]))
        messages.append({"role": role, "content": entry["value"]})
    return messages


def messages_to_sharegpt(messages):
    def name(role):
        return "human" if role == "user" else "gpt" if role == "assistant" else "system"

    return {"conversations": [{"from": name(m["role"]), "value": m["content"]} for m in messages]}


# %% exercise="chat-faults" kind="wrong" name="an empty list is well" fails="chat-faults-example" says="no-messages"
def faults(messages):
    if not messages:
        return []
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="no codes after the first of a message" fails="chat-faults-example" says="(2, 'no-text')"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        if found and found[-1][0] == i:
            continue
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="stops at the first fault" fails="chat-faults-example" says="returned [(2, 'same-role')]"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return found[:1]


# %% exercise="chat-faults" kind="wrong" name="messages numbered from 1" fails="chat-faults-example" says="returned [(3, 'same-role')"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages, 1):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 1:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) and role != "assistant":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="compares with the message just before, of whatever role" fails="chat-faults-properties" says="whatever others stand between"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant") and role == last_role:
            found.append((i, "same-role"))
        last_role = role
        if role == "user":
            user_spoke = True
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="two system messages also repeat a role" fails="chat-faults-properties" says="two of user or two of assistant"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("system", "user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="a reply is first only at the very start" fails="chat-faults-properties" says="no user message before it"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role = [], None
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and i == 0:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="an empty text is found, white space is not" fails="chat-faults-example" says="(2, 'no-text')"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        if not isinstance(content, str) or not content:
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="content that is no string is turned into one" fails="chat-faults-properties" says="the content is missing, no text, or only white space"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        content = str(content)
        if not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="crashes on a message without a role" fails="chat-faults-properties" says="'role'"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message["role"], message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="a list as role cannot be looked up in a set" fails="chat-faults-properties" says="unhashable type"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in {"system", "user", "assistant"}:
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="knows the markers of its own template only" fails="chat-faults-properties" says="the content holds a special token as text"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in ("<|im_start|>", "<|im_end|>")):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="a marker only if it is the whole text" fails="chat-faults-example" says="(3, 'marker')"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and content in MARKERS:
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="no-reply only after a user" fails="chat-faults-properties" says="the last message is not the assistant's"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role == "user":
            found.append((i, "no-reply"))
    return found


# %% exercise="chat-faults" kind="wrong" name="sorted by the alphabet" fails="chat-faults-example" says="returned [(2, 'no-text'), (2, 'same-role')"
def faults(messages):
    if not messages:
        return [(0, "no-messages")]
    found, last_role, user_spoke = [], None, False
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant"):
            found.append((i, "unknown-role"))
        if role == "system" and i > 0:
            found.append((i, "late-system"))
        if role == "assistant" and not user_spoke:
            found.append((i, "reply-first"))
        if role in ("user", "assistant"):
            if role == last_role:
                found.append((i, "same-role"))
            last_role = role
        if role == "user":
            user_spoke = True
        if not isinstance(content, str) or not content.strip():
            found.append((i, "no-text"))
        if isinstance(content, str) and any(marker in content for marker in MARKERS):
            found.append((i, "marker"))
        if i == len(messages) - 1 and role != "assistant":
            found.append((i, "no-reply"))
    return sorted(found)


# %% exercise="chat-faults" kind="right" name="looks back from each message, and prints"
def faults(messages):
    found = [] if messages else [(0, "no-messages")]
    for number in range(len(messages)):
        message, before = messages[number], [m.get("role", None) for m in messages[:number]]
        role, text = message.get("role", ""), message.get("content", None)
        talk = [earlier for earlier in before if earlier == "user" or earlier == "assistant"]
        rules = {
            "unknown-role": role != "system" and role != "user" and role != "assistant",
            "late-system": role == "system" and number != 0,
            "reply-first": role == "assistant" and "user" not in before,
            "same-role": bool(talk) and role == talk[-1],
            "no-text": type(text) is not str or text.isspace() or text == "",
            "marker": type(text) is str and sum(text.count(marker) for marker in MARKERS) > 0,
            "no-reply": number + 1 == len(messages) and role != "assistant",
        }
        found += [(number, code) for code, broken in rules.items() if broken]
        print(number, role, found)
    return found


# %% exercise="chat-faults" kind="right" name="a regular expression for the markers, a generator for the rest"
def faults(messages):
    forged = re.compile("|".join(re.escape(marker) for marker in MARKERS))

    def walk():
        speaker, asked = "", False
        if len(messages) == 0:
            yield 0, "no-messages"
        for i, message in enumerate(messages):
            role = message.get("role")
            match role:
                case "system":
                    if i:
                        yield i, "late-system"
                case "user" | "assistant":
                    if role == "assistant" and not asked:
                        yield i, "reply-first"
                    if role == speaker:
                        yield i, "same-role"
                    speaker, asked = role, asked or role == "user"
                case _:
                    yield i, "unknown-role"
            content = message.get("content")
            if not (isinstance(content, str) and re.search(r"\S", content)):
                yield i, "no-text"
            if isinstance(content, str) and forged.search(content):
                yield i, "marker"
        if messages and messages[-1].get("role") != "assistant":
            yield len(messages) - 1, "no-reply"

    return list(walk())


# %% exercise="chat-render" kind="wrong" name="blocks not trimmed" fails="chat-render-example" says="are blocks trimmed?"
def render(template, messages, **variables):
    def raise_exception(text):
        raise TemplateError(text)

    def tojson(value):
        return json.dumps(value, ensure_ascii=False)

    env = ImmutableSandboxedEnvironment(lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = tojson
    return env.from_string(template).render(messages=messages, **variables)


# %% exercise="chat-render" kind="wrong" name="blanks before blocks stay" fails="chat-render-properties" says="lstrip_blocks"
def render(template, messages, **variables):
    def raise_exception(text):
        raise TemplateError(text)

    def tojson(value):
        return json.dumps(value, ensure_ascii=False)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = tojson
    return env.from_string(template).render(messages=messages, **variables)


# %% exercise="chat-render" kind="wrong" name="no loop controls" fails="chat-render-properties" says="unknown tag 'break'"
def render(template, messages, **variables):
    def raise_exception(text):
        raise TemplateError(text)

    def tojson(value):
        return json.dumps(value, ensure_ascii=False)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = tojson
    return env.from_string(template).render(messages=messages, **variables)


# %% exercise="chat-render" kind="wrong" name="the variables are not passed on" fails="chat-render-example" says="add_generation_prompt=True"
def render(template, messages, **variables):
    def raise_exception(text):
        raise TemplateError(text)

    def tojson(value):
        return json.dumps(value, ensure_ascii=False)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = tojson
    return env.from_string(template).render(messages=messages)


# %% exercise="chat-render" kind="wrong" name="only add_generation_prompt is passed on" fails="chat-render-properties" says="are all variables passed on?"
def render(template, messages, **variables):
    def raise_exception(text):
        raise TemplateError(text)

    def tojson(value):
        return json.dumps(value, ensure_ascii=False)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = tojson
    return env.from_string(template).render(
        messages=messages, add_generation_prompt=variables.get("add_generation_prompt")
    )


# %% exercise="chat-render" kind="wrong" name="Jinja's own tojson" fails="chat-render-properties" says="plain JSON, nothing stripped or escaped"
def render(template, messages, **variables):
    def raise_exception(text):
        raise TemplateError(text)

    def tojson(value):
        return json.dumps(value, ensure_ascii=False)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = raise_exception
    return env.from_string(template).render(messages=messages, **variables)


# %% exercise="chat-render" kind="wrong" name="JSON with escapes" fails="chat-render-properties" says="plain JSON, nothing stripped or escaped"
def render(template, messages, **variables):
    def raise_exception(text):
        raise TemplateError(text)

    def tojson(value):
        return json.dumps(value)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = tojson
    return env.from_string(template).render(messages=messages, **variables)


# %% exercise="chat-render" kind="wrong" name="raise_exception returns the error" fails="chat-render-properties" says="TemplateError that says 'no tool', but raised nothing"
def render(template, messages, **variables):
    def raise_exception(text):
        return TemplateError(text)

    def tojson(value):
        return json.dumps(value, ensure_ascii=False)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = tojson
    return env.from_string(template).render(messages=messages, **variables)


# %% exercise="chat-render" kind="wrong" name="raise_exception raises a ValueError" fails="chat-render-properties" says="raised ValueError"
def render(template, messages, **variables):
    def raise_exception(text):
        raise ValueError(text)

    def tojson(value):
        return json.dumps(value, ensure_ascii=False)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = tojson
    return env.from_string(template).render(messages=messages, **variables)


# %% exercise="chat-render" kind="wrong" name="the error has lost its text" fails="chat-render-properties" says="TemplateError that says 'no tool'"
def render(template, messages, **variables):
    def raise_exception(text):
        raise TemplateError("the template refused")

    def tojson(value):
        return json.dumps(value, ensure_ascii=False)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = tojson
    return env.from_string(template).render(messages=messages, **variables)


# %% exercise="chat-render" kind="wrong" name="no sandbox" fails="chat-render-properties" says="the sandbox should stop this"
def render(template, messages, **variables):
    from jinja2 import Environment

    def raise_exception(text):
        raise TemplateError(text)

    env = Environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return env.from_string(template).render(messages=messages, **variables)


# %% exercise="chat-render" kind="wrong" name="a sandbox that lets the messages be changed" fails="chat-render-properties" says="the sandbox should stop this"
def render(template, messages, **variables):
    from jinja2.sandbox import SandboxedEnvironment

    def raise_exception(text):
        raise TemplateError(text)

    env = SandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return env.from_string(template).render(messages=messages, **variables)


# %% exercise="chat-render" kind="wrong" name="the result stripped" fails="chat-render-example" says="should return '[user] Hi"
def render(template, messages, **variables):
    def raise_exception(text):
        raise TemplateError(text)

    def tojson(value):
        return json.dumps(value, ensure_ascii=False)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = tojson
    return env.from_string(template).render(messages=messages, **variables).strip()


# %% exercise="chat-render" kind="wrong" name="texts escaped for web pages" fails="chat-render-example" says="returned '&lt;"
def render(template, messages, **variables):
    def raise_exception(text):
        raise TemplateError(text)

    def tojson(value):
        return json.dumps(value, ensure_ascii=False)

    env = ImmutableSandboxedEnvironment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = tojson
    return env.from_string(template).render(messages=messages, **variables)


# %% exercise="chat-render" kind="right" name="everything handed over as variables, with prints"
def render(template, messages, **variables):
    class Refusing(ImmutableSandboxedEnvironment):
        """The sandbox of transformers."""

    def stop(text):
        print("the template stopped:", text)
        raise TemplateError(text)

    environment = Refusing(extensions=["jinja2.ext.loopcontrols"])
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters.update(tojson=lambda value, **options: json.dumps(value, **{"ensure_ascii": False, **options}))
    known = {**variables, "messages": messages, "raise_exception": stop}
    text = environment.from_string(template).render(known)
    print(len(text), "characters")
    return text


# %% exercise="chat-render" kind="right" name="transformers' own function"
def render(template, messages, **variables):
    from transformers.utils.chat_template_utils import render_jinja_template

    return render_jinja_template(conversations=[messages], chat_template=template, **variables)[0][0]


# %% exercise="chat-roleplay" kind="wrong" name="everybody's thoughts" fails="chat-roleplay-example" says="keep_thoughts True"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="and before or: keep_thoughts shows Tom's thoughts too" fails="chat-roleplay-example" says="keep_thoughts True"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and loop.index0 > ns.last or (keep_thoughts and m.thought) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="the last user message forgotten outside of the loop" fails="chat-roleplay-example" says="keep_thoughts False"
def roleplay_template():
    return (
        "{% set last = -1 %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="the first user message, not the last" fails="chat-roleplay-example" says="keep_thoughts False"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' and ns.last < 0 %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="without a user no thoughts" fails="chat-roleplay-properties" says="after the last user message (if there is one)"
def roleplay_template():
    return (
        "{% set ns = namespace(last=messages | length) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="only the thought of the last message" fails="chat-roleplay-properties" says="after the last user message (if there is one)"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="empty thoughts and actions leave their markers" fails="chat-roleplay-properties" says="not empty"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought is defined and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action is defined %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="the action before the thought" fails="chat-roleplay-properties" says="before the action"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="actions of the speaker only" fails="chat-roleplay-properties" says="any character's"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action and m.name == speaker %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="no cards" fails="chat-roleplay-properties" says="cards come after the system's content"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="a card before its line end" fails="chat-roleplay-properties" says="a line end before each"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ card.name + ': ' + card.persona + '\n' }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="opens an assistant's reply" fails="chat-roleplay-properties" says="the role and name of the header"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="always opens a reply" fails="chat-roleplay-example" says="the example by hand, keep_thoughts False"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{{ '<|im_start|>character ' + speaker + '\n' }}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="no line end after the opened header" fails="chat-roleplay-properties" says="line ends as they are"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="texts trimmed" fails="chat-roleplay-properties" says="texts and line ends as they are"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content | trim + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="a late system message is written like the first" fails="chat-roleplay-properties" says="these roles are refused"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="any other role taken for a character" fails="chat-roleplay-properties" says="these roles are refused"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% else %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="a conversation may begin with a user" fails="chat-roleplay-properties" says="these roles are refused"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        r"{{ m.content + '<|im_end|>\n' }}"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="wrong" name="laid out over lines, with a line end after each message too many" fails="chat-roleplay-example" says="the example by hand, keep_thoughts False"
def roleplay_template():
    return (
        "{% set ns = namespace(last=-1) %}"
        "{% for m in messages %}"
        "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
        "{% endfor %}"
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
        "{% if m.role == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('late system message') }}{% endif %}"
        r"{{ '<|im_start|>system\n' + m.content }}"
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}"
        r"{{ '<|im_end|>\n' }}"
        "{% elif m.role == 'user' %}"
        r"{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
        "{% elif m.role == 'character' %}"
        r"{{ '<|im_start|>character ' + m.name + '\n' }}"
        "{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}"
        "{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}"
        "{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}"
        "{{ m.content }}<|im_end|>\n\n"
        "{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{% endfor %}"
        r"{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}"
    )


# %% exercise="chat-roleplay" kind="right" name="laid out over lines, with macros and whitespace control"
def roleplay_template():
    print("a template in Jinja")
    return """
{%- macro part(kind, text) -%}
    {%- if text -%} <|{{ kind }}|>{{ text }}<|/{{ kind }}|> {%- endif -%}
{%- endmacro -%}
{%- if messages[0].role != "system" -%} {{- raise_exception("begin with a system message") -}} {%- endif -%}
{{- "<|im_start|>system\n" ~ messages[0].content -}}
{%- for card in cards or [] -%} {{- "\n" ~ card["name"] ~ ": " ~ card["persona"] -}} {%- endfor -%}
{{- "<|im_end|>\n" -}}
{%- for m in messages[1:] -%}
    {%- set later = messages[loop.index + 1:] | selectattr("role", "equalto", "user") | list | length -%}
    {%- if m.role == "user" -%}
        {{- "<|im_start|>user\n" ~ m.content -}}
    {%- elif m.role == "character" -%}
        {{- "<|im_start|>character " ~ m.name ~ "\n" -}}
        {%- if m.name == speaker and (later == 0 or keep_thoughts) -%} {{- part("thought", m.thought) -}} {%- endif -%}
        {{- part("action", m.action) ~ m.content -}}
    {%- else -%}
        {{- raise_exception("no such role here") -}}
    {%- endif -%}
    {{- "<|im_end|>\n" -}}
{%- endfor -%}
{%- if add_generation_prompt -%} {{- "<|im_start|>character " ~ speaker ~ "\n" -}} {%- endif -%}
"""


# %% exercise="chat-roleplay" kind="right" name="counts the users who still come, with conditional expressions"
def roleplay_template():
    lines = [
        "{% set ns = namespace(left=messages | selectattr('role', 'eq', 'user') | list | length) %}",
        "{% for m in messages %}",
        "{% set known = ['system'] if loop.index0 == 0 else ['user', 'character'] %}",
        "{% if m['role'] not in known %}{{ raise_exception('role out of place') }}{% endif %}",
        "{% if m['role'] == 'user' %}{% set ns.left = ns.left - 1 %}{% endif %}",
        "{{ '<|im_start|>' + m['role'] + (' ' + m['name'] if m['role'] == 'character' else '') + '\n' }}",
        "{% if m['role'] == 'character' %}",
        "{% set private = m['name'] == speaker and (keep_thoughts or not ns.left) %}",
        "{{ '<|thought|>' + m['thought'] + '<|/thought|>' if m['thought'] and private else '' }}",
        "{{ '<|action|>' + m['action'] + '<|/action|>' if m['action'] else '' }}",
        "{% endif %}",
        "{{ m['content'] }}",
        "{% if loop.first and cards %}",
        "{% for c in cards %}{{ '\n%s: %s' | format(c['name'], c['persona']) }}{% endfor %}",
        "{% endif %}",
        "{{ '<|im_end|>\n' }}",
        "{% endfor %}",
        "{{ '<|im_start|>character ' + speaker + '\n' if add_generation_prompt else '' }}",
    ]
    return "".join(lines)


# %% exercise="chat-encode" kind="wrong" name="renders everything, then encodes" fails="chat-encode-example" says="only it is split"
def encode_chat(tokenizer, template, messages, **variables):
    return tokenizer.encode(reference.render(template, messages, **variables), add_special_tokens=False)


# %% exercise="chat-encode" kind="wrong" name="the template's markers are split as well" fails="chat-encode-example" says="only it is split"
def encode_chat(tokenizer, template, messages, **variables):
    text = reference.render(template, messages, **variables)
    return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)


# %% exercise="chat-encode" kind="wrong" name="takes the markers out of what the user typed" fails="chat-encode-example" says="user message 'a<|im_end|>': expected"
def encode_chat(tokenizer, template, messages, **variables):
    clean = []
    for message in messages:
        fields = dict(message)
        for key in fields:
            for marker in MARKERS:
                fields[key] = fields[key].replace(marker, "")
        clean.append(fields)
    return tokenizer.encode(reference.render(template, clean, **variables), add_special_tokens=False)


# %% exercise="chat-encode" kind="wrong" name="guards the content only, not names, actions and thoughts" fails="chat-encode-properties" says="can a name forge them?"
def encode_chat(tokenizer, template, messages, **variables):
    texts = []

    def hold(value):
        texts.append(value)
        return f"\ue000{len(texts) - 1}\ue001"

    held = [{k: v if k != "content" or not v else hold(v) for k, v in message.items()} for message in messages]
    pieces = re.split("\ue000(\\d+)\ue001", reference.render(template, held, **variables))
    ids = []
    for number, piece in enumerate(pieces):
        typed = number % 2 == 1
        text = texts[int(piece)] if typed else piece
        ids += tokenizer.encode(text, add_special_tokens=False, split_special_tokens=typed)
    return ids


# %% exercise="chat-encode" kind="wrong" name="the role is a placeholder too" fails="chat-encode-properties" says="system as role?"
def encode_chat(tokenizer, template, messages, **variables):
    texts = []

    def hold(value):
        texts.append(value)
        return f"\ue000{len(texts) - 1}\ue001"

    held = [{k: v if not v else hold(v) for k, v in message.items()} for message in messages]
    pieces = re.split("\ue000(\\d+)\ue001", reference.render(template, held, **variables))
    ids = []
    for number, piece in enumerate(pieces):
        typed = number % 2 == 1
        text = texts[int(piece)] if typed else piece
        ids += tokenizer.encode(text, add_special_tokens=False, split_special_tokens=typed)
    return ids


# %% exercise="chat-encode" kind="wrong" name="an empty string is a placeholder too" fails="chat-encode-properties" says="empty ones stay"
def encode_chat(tokenizer, template, messages, **variables):
    texts = []

    def hold(value):
        texts.append(value)
        return f"\ue000{len(texts) - 1}\ue001"

    held = [{k: v if k == "role" else hold(v) for k, v in message.items()} for message in messages]
    pieces = re.split("\ue000(\\d+)\ue001", reference.render(template, held, **variables))
    ids = []
    for number, piece in enumerate(pieces):
        typed = number % 2 == 1
        text = texts[int(piece)] if typed else piece
        ids += tokenizer.encode(text, add_special_tokens=False, split_special_tokens=typed)
    return ids


# %% exercise="chat-encode" kind="wrong" name="the variables are not passed on" fails="chat-encode-properties" says="are the variables passed on?"
def encode_chat(tokenizer, template, messages, **variables):
    texts = []

    def hold(value):
        texts.append(value)
        return f"\ue000{len(texts) - 1}\ue001"

    held = [{k: v if k == "role" or not v else hold(v) for k, v in message.items()} for message in messages]
    pieces = re.split("\ue000(\\d+)\ue001", reference.render(template, held))
    ids = []
    for number, piece in enumerate(pieces):
        typed = number % 2 == 1
        text = texts[int(piece)] if typed else piece
        ids += tokenizer.encode(text, add_special_tokens=False, split_special_tokens=typed)
    return ids


# %% exercise="chat-encode" kind="wrong" name="the texts in order, not by their numbers" fails="chat-encode-properties" says="list index out of range"
def encode_chat(tokenizer, template, messages, **variables):
    texts = []

    def hold(value):
        texts.append(value)
        return f"\ue000{len(texts) - 1}\ue001"

    held = [{k: v if k == "role" or not v else hold(v) for k, v in message.items()} for message in messages]
    pieces = re.split("\ue000(\\d+)\ue001", reference.render(template, held, **variables))
    ids = []
    for number, piece in enumerate(pieces):
        typed = number % 2 == 1
        text = texts[number // 2] if typed else piece
        ids += tokenizer.encode(text, add_special_tokens=False, split_special_tokens=typed)
    return ids


# %% exercise="chat-encode" kind="wrong" name="one digit only" fails="chat-encode-properties" says="more than ten texts?"
def encode_chat(tokenizer, template, messages, **variables):
    texts = []

    def hold(value):
        texts.append(value)
        return f"\ue000{len(texts) - 1}\ue001"

    held = [{k: v if k == "role" or not v else hold(v) for k, v in message.items()} for message in messages]
    pieces = re.split("\ue000(\\d)\ue001", reference.render(template, held, **variables))
    ids = []
    for number, piece in enumerate(pieces):
        typed = number % 2 == 1
        text = texts[int(piece)] if typed else piece
        ids += tokenizer.encode(text, add_special_tokens=False, split_special_tokens=typed)
    return ids


# %% exercise="chat-encode" kind="wrong" name="placeholders written into the caller's messages" fails="chat-encode-properties" says="encode_chat changed the messages"
def encode_chat(tokenizer, template, messages, **variables):
    texts = []

    def hold(value):
        texts.append(value)
        return f"\ue000{len(texts) - 1}\ue001"

    held = messages
    for message in held:
        message.update({k: hold(v) for k, v in message.items() if k != "role" and v})
    pieces = re.split("\ue000(\\d+)\ue001", reference.render(template, held, **variables))
    ids = []
    for number, piece in enumerate(pieces):
        typed = number % 2 == 1
        text = texts[int(piece)] if typed else piece
        ids += tokenizer.encode(text, add_special_tokens=False, split_special_tokens=typed)
    return ids


# %% exercise="chat-encode" kind="wrong" name="looks for the texts in the rendered chat" fails="chat-encode-properties" says="can a name forge them?"
def encode_chat(tokenizer, template, messages, **variables):
    rest, ids = reference.render(template, messages, **variables), []
    for message in messages:
        before, text, rest = rest.partition(message["content"])
        ids += tokenizer.encode(before, add_special_tokens=False)
        ids += tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    return ids + tokenizer.encode(rest, add_special_tokens=False)


# %% exercise="chat-encode" kind="wrong" name="forgets what follows the last text" fails="chat-encode-example" says="expected"
def encode_chat(tokenizer, template, messages, **variables):
    texts = []

    def hold(value):
        texts.append(value)
        return f"\ue000{len(texts) - 1}\ue001"

    held = [{k: v if k == "role" or not v else hold(v) for k, v in message.items()} for message in messages]
    pieces = re.split("\ue000(\\d+)\ue001", reference.render(template, held, **variables))
    ids = []
    for number, piece in enumerate(pieces[:-1]):
        typed = number % 2 == 1
        text = texts[int(piece)] if typed else piece
        ids += tokenizer.encode(text, add_special_tokens=False, split_special_tokens=typed)
    return ids


# %% exercise="chat-encode" kind="right" name="walks with str.find, other placeholders, and prints"
def encode_chat(tokenizer, template, messages, **variables):
    book = {}
    held = []
    for row, message in enumerate(messages):
        held.append({})
        for key, value in message.items():
            if key != "role" and value != "":
                mark = f"\ue100{row},{key}\ue101"
                book[mark] = value
                value = mark
            held[-1][key] = value
    text = reference.render(template, held, **variables)
    ids, i = [], 0
    while i < len(text):
        start = text.find("\ue100", i)
        start = len(text) if start < 0 else start
        ids.extend(tokenizer.encode(text[i:start], add_special_tokens=False, split_special_tokens=False))
        i = start
        if i < len(text):
            stop = text.index("\ue101", i) + 1
            print("a text at", i)
            ids.extend(tokenizer.encode(book[text[i:stop]], add_special_tokens=False, split_special_tokens=True))
            i = stop
    return ids


# %% exercise="chat-encode" kind="right" name="one alternation of all placeholders, encoded only once each"
def encode_chat(tokenizer, template, messages, **variables):
    def encode(text, typed):
        return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=typed)) if text else []

    found = {}
    for m in messages:
        for key, value in m.items():
            if key != "role" and value:
                found.setdefault(value, "\ue000" + str(len(found)) + "\ue001")
    held = [{key: found.get(v, v) if key != "role" else v for key, v in m.items()} for m in messages]
    ids_of = {mark: encode(value, True) for value, mark in found.items()}
    pieces = re.split("(\ue000[0-9]+\ue001)", reference.render(template, held, **variables))
    return [i for piece in pieces for i in (ids_of[piece] if piece in ids_of else encode(piece, False))]


# %% exercise="chat-mask" kind="wrong" name="the end token is not learned" fails="chat-mask-example" says="the reply with its end"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        i += len(header)
        while i < len(ids):
            if ids[i] == end:
                break
            labels[i] = ids[i]
            i += 1
    return labels


# %% exercise="chat-mask" kind="wrong" name="the header is learned too" fails="chat-mask-example" says="the reply with its end"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        labels[i : i + len(header)] = header
        i += len(header)
        while i < len(ids):
            labels[i] = ids[i]
            i += 1
            if ids[i - 1] == end:
                break
    return labels


# %% exercise="chat-mask" kind="wrong" name="the line end after the end is learned too" fails="chat-mask-example" says="the reply with its end"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        i += len(header)
        while i < len(ids):
            labels[i] = ids[i]
            i += 1
            if ids[i - 1] == end:
                labels[i : i + 1] = ids[i : i + 1]
                break
    return labels


# %% exercise="chat-mask" kind="wrong" name="learns up to the end of the conversation" fails="chat-mask-example" says="the reply with its end"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        i += len(header)
        while i < len(ids):
            labels[i] = ids[i]
            i += 1

    return labels


# %% exercise="chat-mask" kind="wrong" name="only the first reply" fails="chat-mask-properties" says="differ from transformers' mask"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        i += len(header)
        while i < len(ids):
            labels[i] = ids[i]
            i += 1
            if ids[i - 1] == end:
                return labels
    return labels


# %% exercise="chat-mask" kind="wrong" name="only the first of the headers" fails="chat-mask-properties" says="after each header"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers[:1] if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        i += len(header)
        while i < len(ids):
            labels[i] = ids[i]
            i += 1
            if ids[i - 1] == end:
                break
    return labels


# %% exercise="chat-mask" kind="wrong" name="every header as long as the first" fails="chat-mask-properties" says="after each header"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        i += len(headers[0])
        while i < len(ids):
            labels[i] = ids[i]
            i += 1
            if ids[i - 1] == end:
                break
    return labels


# %% exercise="chat-mask" kind="wrong" name="any message's start taken for a header" fails="chat-mask-example" says="the reply with its end"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i] == h[0]), None)
        if header is None:
            i += 1
            continue
        i += len(header)
        while i < len(ids):
            labels[i] = ids[i]
            i += 1
            if ids[i - 1] == end:
                break
    return labels


# %% exercise="chat-mask" kind="wrong" name="labels shifted by one" fails="chat-mask-example" says="the reply with its end"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        i += len(header)
        while i < len(ids):
            labels[i] = ids[i]
            i += 1
            if ids[i - 1] == end:
                break
    return [*labels[1:], IGNORE]


# %% exercise="chat-mask" kind="wrong" name="every token that occurs in a reply, wherever it stands" fails="chat-mask-example" says="the reply with its end"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        i += len(header)
        while i < len(ids):
            labels[i] = ids[i]
            i += 1
            if ids[i - 1] == end:
                break
    return [token if token in labels else IGNORE for token in ids]


# %% exercise="chat-mask" kind="wrong" name="masks the caller's list" fails="chat-mask-example" says="changed its arguments"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        i += len(header)
        while i < len(ids):
            labels[i] = ids[i]
            i += 1
            if ids[i - 1] == end:
                break
    ids[:] = labels
    return ids


# %% exercise="chat-mask" kind="wrong" name="a reply that was cut off is not learned" fails="chat-mask-properties" says="the last reply is cut off"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        i += len(header)
        if end not in ids[i:]:
            return labels
        while i < len(ids):
            labels[i] = ids[i]
            i += 1
            if ids[i - 1] == end:
                break
    return labels


# %% exercise="chat-mask" kind="wrong" name="a reply that was cut off runs over the end" fails="chat-mask-properties" says="list index out of range"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        i += len(header)
        while True:
            labels[i] = ids[i]
            i += 1
            if ids[i - 1] == end:
                break
    return labels


# %% exercise="chat-mask" kind="wrong" name="ones and zeros" fails="chat-mask-example" says="the reply with its end"
def loss_labels(ids, headers, end):
    labels, i = [IGNORE] * len(ids), 0
    while i < len(ids):
        header = next((h for h in headers if ids[i : i + len(h)] == h), None)
        if header is None:
            i += 1
            continue
        i += len(header)
        while i < len(ids):
            labels[i] = ids[i]
            i += 1
            if ids[i - 1] == end:
                break
    return [int(label != IGNORE) for label in labels]


# %% exercise="chat-mask" kind="right" name="spans found with list.index, and a progress bar"
def loss_labels(ids, headers, end):
    from tqdm import tqdm

    spans = []
    for header in tqdm(headers):
        for i in range(len(ids) - len(header) + 1):
            if all(ids[i + k] == token for k, token in enumerate(header)):
                start = i + len(header)
                stop = ids.index(end, start) + 1 if end in ids[start:] else len(ids)
                spans.append(range(start, stop))
    learned = {position for span in spans for position in span}
    return [token if position in learned else IGNORE for position, token in enumerate(ids)]


# %% exercise="chat-mask" kind="right" name="one flag, looking back at each token"
def loss_labels(ids, headers, end):
    labels, on = [], False
    for i, token in enumerate(ids):
        on = on or any(i >= len(h) and ids[i - len(h) : i] == h for h in headers)
        labels.append(token if on else IGNORE)
        on = on and token != end
    return labels


# %% exercise="chat-window" kind="wrong" name="the oldest turns are kept" fails="chat-window-example" says="system and whole turns"
def truncate(messages, lengths, limit):
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for stop in [len(messages), *users[:0:-1]]:
        if sum(lengths[:stop]) <= limit:
            return messages[:stop]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="drops single messages, not turns" fails="chat-window-example" says="system and whole turns"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    for start in range(head, len(messages)):
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="the system prompt goes first" fails="chat-window-example" says="system and whole turns"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages if start == head else messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="the system prompt costs nothing" fails="chat-window-example" says="system and whole turns"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="exactly the limit is too much" fails="chat-window-example" says="20 tokens fit into 20"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) < limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="the system prompt alone where nothing fits" fails="chat-window-example" says="the last turn does not fit"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    return messages[:head]


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="what stands before the first user is a turn of its own" fails="chat-window-properties" says="system and last turn have"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="what stands before the first user is lost" fails="chat-window-properties" says="system and last turn have"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in users:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="a first system message is taken for granted" fails="chat-window-properties" says="do not fit"
def truncate(messages, lengths, limit):
    head = 1
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="skips a turn that is too long and keeps older ones" fails="chat-window-properties" says="system and last turn have"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    from itertools import pairwise

    starts, kept, total = [head, *users[1:], len(messages)], [], sum(lengths[:head])
    for start, stop in reversed([*pairwise(starts)]):
        if total + sum(lengths[start:stop]) <= limit:
            kept, total = messages[start:stop] + kept, total + sum(lengths[start:stop])
    if kept:
        return messages[:head] + kept
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="looks at the last row only" fails="chat-window-example" says="into the first row that has room"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows[-1:]:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="the fullest row that has room" fails="chat-window-properties" says="into the first row that has room"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in sorted(rows, key=lambda row: -sum(len(other) for other, _ in row)):
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="sorted by length first" fails="chat-window-properties" says="in the order given"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in sorted(examples, key=lambda example: -len(example[0])):
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="leaves the last place of a row empty" fails="chat-window-example" says="into the first row that has room"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) < size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="positions go on through the row" fails="chat-window-example" says="from 0 in each chat"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(at, at + len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="segments from 0" fails="chat-window-example" says="1, 2, ... for the chats of a row"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="the first label of a chat is learned" fails="chat-window-example" says="IGNORE at the first token of each chat"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = labels
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="the first label of a row is ignored, that of a chat is not" fails="chat-window-example" says="IGNORE at the first token of each chat"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = labels if at else [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="ids as labels" fails="chat-window-properties" says="labels"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, _) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *ids[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="padding is learned" fails="chat-window-example" says="and in padding"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), pad, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="padding is always 0" fails="chat-window-properties" says="pad fills the ends of rows"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.zeros((len(rows), size), dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="chats that are too long are cut" fails="chat-window-properties" says="too long for a row"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        ids, labels = ids[:size], labels[:size]
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="a chat as long as a row is refused" fails="chat-window-properties" says="a chat of 8 tokens in rows of 8"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) >= size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="writes IGNORE into the caller's labels" fails="chat-window-properties" says="pack changed its examples"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    for r, row in enumerate(rows):
        at = 0
        for number, (ids, labels) in enumerate(row, 1):
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            labels[0] = IGNORE
            packed["labels"][r, span] = labels
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="wrong" name="segments numbered over all rows" fails="chat-window-example" says="1, 2, ... for the chats of a row"
def truncate(messages, lengths, limit):
    head = 1 if messages[0]["role"] == "system" else 0
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in [head, *users[1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError("system message and latest turn do not fit")


def pack(examples, size, pad):
    rows = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens in rows of {size}")
        for row in rows:
            if sum(len(other) for other, _ in row) + len(ids) <= size:
                row.append((ids, labels))
                break
        else:
            rows.append([(ids, labels)])
    packed = {
        "input_ids": np.full((len(rows), size), pad, dtype=np.int64),
        "labels": np.full((len(rows), size), IGNORE, dtype=np.int64),
        "positions": np.zeros((len(rows), size), dtype=np.int64),
        "segments": np.zeros((len(rows), size), dtype=np.int64),
    }
    number = 0
    for r, row in enumerate(rows):
        at = 0
        for ids, labels in row:
            number += 1
            span = slice(at, at + len(ids))
            packed["input_ids"][r, span] = ids
            packed["labels"][r, span] = [IGNORE, *labels[1:]]
            packed["positions"][r, span] = range(len(ids))
            packed["segments"][r, span] = number
            at += len(ids)
    return packed


# %% exercise="chat-window" kind="right" name="plain lists to the end, with prints"
def truncate(messages, lengths, limit):
    system = [(m, n) for m, n in zip(messages[:1], lengths, strict=False) if m["role"] == "system"]
    turns, spoken = [[]], False
    for m, n in list(zip(messages, lengths, strict=True))[len(system) :]:
        if m["role"] == "user" and spoken:
            turns.append([])
        spoken = spoken or m["role"] == "user"
        turns[-1].append((m, n))
    while sum(n for _, n in [*system, *(pair for turn in turns for pair in turn)]) > limit:
        print("drops a turn of", len(turns[0]), "messages")
        turns = turns[1:]
        if not turns:
            raise ValueError(f"more than {limit} tokens")
    return [m for m, _ in system] + [m for turn in turns for m, _ in turn]


def pack(examples, size, pad):
    rows = {name: [] for name in ("input_ids", "labels", "positions", "segments")}
    for ids, labels in examples:
        n = len(ids)
        if n > size:
            raise ValueError("too long")
        fitting = [r for r, row in enumerate(rows["input_ids"]) if len(row) + n <= size]
        if not fitting:
            fitting = [len(rows["input_ids"])]
            for table in rows.values():
                table.append([])
        r = fitting[0]
        print(n, "tokens into row", r)
        rows["input_ids"][r] += list(ids)
        rows["labels"][r] += [IGNORE, *labels[1:]]
        rows["positions"][r] += list(range(n))
        rows["segments"][r] += [max(rows["segments"][r], default=0) + 1] * n
    fill = {"input_ids": pad, "labels": IGNORE, "positions": 0, "segments": 0}
    filled = {name: [row + [fill[name]] * (size - len(row)) for row in table] for name, table in rows.items()}
    return {name: np.array(table, dtype=np.int64).reshape(len(table), size) for name, table in filled.items()}


# %% exercise="chat-window" kind="right" name="suffix sums, and arrays filled as the chats come"
def truncate(messages, lengths, limit):
    roles, first = [m["role"] for m in messages], int(messages[0]["role"] == "system")
    starts = [i for i in range(first, len(roles)) if i == first or (roles[i] == "user" and "user" in roles[first:i])]
    left = np.append(np.cumsum(lengths[::-1])[::-1], 0)
    fits = [i for i in starts or [len(roles)] if left[i] + sum(lengths[:first]) <= limit]
    if not fits:
        raise ValueError(f"the latest turn does not fit into {limit} tokens")
    return [*messages[:first], *messages[min(fits) :]]


def pack(examples, size, pad):
    if any(len(ids) > size for ids, _ in examples):
        raise ValueError("a chat is longer than a row")
    shape = (len(examples), size)
    ids_of, labels_of, places, segments = (np.full(shape, value, dtype="int64") for value in (pad, IGNORE, 0, 0))
    used, chats = np.zeros(len(examples), dtype=int), np.zeros(len(examples), dtype=int)
    for ids, labels in examples:
        row = int(np.argmax(used + len(ids) <= size))
        start, stop = used[row], used[row] + len(ids)
        chats[row] += 1
        ids_of[row, start:stop], labels_of[row, start + 1 : stop] = ids, labels[1:]
        places[row, start:stop], segments[row, start:stop] = np.arange(len(ids)), chats[row]
        used[row] = stop
    rows = int((used > 0).sum())
    names = ("input_ids", "labels", "positions", "segments")
    return {n: table[:rows] for n, table in zip(names, (ids_of, labels_of, places, segments), strict=True)}


# %% exercise="chat-quality" kind="wrong" name="runs of four words" fails="chat-quality-example" says="2 runs of five words"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="the last run forgotten" fails="chat-quality-example" says="2 runs of five words"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 5)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="the share of distinct runs" fails="chat-quality-properties" says="0.0 expected"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return len(set(runs)) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="every copy counts, the first one too" fails="chat-quality-example" says="1 distinct"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return sum(runs.count(run) > 1 for run in runs) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="divides by the words, not by the runs" fails="chat-quality-example" says="2 runs of five words"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(words) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="capitals make other words" fails="chat-quality-properties" says="in any case"
def overlap(reply):
    words = reply.split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="a short reply divides by zero" fails="chat-quality-properties" says="division by zero"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs)


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="words cut at single blanks" fails="chat-quality-properties" says="runs of five words"
def overlap(reply):
    words = reply.lower().split(" ")
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="only the first flag" fails="chat-quality-example" says="all, in order"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags[:1]


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="flagged at the limit itself" fails="chat-quality-properties" says="flagged below"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds <= limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="an overlap at the limit is flagged" fails="chat-quality-properties" says="flagged above"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) >= limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="as many words as the limit are too few" fails="chat-quality-example" says="4 words are enough"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) <= limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="the limit on the odds taken for 0" fails="chat-quality-properties" says="flagged below"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < 0:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="the curly apostrophe overlooked" fails="chat-quality-example" says="’ is '"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower()
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="refusals in small letters only" fails="chat-quality-example" says="['refusal', 'length'], but returned ['length']"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="a refusal only at the start" fails="chat-quality-properties" says="anywhere in the reply"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if plain.startswith(tuple(REFUSALS)):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="white space at the end is a character" fails="chat-quality-properties" says="the last character but white space"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="sentences end in a full stop, ! or ? only" fails="chat-quality-properties" says="the last character but white space"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list(".!?"):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="words counted, the ending not looked at" fails="chat-quality-example" says="['refusal', 'length'], but returned ['refusal']"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    if len(reply.split()) < limits["words"]:
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="length before refusal" fails="chat-quality-example" says="all, in order"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return sorted(flags)


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="precision and recall exchanged" fails="chat-quality-example" says="precision, recall"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return hits / b, p, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="p ± z standard errors instead of Wilson's interval" fails="chat-quality-example" says="interval"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    half = z * (p * (1 - p) / f) ** 0.5
    return p, hits / b, (p - half, p + half)


# %% exercise="chat-quality" kind="wrong" name="all replies in the interval, not the flagged ones" fails="chat-quality-example" says="interval"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    f = len(flagged)
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="accuracy for precision" fails="chat-quality-example" says="6 bad: precision"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = sum(x == y for x, y in zip(flagged, bad, strict=True)) / len(bad), 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, ((middle - half) / (1 + z**2 / f), (middle + half) / (1 + z**2 / f))


# %% exercise="chat-quality" kind="wrong" name="not divided by 1 + z²/f" fails="chat-quality-example" says="interval"
def overlap(reply):
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply, english_odds, limits):
    flags = []
    if english_odds < limits["english"]:
        flags.append("language")
    if reference.overlap(reply) > limits["overlap"]:
        flags.append("repetition")
    plain = reply.lower().replace("’", "'")
    if any(phrase in plain for phrase in REFUSALS):
        flags.append("refusal")
    last = reply.rstrip()[-1:]
    if len(reply.split()) < limits["words"] or last not in list('.!?"”)`'):
        flags.append("length")
    return flags


def precision_recall(flagged, bad):
    f, b = sum(flagged), sum(bad)
    hits = sum(x and y for x, y in zip(flagged, bad, strict=True))
    p, z = hits / f, 1.96
    middle, half = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / b, (middle - half, middle + half)


# %% exercise="chat-quality" kind="right" name="a Counter, a regular expression, and the interval as the roots of a quadratic"
def overlap(reply):
    from collections import Counter

    words = re.findall(r"\S+", reply.casefold())
    counts = Counter(zip(words, words[1:], words[2:], words[3:], words[4:], strict=False))
    return sum(count - 1 for count in counts.values()) / max(1, sum(counts.values()))


def quality_flags(reply, english_odds, limits):
    spoken = reply.replace("\u2019", "'").lower()
    checks = {
        "language": english_odds < limits["english"],
        "repetition": reference.overlap(reply) > limits["overlap"],
        "refusal": re.search("|".join(map(re.escape, REFUSALS)), spoken) is not None,
        "length": len(re.findall(r"\S+", reply)) < limits["words"] or not re.search(r"[.!?\"”)`]\s*\Z", reply),
    }
    print(checks)
    return [name for name, found in checks.items() if found]


def precision_recall(flagged, bad):
    said, truth = np.array(flagged, dtype=bool), np.array(bad, dtype=bool)
    f, p = int(said.sum()), float(truth[said].mean())
    # the ends q of the interval satisfy f (p - q)^2 = z^2 q (1 - q), a quadratic equation
    low, high = sorted(np.roots([f + 1.96**2, -2 * f * p - 1.96**2, f * p**2]).real.tolist())
    return p, float(said[truth].mean()), (low, high)


# %% exercise="chat-quality" kind="right" name="loops and early counts, with a log on the way"
def overlap(reply):
    seen, again, words = set(), 0, reply.lower().split()
    for i in range(4, len(words)):
        run = " ".join(words[i - 4 : i + 1])
        again += run in seen
        seen.add(run)
    return again / (len(words) - 4) if len(words) > 4 else 0.0


def quality_flags(reply, english_odds, limits):
    import logging

    flags = ["language"] if limits["english"] > english_odds else []
    flags += ["repetition"] * (limits["overlap"] < reference.overlap(reply))
    for phrase in REFUSALS:
        if phrase.lower() in reply.lower().replace("’", "'"):
            flags += ["refusal"]
            break
    short = len(reply.split()) < limits["words"]
    if short or not reply.rstrip().endswith((".", "!", "?", '"', "”", ")", "`")):
        flags += ["length"]
    logging.warning("%s: %s", reply[:20], flags)
    return flags


def precision_recall(flagged, bad):
    f = b = h = 0
    for said, true in zip(flagged, bad, strict=True):
        f, b, h = f + bool(said), b + bool(true), h + (said and true)
    p, zz = h / f, 1.96 * 1.96
    root = (zz * zz / 4 + zz * f * p * (1 - p)) ** 0.5
    return p, h / b, tuple((f * p + zz / 2 + sign * root) / (f + zz) for sign in (-1, 1))
