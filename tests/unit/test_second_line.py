"""The second line against botocore's own model of the API: only a clean bill lets a draft pass."""

import botocore.session
import pytest
from botocore.stub import Stubber

from relance.second_line import CATEGORIES, AppliedGuardrail, GuardrailChecks

TEXT = "You wanted the lighthouse film. Shall I say when it runs?"


@pytest.fixture
def stub():
    """A client that answers what the test says; botocore validates both directions."""
    client = botocore.session.get_session().create_client(
        "bedrock-runtime", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    with Stubber(client) as stubber:
        yield stubber


def scores(**severities):
    """An answer of InvokeGuardrailChecks, all categories at nought but those named."""
    return {
        "results": {
            "contentFilter": {
                "results": [{"category": name, "severityScore": severities.get(name, 0.0)} for name in CATEGORIES]
            },
            "sensitiveInformation": {"results": [], "truncated": False},
        },
        "usage": {},
    }


def without_a_category():
    """An answer that forgets one."""
    answer = scores()
    answer["results"]["contentFilter"]["results"].pop()
    return answer


def with_a_number():
    """An answer that has found personal data."""
    answer = scores()
    answer["results"]["sensitiveInformation"]["results"] = [
        {
            "type": "PHONE",
            "confidenceScore": 0.4,
            "beginOffset": 0,
            "endOffset": 3,
            "messageIndex": 0,
            "contentIndex": 0,
        }
    ]
    return answer


@pytest.mark.parametrize(
    ("answer", "objects"),
    [
        (scores(), False),
        (scores(SEXUAL=0.19), False),
        (scores(SEXUAL=0.2), True),
        (scores(VIOLENCE=1.0), True),
        (without_a_category(), True),
        (with_a_number(), True),
    ],
    ids=["clean", "below", "at the limit", "above", "no score", "personal data"],
)
def test_the_checks_object_from_the_limit_on(stub, answer, objects):
    """A missing score counts as the worst one."""
    stub.add_response("invoke_guardrail_checks", answer)

    assert objects is GuardrailChecks(stub.client).objects(TEXT)


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "ServiceQuotaExceededException"])
@pytest.mark.parametrize(
    ("operation", "line"),
    [
        ("invoke_guardrail_checks", GuardrailChecks),
        ("apply_guardrail", lambda client: AppliedGuardrail(client, "abc123", "1")),
    ],
)
def test_an_error_is_an_objection(stub, code, operation, line):
    """Where a second line is configured, its silence is a no."""
    stub.add_client_error(operation, code)

    assert line(stub.client).objects(TEXT)


@pytest.mark.parametrize(
    ("action", "assessments", "objects"),
    [
        ("NONE", [], False),
        ("GUARDRAIL_INTERVENED", [], True),
        (
            "NONE",
            [
                {
                    "contentPolicy": {
                        "filters": [{"type": "HATE", "confidence": "LOW", "action": "NONE", "detected": True}]
                    }
                }
            ],
            True,
        ),
        (
            "NONE",
            [
                {
                    "contentPolicy": {
                        "filters": [{"type": "HATE", "confidence": "NONE", "action": "NONE", "detected": False}]
                    }
                }
            ],
            False,
        ),
    ],
    ids=["clean", "intervened", "only watched", "looked and found nothing"],
)
def test_the_guardrail_objects_also_where_it_only_watches(stub, action, assessments, objects):
    """`detected` with action NONE is detect mode: for a follow-up that is enough."""
    stub.add_response(
        "apply_guardrail",
        {"action": action, "outputs": [], "assessments": assessments, "usage": _NO_USAGE},
        {
            "guardrailIdentifier": "abc123",
            "guardrailVersion": "1",
            "source": "OUTPUT",
            "content": [{"text": {"text": TEXT}}],
            "outputScope": "FULL",
        },
    )

    assert objects is AppliedGuardrail(stub.client, "abc123", "1").objects(TEXT)


_NO_USAGE = dict.fromkeys(
    (
        "topicPolicyUnits",
        "contentPolicyUnits",
        "wordPolicyUnits",
        "sensitiveInformationPolicyUnits",
        "sensitiveInformationPolicyFreeUnits",
        "contextualGroundingPolicyUnits",
    ),
    0,
)
