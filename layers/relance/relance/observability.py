"""Logs and metrics: ids, verdicts and counts; never a text, a token, a name or a number."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from relance.errors import RelanceError, TemporaryFailure

if TYPE_CHECKING:
    # Only for the annotations: the webhook loads neither sweep nor send.
    from relance.outbox import Ask
    from relance.refresh import RefreshReport
    from relance.send import Result
    from relance.store.pairs import Due
    from relance.sweep import SweepReport

NAMESPACE = "relance"

# How many values of one dimension a single run may report: every new one is a metric that AWS bills for a month.
MOST_VALUES = 20
OTHER = "other"

# Libraries have nothing to say here. Lambda sets the root logger to the deployment's level, and urllib3 warns of odd
# headers with the whole address, in which Instagram's login wants the token; botocore's debug lines quote requests.
for _library in ("urllib3", "botocore", "boto3", "pynamodb"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)

logger = Logger(use_rfc3339=True)
metrics = Metrics(namespace=NAMESPACE)


def count(name: str, value: int = 1) -> None:
    """Add to a metric of this invocation; zero costs nothing."""
    if value:
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def count_by(name: str, dimension: str, values: Mapping[str, int]) -> None:
    """One metric per value of a dimension. The values come from closed lists or were sanitised by a parser.

    Of more than `MOST_VALUES` the rarest are reported together, as `other`.
    """
    told = Counter({value: times for value, times in values.items() if times})
    if len(told) > MOST_VALUES:
        kept = dict(told.most_common(MOST_VALUES - 1))
        told = Counter({**kept, OTHER: kept.get(OTHER, 0) + told.total() - sum(kept.values())})
    for value, times in told.items():
        if times:
            with single_metric(name=name, unit=MetricUnit.Count, value=times, namespace=NAMESPACE) as metric:
                metric.add_dimension(name=dimension, value=value)


class UnexpectedError(Exception):
    """Something nobody foresaw, by its class and place: the original message may hold a person's words."""


_running = {"function": ""}


@contextmanager
def invocation(context: Any) -> Iterator[None]:
    """Around a handler: metrics are written at the end, and what escapes holds no text of anybody."""
    _running["function"] = context.function_name
    try:
        with _sanitised("invocation"):
            yield
    finally:
        if metrics.metric_set:
            metrics.flush_metrics()


@contextmanager
def record(message_id: str) -> Iterator[None]:
    """Around one queue message: its failure is logged by class and place, and the queue brings it again."""
    with _sanitised("record", message_id=message_id):
        yield


@contextmanager
def _sanitised(where: str, **keys: str) -> Iterator[None]:
    try:
        yield
    except RelanceError as error:
        logger.warning(where, extra={"error": type(error).__name__, "detail": str(error), **keys})
        raise
    except UnexpectedError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
        logger.error(where, extra={"error": what, **keys})
        raise UnexpectedError(what) from None


def _watched(name: str, value: int) -> None:
    """A metric that an alarm of this deployment watches: the function's name keeps two deployments apart."""
    with single_metric(name=name, unit=MetricUnit.Count, value=value, namespace=NAMESPACE) as metric:
        metric.add_dimension(name="FunctionName", value=_running["function"])


def paused(times: int = 1) -> None:
    """A bot, its account or a template was stopped: somebody has to look."""
    if times:
        logger.warning("paused", extra={"times": times})
        _watched("BotPaused", times)


def swept(report: SweepReport) -> dict[str, Any]:
    """Metrics of a sweep; silence by reason. Returns what the function answers."""
    count("TimersRang", report.rang)
    count("FollowUpsEnqueued", report.enqueued)
    count("EventsLost", report.lost_events)
    count_by("Verdict", "reason", report.verdicts)
    count("QueueRefused", report.refused_by_queue)
    if report.refused_by_queue and not report.enqueued:
        # Their leases end and they ring again; but somebody must see that nothing goes out.
        raise TemporaryFailure(f"the queue took none of {report.refused_by_queue} pairs")
    if report.held or report.unfinished:
        logger.warning("sweep", extra={"held": report.held, "unfinished": report.unfinished})
        count("SweepHeld" if report.held else "SweepUnfinished")
    return {
        "rang": report.rang,
        "enqueued": report.enqueued,
        "verdicts": dict(report.verdicts),
        "held": report.held,
        "unfinished": report.unfinished,
    }


def refreshed(report: RefreshReport) -> dict[str, Any]:
    """One line for each token that ends by itself, and the days left of the one that ends first."""
    for each in report.checked:
        left = {} if each.days_left is None else {"days_left": each.days_left}
        logger.info("token", extra={"bot": each.bot, "became": each.became.value, "why": each.why, **left})
    if report.days_left is not None:
        _watched("TokenDaysLeft", report.days_left)
    return {
        "tokens": {each.bot: each.became.value for each in report.checked},
        "days_left": report.days_left,
    }


def answered(ask: Ask, result: str) -> None:
    """One line and one metric for each question: keys, what it was about, what became of it."""
    logger.info("answer", extra={"user": ask.user, "bot": ask.bot, "about": ask.about, "result": result})
    count_by("Answer", "result", {result: 1})


def sent(due: Due, result: Result) -> None:
    """One line and one metric for each message of the queue: keys, outcome, reason."""
    logger.info("follow_up", extra={"user": due.user, "bot": due.bot, "sent": result.sent, "reason": result.reason})
    count_by("FollowUp", "outcome", {result.sent.value: 1})
    if result.paused:
        paused()
