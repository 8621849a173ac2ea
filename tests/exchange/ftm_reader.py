"""What FollowTheMoney's own library makes of entities; run by an interpreter that has it, see test_ftm.py."""

import json
import sys
import warnings

warnings.simplefilter("ignore")  # other people's

from followthemoney import model  # noqa: E402 -- after its warnings are off

for line in sys.stdin:
    # cleaned=False: each value goes through the validator, which drops a bad one without a word
    proxy = model.get_proxy(json.loads(line), cleaned=False)
    print(json.dumps(proxy.to_dict()))  # noqa: T201 -- that is the answer
