"""Reads expressions and keys. Prints for each expression which keys `re.match` selects; null if `re` refuses it."""

import json
import re
import sys
import warnings

# Python warns about sets whose meaning may change in the future, and about flags that are not at the start.
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
