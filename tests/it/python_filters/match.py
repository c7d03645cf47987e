"""Reads expressions and keys, and prints for each expression which keys `re.match` selects; null if it is refused."""

import json
import re
import sys
import warnings

# Python warns of sets that may change their meaning one day, and of flags that are not at the start.
warnings.simplefilter("ignore")


def selected(expression, keys):
    try:
        compiled = re.compile(expression)
    except (re.error, OverflowError, RecursionError, ValueError):
        return None
    return "".join("1" if compiled.match(key) else "0" for key in keys)


work = json.load(sys.stdin)
answers = [selected(expression, work["keys"]) for expression in work["expressions"]]
json.dump({"version": sys.version_info[:2], "answers": answers}, sys.stdout)
