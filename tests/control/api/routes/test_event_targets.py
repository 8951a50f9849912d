"""The targets of event destinations in requests and answers."""

import pytest
from tests.kit.events import TARGETS as GOOD

from portway.control.api.routes.event_targets import TargetAnswer, TargetGiven
from portway.model.event_target import KINDS, SHAPES, parse_target, shown_target


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_target_can_be_given_and_shown(kind: str) -> None:
    given = TargetGiven.model_validate({kind: GOOD[kind]})
    assert "hush" not in repr(given)
    target = parse_target(given.model_dump(exclude_none=True))
    assert target.whole == GOOD[kind]
    answer = TargetAnswer.model_validate(shown_target(kind, target.masked)).model_dump()
    assert "hush" not in str(answer)
    assert set(answer) == set(KINDS)
    assert set(answer[kind]) == set(SHAPES[kind])
    assert [each for each, settings in answer.items() if settings is not None] == [kind]
