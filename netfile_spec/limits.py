"""How large a NetFile may be: it is hostile input, and no real one comes near these."""

MAX_FILE_BYTES = 2 * 1024 * 1024
"""Size of a NetFile; one with a thousand layers takes about 150 kB."""

MAX_BLOCKS = 8192
"""Layer and input blocks in one file; planning compares every value with those that live at the same time."""

MAX_TOKENS = 200_000
"""Words, strings and marks of one file; one with a thousand layers has about 20,000."""

MAX_NESTING = 100
"""Braces within braces that are passed over; the language has none."""

MAX_LIST_LENGTH = 65_536
"""Values in one list; ImageNet has 21,841 labels."""

MAX_REQUIRED = 100
"""Plugins that one file requires; each is looked for among all that is installed."""

MAX_NUMBER_LENGTH = 64
"""Characters of a number; int() takes quadratic time in the number of digits."""

MAX_PROBLEMS = 100
"""Problems reported for one file."""

INTEGER_RANGE = (-(2**63), 2**63 - 1)
"""Least and largest integer."""
