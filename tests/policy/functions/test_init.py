"""The table of functions: complete, without doubles, nothing of ours that a policy could call by name."""

from collections import Counter

import pytest

from portway.policy.functions import LONGEST, FunctionError, bounded, functions
from portway.policy.phase import Phase

DOCUMENTED = """
    base64.decode base64.encode decodeBase64 encodeBase64 basic_auth.encode hash.md5 hash.sha1
    hash.sha256 hash.sha512 hash.crc32 hash.crc64 hash.xxhash64 md5 sha1 sha256 sha512 crc32 crc64
    xxhash64 json.decode decodeJson json.encode encodeJson isJson queryString.decode
    decodeQueryString queryString.encode encodeQueryString isQueryString isURL url.escape escapeUrl
    url.unescape unescapeUrl url.parse parseUrl getReqHeader hasReqHeader getQueryParam
    hasQueryParam getReqCookie hasReqCookie getResHeader hasResHeader getResCookie hasResCookie
    join slice flatten sort distinct lists.range charAt indexOf lastIndexOf format split replace
    substring trim reverse lowerAscii upperAscii lower upper isPrivateIp strings.quote rand.double
    rand.int inCidrRange inCidrRanges secrets.get
"""


@pytest.mark.row("P-29", "P-30", "P-31", "P-32", "P-33")
def test_every_documented_function_is_there() -> None:
    """The macro sortBy is rewritten, the rest is CEL's own."""
    names = {each.name for each in functions() if not each.name.startswith("portway_")}
    assert names == set(DOCUMENTED.split())


def test_no_overload_is_there_twice() -> None:
    seen = Counter((each.name, each.parameters, each.method) for each in functions())
    assert max(seen.values()) == 1


def test_functions_of_a_response_exist_in_its_phase_only() -> None:
    for each in functions():
        if "Res" in each.name and each.name.startswith(("get", "has")):
            assert each.phases == {Phase.HTTP_RESPONSE, Phase.EVENT_STREAM_MESSAGE}


def test_results_are_bounded() -> None:
    assert bounded("a") == "a"
    with pytest.raises(FunctionError):
        bounded([0] * (LONGEST + 1))
