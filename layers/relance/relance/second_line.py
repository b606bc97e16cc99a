"""A second reader of every draft, if the operator wants one: Bedrock's own guardrails, asked after relance's gates."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

# Severity from which a category speaks against a draft (safety.md 4.5, A14); the scale ends at 1.
MOST_SEVERITY = 0.2
CATEGORIES = ("SEXUAL", "HATE", "INSULTS", "MISCONDUCT", "VIOLENCE")
# What a follow-up never needs. Names are left to relance's own gates: films and composers have some, too.
PERSONAL_DATA = (
    "EMAIL",
    "PHONE",
    "ADDRESS",
    "CREDIT_DEBIT_CARD_NUMBER",
    "INTERNATIONAL_BANK_ACCOUNT_NUMBER",
    "PASSWORD",
)


class SecondLine(Protocol):
    """Anything that may object to a draft which all gates have let pass."""

    def objects(self, text: str) -> bool:
        """True: do not send. An error, a time-out and a doubt are objections. Never raises."""
        ...


class GuardrailChecks:
    """`InvokeGuardrailChecks` of Bedrock: scores without a guardrail resource; not in every region."""

    def __init__(self, client: Any) -> None:
        """`client` is a `bedrock-runtime` client whose time-outs are short: two seconds are meant."""
        self._client = client

    def objects(self, text: str) -> bool:
        """Any category at `MOST_SEVERITY` or above, any personal data, a category without a score, or no answer."""
        try:
            answer = self._client.invoke_guardrail_checks(
                messages=[{"role": "assistant", "content": [{"text": text}]}],
                checks={
                    "contentFilter": {"categories": [{"category": name} for name in CATEGORIES]},
                    "sensitiveInformation": {"entities": [{"type": name} for name in PERSONAL_DATA]},
                },
            )
            scores = {each["category"]: each["severityScore"] for each in answer["results"]["contentFilter"]["results"]}
            personal = answer["results"]["sensitiveInformation"]
            if personal["results"] or personal.get("truncated"):
                return True
            return any(scores.get(name, 1.0) >= MOST_SEVERITY for name in CATEGORIES)
        except Exception:  # an error, a time-out, an answer in another shape: all are objections
            return True


class AppliedGuardrail:
    """`ApplyGuardrail` of Bedrock: asks the guardrail that the deployment has made for itself."""

    def __init__(self, client: Any, identifier: str, version: str) -> None:
        """`client` as for `GuardrailChecks`; `version` is a published number or `DRAFT`."""
        self._client = client
        self._which = {"guardrailIdentifier": identifier, "guardrailVersion": version}

    def objects(self, text: str) -> bool:
        """True unless the action is NONE and nothing was even detected: a masked follow-up would be nonsense."""
        try:
            answer = self._client.apply_guardrail(
                **self._which, source="OUTPUT", content=[{"text": {"text": text}}], outputScope="FULL"
            )
            return answer["action"] != "NONE" or _detected(answer.get("assessments", ()))
        except Exception:  # an error, a time-out, an answer in another shape: all are objections
            return True


def _detected(value: Any) -> bool:
    """True if anything anywhere in the assessments was detected, also where the guardrail only watches."""
    if isinstance(value, Mapping):
        return value.get("detected") is True or any(_detected(inner) for inner in value.values())
    return (
        isinstance(value, Sequence) and not isinstance(value, str | bytes) and any(_detected(inner) for inner in value)
    )
